package coordinator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

const aDay = 24 * time.Hour

// minutes gives a moment as warnings do.
func minutes(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// holds gives what an operator is warned of servers that are away.
func (r *running) holds() (all []string) {
	r.t.Helper()
	resp, err := r.root.ListWarnings(r.t.Context(), connect.NewRequest(&admin.ListWarningsRequest{}))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, w := range resp.Msg.Warnings {
		if w.Kind == "hold" {
			all = append(all, w.Text)
		}
	}
	return all
}

// comes has a node with the same clock follow the coordinator until leave is called.
func (r *running) comes(m *machine, at *clock) (leave func()) {
	r.t.Helper()
	own, err := wire.SelfSigned(&m.key)
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.client(wire.ClientTLS(own, r.founded.Fingerprint, at.Now))
	stream, err := wire.NewNodeServiceClient(c, "https://"+r.address).Follow(r.t.Context(), connect.NewRequest(&wire.FollowRequest{Level: wire.Level, Instance: []byte("run")}))
	if err != nil || !stream.Receive() {
		r.t.Fatal(err, stream.Err())
	}
	return func() {
		r.t.Helper()
		stream.Close()
		c.CloseIdleConnections()
		for end := time.Now().Add(time.Minute); r.connected(m); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				r.t.Fatal("the node does not leave")
			}
		}
	}
}

func (r *running) connected(m *machine) bool {
	r.t.Helper()
	resp, err := r.root.GetNode(r.t.Context(), connect.NewRequest(&admin.GetNodeRequest{Node: m.id}))
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Msg.Node.Connected
}

// hasTheWarnerLook shuts somebody out who operates.
func (r *running) hasTheWarnerLook() {
	r.t.Helper()
	r.addAna()
	if _, err := r.root.GrantRole(r.t.Context(), connect.NewRequest(&admin.GrantRoleRequest{User: "ana@clinic.example", Role: "auditor"})); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.root.DisableUser(r.t.Context(), connect.NewRequest(&admin.DisableUserRequest{User: "ana@clinic.example"})); err != nil {
		r.t.Fatal(err)
	}
}

// A server that is cut off works on, as if nothing were, until its hold ends. An operator
// hears of it before, with the name, since when it is away, when it ends and what to do;
// and hears nothing of one that came back, nor of a person's laptop.
func TestServerThatIsAwayIsWarnedOfBeforeItsHoldEnds(t *testing.T) {
	at := &clock{now: time.Now().Truncate(time.Second).Add(time.Second)}
	r := begin(t, func(c *coordinator.Config) { c.Now = at.Now })
	text := `{"tagOwners": {"tag:test": [], "tag:pacs": []}, "segments": {"seg:pacs": {"members": ["tag:pacs"], "owner": "ana@clinic.example", "offline": {"hold": "10d"}},
 "seg:lab": {"members": ["tag:test"], "owner": "ana@clinic.example", "offline": {"lapse": "1h"}}}}`
	if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text})); err != nil {
		t.Fatal(err)
	}
	hour := func(m *admin.CreateTokenRequest) string {
		m.Kind, m.Lifetime = admin.TokenKind_TOKEN_KIND_ENROL, int64(time.Hour/time.Second)
		_, secret := r.token(m)
		return secret
	}
	server := r.enrol(hour(&admin.CreateTokenRequest{Tags: []string{"tag:test"}}))
	impatient := r.enrol(hour(&admin.CreateTokenRequest{Tags: []string{"tag:pacs"}}))
	laptop := r.enrol(hour(&admin.CreateTokenRequest{User: "ana@clinic.example"}))
	leave, leaves := r.comes(server, at), r.comes(laptop, at)
	stays := r.comes(impatient, at)
	at.forward(aDay)
	left := at.Now()
	leave()
	leaves()
	away := "hold of host (away since " + minutes(left) + ") "
	expect := func(when string, want ...string) {
		t.Helper()
		got := r.holds()
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("%s: warned %q, want %q", when, got, want)
		}
	}
	at.forward(22 * aDay)
	expect("8 days before the end")
	at.forward(aDay)
	expect("7 days before the end", away+"ends in 7 days, at "+minutes(left.Add(30*aDay))+": ")
	for _, part := range []string{"lets nobody in or out", "`cordon netcheck`", "`cordonctl node remove`"} {
		if !strings.Contains(r.holds()[0], part) {
			t.Errorf("%q does not say %q", r.holds()[0], part)
		}
	}
	stays()
	other := "hold of host-2 (away since " + minutes(at.Now()) + ") ends in 6 days, at " + minutes(at.Now().Add(10*aDay))
	at.forward(3*aDay + time.Minute)
	expect("the shorter hold of a segment", away+"ends in 3 days", other)
	at.forward(5 * aDay)
	expect("after the end", away+"has ended at "+minutes(left.Add(30*aDay)), "hold of host-2 ")
	leave = r.comes(server, at)
	expect("one is back", "hold of host-2 ")
	leave()
	expect("it left again", "hold of host-2 ")
	if _, err := r.root.RemoveNode(t.Context(), connect.NewRequest(&admin.RemoveNodeRequest{Node: impatient.id})); err != nil {
		t.Fatal(err)
	}
	expect("the other is gone for good")
}

// The end of a hold is further away than most restarts of a coordinator, so an absence
// counts over them; and where a site of many is cut off, one message says so.
func TestHoldsOfASiteAreOneMessageOverARestart(t *testing.T) {
	address, hears := heardBySyslog(t)
	at := &clock{now: time.Now().Truncate(time.Second).Add(time.Second)}
	r := begin(t, func(c *coordinator.Config) {
		ownPeople(at)(c)
		c.Warnings = coordinator.Warnings{Syslog: address}
	})
	const many = 9
	began := at.Now()
	m := enrolToken()
	m.Uses = many
	_, secret := r.token(m)
	for range many {
		r.enrol(secret)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	at.forward(23*aDay + time.Hour)
	founded := r.founded
	r = serve(t, r.config)
	r.founded = founded
	if got := r.holds(); len(got) > 0 {
		t.Errorf("warned of nodes that had no time to come back: %q", got)
	}
	at.forward(10 * time.Minute)
	if got := r.holds(); len(got) != many {
		t.Errorf("warned of %d servers, want %d", len(got), many)
	}
	r.hasTheWarnerLook()
	hears(fmt.Sprintf("%d holds (of host (away since %s), ", many, minutes(began)), "and 4 more) end within 7 days, the first at "+minutes(began.Add(30*aDay)))
}
