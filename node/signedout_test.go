package node_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

// leaver is a workstation at which somebody is signed in and has a connection open that
// a rule permits for that alone. The server where it leads knows of no sign-out.
type leaver struct {
	*machine
	peer   *machine
	stream *controltest.Stream
	drain  time.Duration
	ends   time.Time // of the session, and of what it proves
	open   net.Conn

	mu     sync.Mutex
	told   []string // sessions of whose end the coordinator was told
	answer func(session string) (uint32, error)
}

func newLeaver(t *testing.T, drain time.Duration) *leaver {
	t.Helper()
	a, b, sa, sb := pair(t)
	l := &leaver{machine: a, peer: b, stream: sa, drain: drain, ends: time.Now().Add(time.Hour), answer: func(string) (uint32, error) { return 1, nil }}
	l.c.SignIn(controltest.SignIns{
		Logout: func(_ key.NodePublic, session string) (uint32, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told = append(l.told, session)
			return l.answer(session)
		},
		Begin: func(key.NodePublic, *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) {
			return &wire.BeginLoginResponse{Login: "l1", Url: "https://c.example/login/l1", Until: time.Now().Add(time.Minute).Unix()}, nil
		},
	})
	answerAndWait(t, b, 443)
	a.whereabouts(sa, b)
	b.give(sb, l.holding(b.full(6, []uint16{443}, a.record()), false))
	l.take(6, "s1")
	l.open = l.reach()
	t.Cleanup(func() { l.open.Close() })
	return l
}

// holding has a map say who is signed in at the workstation: for its peer, and for
// itself with the sessions.
func (l *leaver) holding(m wire.Map, self bool, sessions ...string) wire.Map {
	var facts []acl.FactEnd
	if !self || len(sessions) > 0 {
		facts = []acl.FactEnd{{Fact: "posture:managed", Until: time.Now().Add(time.Hour)}, {Fact: local.FactSignedIn, Until: l.ends}}
	}
	for _, rules := range []*[]acl.Rule{&m.Rules.In, &m.Rules.Out} {
		*rules = slices.Clone(*rules)
		(*rules)[0].Needs, (*rules)[0].Drain = []acl.Fact{local.FactSignedIn}, l.drain
	}
	if self {
		m.Self.SignIn, m.Self.Facts = true, facts
		for _, s := range sessions {
			m.Self.Sessions = append(m.Self.Sessions, sessionOf(s, l.ends))
		}
		return m
	}
	for id, p := range m.Peers {
		p.Facts = facts
		m.Peers[id] = p
	}
	return m
}

// take gives the workstation a map with those sessions.
func (l *leaver) take(revision uint64, sessions ...string) {
	l.t.Helper()
	l.give(l.stream, l.holding(l.full(revision, []uint16{443}, l.peer.record()), true, sessions...))
	l.eventually("the map is taken", func() bool { return l.status().Map.Revision == revision })
}

func (l *leaver) dial() (net.Conn, error) {
	c, err := l.node.Dial(l.t.Context(), "tcp", "ehr:443")
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	return c, err
}

func (l *leaver) reach() (c net.Conn) {
	l.t.Helper()
	l.eventually("the server answers", func() bool {
		var err error
		c, err = l.dial()
		return err == nil
	})
	return c
}

// out fails the test unless nothing opens, and the status says why.
func (l *leaver) out(why string) {
	l.t.Helper()
	if c, err := l.dial(); err == nil {
		c.Close()
		l.t.Errorf("%s: the server can be reached", why)
	}
	if now := l.status(); !now.SignedOut || len(now.Sessions) != 1 || !now.Sessions[0].Ended || !now.Sessions[0].SignedOut {
		l.t.Errorf("%s: %+v", why, now.Sessions)
	}
}

// cut waits until what was open is cut off.
func (l *leaver) cut() {
	l.t.Helper()
	l.open.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := l.open.Read(make([]byte, 1))
	if late := net.Error(nil); err == nil || errors.As(err, &late) && late.Timeout() {
		l.t.Errorf("what was open goes on: %v", err)
	}
}

// lose takes the coordinator away; the stream of its return is next.
func (l *leaver) lose() {
	l.t.Helper()
	l.stream.End(errors.New("gone"))
	l.eventually("the coordinator is away", func() bool { return !l.status().Coordinator.Connected })
	l.stream = l.c.Next()
}

func (l *leaver) heard() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

// kept are the sessions that signed out, on the disk.
func (l *leaver) kept() (ids []string) {
	l.t.Helper()
	b, err := os.ReadFile(filepath.Join(l.cfg.StateDir, "signedout.json"))
	if err == nil {
		err = json.Unmarshal(b, &ids)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return ids
}

// Who signs out while the coordinator is away is out: what is open is cut off, nothing
// opens, a restart does not undo it, and no map does that still holds the session. The
// coordinator is told when it is there again, and a new session works.
func TestSignsOutWhileTheCoordinatorIsAway_A18(t *testing.T) {
	l := newLeaver(t, 0)
	l.lose()
	for range 2 { // who is not sure says it again
		if r, err := l.Logout(t.Context(), local.LogoutRequest{}); err != nil || r.Ended != 1 || !r.Away {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	l.cut()
	l.out("signed out")

	l.end()
	l.run()
	l.stream = l.c.Next()
	l.eventually("the map from disk is enforced", func() bool { return l.status().State == local.StateRunning })
	l.out("after a restart")
	if got := l.kept(); !slices.Equal(got, []string{"s1"}) {
		t.Errorf("kept: %q", got)
	}

	l.mu.Lock()
	l.answer = func(string) (uint32, error) {
		return 0, connect.NewError(connect.CodeUnavailable, errors.New("starting"))
	}
	l.mu.Unlock()
	l.take(7, "s1")
	l.out("after a map that holds the session")
	l.eventually("the coordinator is told", func() bool { return len(l.heard()) > 0 })
	l.mu.Lock()
	l.answer = func(string) (uint32, error) { return 1, nil }
	l.mu.Unlock()
	l.eventually("the coordinator knows", func() bool { now := l.status().Sessions; return len(now) == 1 && now[0].Ended && !now[0].SignedOut })
	l.take(8, "s1")
	if c, err := l.dial(); err == nil {
		c.Close()
		t.Error("a map that was under way signs in again who has left")
	}
	if got := l.kept(); !slices.Equal(got, []string{"s1"}) {
		t.Errorf("kept while the map holds the session: %q", got)
	}
	l.take(9, "s1", "s2")
	l.reach().Close()
	l.take(10, "s2")
	l.reach().Close()
	l.eventually("nothing is kept", func() bool { return len(l.kept()) == 0 })
	for _, s := range l.heard() {
		if s != "s1" {
			t.Errorf("told of the end of %q", s)
		}
	}
}

// What drains when a session's time is over does not for who signs out before.
func TestSignedOutHereDoesNotDrain(t *testing.T) {
	l := newLeaver(t, time.Hour)
	l.lose()
	if _, err := l.Logout(t.Context(), local.LogoutRequest{Session: "s1"}); err != nil {
		t.Fatal(err)
	}
	l.cut()
	l.out("signed out")
}

// Whose time is over has what drains, and may sign out of that too: nobody else has to.
func TestSignsOutOfWhatDrains_A18(t *testing.T) {
	l := newLeaver(t, time.Hour)
	l.ends = time.Now().Add(time.Second)
	l.take(7, "s1")
	drains := func() bool { now := l.status().Endings; return len(now) == 1 && now[0].End.IsZero() }
	l.eventually("it drains", drains)
	l.take(8, "s1")
	if !drains() {
		t.Error("a map that tells of the end cut it off")
	}
	l.lose()
	if r, err := l.Logout(t.Context(), local.LogoutRequest{}); err != nil || r.Ended != 1 || !r.Away {
		t.Fatalf("%+v, %v", r, err)
	}
	l.cut()
	l.out("signed out")
	l.take(9, "s1")
	l.eventually("the coordinator is told", func() bool { return slices.Equal(l.heard(), []string{"s1"}) })
}

// A coordinator that refuses to end a session keeps nobody in, and is asked again.
func TestSignsOutThoughTheCoordinatorRefuses(t *testing.T) {
	l := newLeaver(t, 0)
	l.mu.Lock()
	l.answer = func(string) (uint32, error) {
		return 0, connect.NewError(connect.CodePermissionDenied, errors.New("this node may not"))
	}
	l.mu.Unlock()
	if r, err := l.Logout(t.Context(), local.LogoutRequest{}); err == nil || !errors.As(err, new(*local.Problem)) {
		t.Fatalf("%+v, %v", r, err)
	}
	l.cut()
	l.out("refused")
	l.eventually("it is asked again", func() bool { return len(l.heard()) > 1 })
	l.mu.Lock()
	l.answer = func(string) (uint32, error) {
		return 0, connect.NewError(connect.CodeNotFound, errors.New("no session"))
	}
	l.mu.Unlock()
	l.take(7)
	l.eventually("one of which it does not know is over", func() bool { return len(l.kept()) == 0 })
}

// What the coordinator did not take is told again at once, though nothing else is to be
// told: all that the sign-out stirs up here has gone its way before the answer comes.
func TestWhatWasNotTakenIsToldAgainAtOnce(t *testing.T) {
	l := newLeaver(t, 0)
	refuse := make(chan struct{})
	l.mu.Lock()
	l.answer = func(string) (uint32, error) {
		l.mu.Unlock() // the first waits, and others may come
		<-refuse
		l.mu.Lock()
		return 0, connect.NewError(connect.CodePermissionDenied, errors.New("this node may not"))
	}
	l.mu.Unlock()
	refused := make(chan error, 1)
	go func() {
		_, err := l.Logout(t.Context(), local.LogoutRequest{})
		refused <- err
	}()
	l.cut()
	l.out("while the coordinator thinks")
	time.Sleep(unstirred)
	if got := l.heard(); len(got) != 1 {
		t.Fatalf("told of %q before there was an answer", got)
	}
	close(refuse)
	if err := <-refused; err == nil {
		t.Fatal("not refused")
	}
	for end := time.Now().Add(atOnce); len(l.heard()) == 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not told again at once")
		}
	}
}

const (
	unstirred = 200 * time.Millisecond // after which nothing of a sign-out is under way here
	atOnce    = 10 * time.Second       // before anything else is told by itself: see wire.UnhurriedWithin
)

// A sign-in of who signed out here would go on with the session that the coordinator
// still holds: it is told of the end first.
func TestCoordinatorIsToldBeforeTheNextSignIn(t *testing.T) {
	l := newLeaver(t, 0)
	l.mu.Lock()
	l.answer = func(string) (uint32, error) {
		return 0, connect.NewError(connect.CodePermissionDenied, errors.New("this node may not"))
	}
	l.mu.Unlock()
	if _, err := l.Logout(t.Context(), local.LogoutRequest{}); err == nil {
		t.Fatal("not refused")
	}
	l.eventually("it is asked again", func() bool { return len(l.heard()) > 1 })
	if in, err := l.Login(t.Context(), local.LoginRequest{}); err == nil {
		t.Fatalf("%+v, although the session goes on", in)
	}
	l.mu.Lock()
	l.answer, l.told = func(string) (uint32, error) { return 1, nil }, nil
	l.mu.Unlock()
	if _, err := l.Login(t.Context(), local.LoginRequest{}); err != nil || !slices.Contains(l.heard(), "s1") {
		t.Fatalf("told of %q, %v", l.heard(), err)
	}
}

// Who signed out cannot be read: then nobody is in by what the disk holds.
func TestDamagedSignOutsLetNobodyIn(t *testing.T) {
	l := newLeaver(t, 0)
	l.end()
	if err := os.WriteFile(filepath.Join(l.cfg.StateDir, "signedout.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.run()
	l.stream = l.c.Next()
	l.eventually("the map from disk is enforced", func() bool { return l.status().State == local.StateRunning })
	l.out("damaged")
	if got := l.kept(); !slices.Equal(got, []string{"s1"}) {
		t.Errorf("kept: %q", got)
	}
}
