package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

const recent = acl.Fact("mfa:within=8h0m0s")

// needing is a map whose grants need facts, of which the node and its peers have
// some.
func needing(m wire.Map, needs []acl.Fact, facts ...acl.FactEnd) wire.Map {
	for _, rules := range []*[]acl.Rule{&m.Rules.In, &m.Rules.Out} {
		*rules = slices.Clone(*rules)
		(*rules)[0].Needs = needs
	}
	m.Self.Facts = facts
	for id, p := range m.Peers {
		p.Facts = facts
		m.Peers[id] = p
	}
	return m
}

// pairNeeding is two nodes whose grants need facts that neither has.
func pairNeeding(t *testing.T, needs ...acl.Fact) (a, b *machine, sa, sb *controltest.Stream) {
	t.Helper()
	a, b, sa, sb = pair(t)
	answer(t, b, 443)
	a.give(sa, needing(a.full(6, []uint16{443}, b.record()), needs))
	b.give(sb, needing(b.full(6, []uint16{443}, a.record()), needs))
	for m, q := range map[*machine]local.ExplainRequest{a: {Dst: "ehr", Port: 443}, b: {Src: "ward", Port: 443}} {
		m.eventually("the map is enforced", func() bool {
			e, err := m.Explain(t.Context(), q)
			return err == nil && len(e.Needs) > 0
		})
	}
	return a, b, sa, sb
}

// opened counts the sign-ins that nodes open, which end when done is closed.
type opened struct {
	sync.Mutex
	by     []key.NodePublic
	afresh []bool
	levels []string
	below  bool // the proof is not of the level that was asked for
	done   chan struct{}
}

func (o *opened) count() int {
	o.Lock()
	defer o.Unlock()
	return len(o.by)
}

func countSignIns(c *controltest.Coordinator) *opened {
	o := &opened{done: make(chan struct{})}
	c.SignIn(controltest.SignIns{
		Begin: func(node key.NodePublic, r *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) {
			o.Lock()
			defer o.Unlock()
			o.by, o.afresh, o.levels = append(o.by, node), append(o.afresh, r.Afresh), append(o.levels, r.Acr)
			id := fmt.Sprint("l", len(o.by))
			return &wire.BeginLoginResponse{Login: id, Url: "https://c.example/login/" + id, Code: "WDJB-MJHT", Until: time.Now().Add(10 * time.Minute).Unix()}, nil
		},
		Await: func(ctx context.Context, _ key.NodePublic, _ string) (*wire.AwaitLoginResponse, error) {
			select {
			case <-o.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_REFUSED, Reason: "not you", Below: o.below}, nil
		},
	})
	return o
}

// look is what a person sees who asks for the status.
func (m *machine) look() *local.Status {
	m.t.Helper()
	s, err := m.StatusFor(m.t.Context(), local.StatusRequest{StepUp: true})
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

func refusedWith(s *local.Status, needs ...string) bool {
	return slices.ContainsFunc(s.Refusals, func(r local.Refusal) bool { return r.Outbound && slices.Equal(r.Needs, needs) })
}

// Who is refused for want of a fresh proof finds the link where they look for the
// reason, and the flow opens by itself when they have proved it.
func TestAStepUpIsOfferedAndOpensTheFlow(t *testing.T) {
	a, b, sa, sb := pairNeeding(t, recent, local.FactSignedIn)
	seen := countSignIns(a.c)
	if a.look(); seen.count() != 0 {
		t.Fatal("a sign-in though nothing was refused")
	}
	if _, err := ask(t, a, "ehr:443"); err == nil {
		t.Fatal("it is open without the facts")
	}
	a.eventually("the refusal is known", func() bool { return refusedWith(a.status(), string(recent), local.FactSignedIn) })
	if seen.count() != 0 {
		t.Fatal("a sign-in though nobody looked who could go there")
	}
	s := a.look()
	if s.Login == nil || s.Login.URL != "https://c.example/login/l1" || s.Login.Code != "WDJB-MJHT" || !refusedWith(s, string(recent), local.FactSignedIn) {
		t.Fatalf("%+v", s.Login)
	}
	if seen.count() != 1 || !seen.afresh[0] || seen.by[0] != a.key {
		t.Fatalf("%+v", seen.afresh)
	}
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	facts := []acl.FactEnd{{Fact: recent, Until: end}, {Fact: local.FactSignedIn, Until: end}}
	got := make(chan string, 1)
	go func() {
		for { // a program that tries again
			if text, err := ask(t, a, "ehr:443"); err == nil || t.Context().Err() != nil {
				got <- text
				return
			}
		}
	}()
	b.give(sb, needing(b.full(7, []uint16{443}, a.record()), []acl.Fact{recent, local.FactSignedIn}, facts...))
	next := needing(a.full(7, []uint16{443}, b.record()), []acl.Fact{recent, local.FactSignedIn}, facts...)
	next.Self.Sessions = []wire.Session{sessionOf("s1", end)}
	a.give(sa, next)
	if text := <-got; text != "hello from ehr" {
		t.Fatal(text)
	}
	if s := a.look(); s.Login != nil || seen.count() != 1 || refusedWith(s, string(recent), local.FactSignedIn) {
		t.Fatalf("after it: %+v, %d sign-ins", s.Login, seen.count())
	}
}

// Where a level is missing the sign-in is for that level, and one that is for none does
// not pass for it.
func TestAStepUpAsksForTheLevelThatIsMissing(t *testing.T) {
	a, _, _, _ := pairNeeding(t, "mfa:acr=urn:clinic:gold")
	seen := countSignIns(a.c)
	ask(t, a, "ehr:443")
	a.eventually("the refusal is known", func() bool { return refusedWith(a.status(), "mfa:acr=urn:clinic:gold") })
	if s := a.look(); s.Login == nil || s.Login.ACR != "urn:clinic:gold" || !slices.Equal(seen.levels, []string{"urn:clinic:gold"}) || !seen.afresh[0] {
		t.Fatalf("%+v, asked for %q", s.Login, seen.levels)
	}
	close(seen.done)
}

// A link that was to no avail is shown again after a minute, by the time that the
// coordinator tells; one for a level that the provider does not give, after an hour.
func TestALevelThatTheProviderDoesNotGiveIsNotAskedForAgain(t *testing.T) {
	const gold = "mfa:acr=urn:clinic:gold"
	for name, below := range map[string]bool{"refused": false, "not of that level": true} {
		t.Run(name, func(t *testing.T) {
			a, _, sa, _ := pairNeeding(t, gold)
			seen := countSignIns(a.c)
			seen.below = below
			close(seen.done)
			later := func(by time.Duration) {
				m := controltest.At(1, 1, 6)
				a.send(sa, wire.NewLease(a.c.Mesh.ID(), m, time.Now().Add(by)))
				a.eventually("that time", func() bool { return time.Until(a.status().Map.PolicyTime) > by-time.Minute })
			}
			offered := func() int {
				ask(t, a, "ehr:443")
				a.look()
				return seen.count()
			}
			a.eventually("the first is offered", func() bool { return offered() == 1 })
			a.eventually("it has ended", func() bool { return a.status().Login == nil })
			later(2 * time.Minute)
			if !below {
				a.eventually("the next is offered", func() bool { return offered() == 2 })
				return
			}
			for range 10 {
				if offered() > 1 {
					t.Fatal("a link that leads nowhere, again")
				}
			}
			later(2 * time.Hour)
			a.eventually("the next is offered", func() bool { return offered() == 2 })
		})
	}
}

// However much a local program has refused, and however many look, there is one
// sign-in; and after its end no other follows at once.
func TestAFloodOfRefusalsOpensOneSignIn(t *testing.T) {
	a, _, _, _ := pairNeeding(t, local.FactSignedIn)
	seen := countSignIns(a.c)
	var all sync.WaitGroup
	var shown atomic.Int64
	for range 4 {
		all.Go(func() {
			for range 10 {
				ask(t, a, "ehr:443")
				if a.look().Login != nil {
					shown.Add(1)
				}
			}
		})
	}
	all.Wait()
	if seen.count() != 1 || seen.afresh[0] || shown.Load() == 0 {
		t.Fatalf("%d sign-ins, seen %d times", seen.count(), shown.Load())
	}
	close(seen.done)
	a.eventually("it has ended", func() bool { return a.status().Login == nil })
	for range 10 {
		ask(t, a, "ehr:443")
		a.look()
	}
	if seen.count() != 1 {
		t.Fatalf("%d sign-ins at once after the end of the first", seen.count())
	}
}

// A sign-in that a person began themselves is the one; but if it did not give what is
// missing, as one does not that the provider remembers, another does at once.
func TestAPersonsOwnSignInIsTheOne(t *testing.T) {
	a, _, _, _ := pairNeeding(t, recent)
	seen := countSignIns(a.c)
	l, err := a.Login(t.Context(), local.LoginRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, a, "ehr:443")
	a.eventually("the refusal is known", func() bool { return refusedWith(a.status(), string(recent)) })
	if s := a.look(); s.Login == nil || s.Login.ID != l.ID || seen.count() != 1 {
		t.Fatalf("%+v, %d", s.Login, seen.count())
	}
	close(seen.done)
	if _, err := a.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: l.ID}); err != nil {
		t.Fatal(err)
	}
	if s := a.look(); s.Login == nil || s.Login.ID != "l2" || seen.count() != 2 || !seen.afresh[1] {
		t.Fatalf("after it: %+v, %d", s.Login, seen.count())
	}
}

// A peer's packets have nobody asked to sign in, however many come.
func TestAPeersFloodOpensNoSignIn(t *testing.T) {
	a, b, sa, _ := pairNeeding(t, recent)
	seen := countSignIns(b.c)
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	a.give(sa, needing(a.full(7, []uint16{443}, b.record()), []acl.Fact{recent}, acl.FactEnd{Fact: recent, Until: end}))
	a.eventually("the peer's own filter lets it", func() bool {
		e, err := a.Explain(t.Context(), local.ExplainRequest{Dst: "ehr", Port: 443})
		return err == nil && e.Allow
	})
	for range 10 {
		ask(t, a, "ehr:443")
	}
	b.eventually("it is refused here", func() bool {
		r := b.status().Refusals
		return len(r) == 1 && !r[0].Outbound && slices.Equal(r[0].Needs, []string{string(recent)}) && r[0].Count >= 10
	})
	for range 10 {
		if b.look().Login != nil {
			t.Fatal("a link")
		}
	}
	if seen.count() != 0 {
		t.Fatalf("%d sign-ins", seen.count())
	}
}

// What a sign-in alone does not open, it is not opened for.
func TestNoSignInForWhatItDoesNotGive(t *testing.T) {
	a, _, _, _ := pairNeeding(t, "posture:managed", local.FactSignedIn)
	seen := countSignIns(a.c)
	ask(t, a, "ehr:443")
	a.eventually("the refusal is known", func() bool { return refusedWith(a.status(), "posture:managed", local.FactSignedIn) })
	if a.look().Login != nil || seen.count() != 0 {
		t.Fatal("a sign-in that would not help")
	}
}

// Nor do this machine's answers in a flow that a peer began and that has lost its
// right: they go out and are refused, but nobody here wanted to go there.
func TestAnswersToAPeerOpenNoSignIn(t *testing.T) {
	a, b, sa, sb := pair(t)
	seen := countSignIns(b.c)
	l, err := b.node.Listen("tcp", 443)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	needs, end := []acl.Fact{recent}, time.Now().Add(time.Hour).Truncate(time.Second)
	has := acl.FactEnd{Fact: recent, Until: end}
	a.give(sa, needing(a.full(6, []uint16{443}, b.record()), needs, has))
	b.give(sb, needing(b.full(6, []uint16{443}, a.record()), needs, has))
	for _, m := range []*machine{a, b} {
		m.eventually("the map", func() bool { return m.status().Map.Revision == 6 })
	}
	c, err := a.node.Dial(t.Context(), "tcp", "ehr:443")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	b.give(sb, needing(b.full(7, []uint16{443}, a.record()), needs))
	b.eventually("answers are refused", func() bool {
		at.Write([]byte("more"))
		return slices.ContainsFunc(b.status().Refusals, func(r local.Refusal) bool {
			return r.Outbound && r.Src.Port() == 443 && r.Reason == acl.FactEnded.String() && len(r.Needs) == 0
		})
	})
	if b.look().Login != nil || seen.count() != 0 {
		t.Fatal("a sign-in")
	}
}

// Nor is one opened while the coordinator is away, even if it would answer that
// question: what it gave would not come here.
func TestNoSignInWhileTheCoordinatorIsAway(t *testing.T) {
	a, _, sa, _ := pairNeeding(t, recent)
	seen := countSignIns(a.c)
	ask(t, a, "ehr:443")
	a.eventually("the refusal is known", func() bool { return refusedWith(a.status(), string(recent)) })
	sa.End(controltest.ErrAborted())
	a.eventually("it is away", func() bool { return !a.status().Coordinator.Connected })
	if s := a.look(); s.Login != nil || !refusedWith(s, string(recent)) || seen.count() != 0 {
		t.Fatalf("%+v, %d", s.Login, seen.count())
	}
}
