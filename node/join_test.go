package node_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

// joinsBy has the coordinator of a machine open sign-ins by which machines join. They
// end as an outcome says that comes through the channel of each: whoever waits for one
// that was replaced may hear late that nobody asks any more, and takes no other's.
func joinsBy(c *controltest.Coordinator, names ...string) map[string]chan *wire.AwaitJoinResponse {
	ends := make(map[string]chan *wire.AwaitJoinResponse)
	for _, name := range names {
		ends["j-"+name] = make(chan *wire.AwaitJoinResponse)
	}
	c.SignIn(controltest.SignIns{
		Join: func(_ key.NodePublic, r *wire.BeginJoinRequest) (*wire.BeginJoinResponse, error) {
			return &wire.BeginJoinResponse{Login: &wire.BeginLoginResponse{
				Login: "j-" + r.Name, Url: "https://c.example/login/j", Code: "KITE", Until: time.Now().Add(10 * time.Minute).Unix()}}, nil
		},
		AwaitJoin: func(ctx context.Context, _ key.NodePublic, login string) (*wire.AwaitJoinResponse, error) {
			select {
			case m := <-ends[login]:
				return m, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	})
	return ends
}

// A machine whose person signs in is a node from then on, also if nobody waits for
// it any more: the daemon goes up by itself.
func TestMachineJoinsAndGoesUp(t *testing.T) {
	c := controltest.OnLoopback(t)
	m := newMachine(t, c, "ward", "100.64.0.1")
	ends := joinsBy(c, "ward", "first", "second")
	r := local.JoinRequest{URL: c.URL + "/", Fingerprint: c.Mesh.Root.Public().Fingerprint().String(), Name: "ward"}
	j, err := m.Join(t.Context(), r)
	if err != nil || j.Login.ID != "j-ward" || j.Login.Code != "KITE" || !strings.HasPrefix(j.Node, "n-") {
		t.Fatalf("%+v, %v", j, err)
	}
	if s := m.status(); s.State != local.StateJoining || s.Login == nil || s.Node != j.Node {
		t.Errorf("while it joins: %+v", s)
	}
	ends["j-ward"] <- &wire.AwaitJoinResponse{State: wire.AwaitLoginResponse_REFUSED, Reason: "it was declined"}
	if o, err := m.AwaitJoin(t.Context(), local.AwaitLoginRequest{ID: "j-ward"}); err != nil || o.State != local.LoginRefused || o.Reason != "it was declined" {
		t.Errorf("%+v, %v", o, err)
	}
	if s := m.status(); s.State != local.StateUnenrolled || s.Login != nil {
		t.Errorf("refused: %+v", s)
	}
	for _, name := range []string{"first", "second"} {
		r.Name = name
		if _, err := m.Join(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.AwaitJoin(t.Context(), local.AwaitLoginRequest{ID: "j-first"}); err == nil {
		t.Error("a sign-in that another has replaced is waited for")
	}
	ends["j-second"] <- &wire.AwaitJoinResponse{State: wire.AwaitLoginResponse_DONE}
	s := c.Next()
	if got := wire.NodeID(s.Caller); got != j.Node {
		t.Fatalf("%s follows", got)
	}
	if o, err := m.AwaitJoin(t.Context(), local.AwaitLoginRequest{ID: "j-second"}); err != nil || o.State != local.LoginDone {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := m.Join(t.Context(), r); err == nil || !strings.Contains(err.Error(), "enrolled already") {
		t.Errorf("a node joins again: %v", err)
	}
	m.end()
	m.run() // its identity is on disk
	if got := wire.NodeID(c.Next().Caller); got != j.Node {
		t.Errorf("after a restart %s follows", got)
	}
}

// What would lead a machine to a mesh that nobody vouched for is refused.
func TestJoinWantsAMeshThatIsKnown_A12(t *testing.T) {
	c := controltest.OnLoopback(t)
	m := newMachine(t, c, "ward", "100.64.0.1")
	joinsBy(c)
	pin := c.Mesh.Root.Public().Fingerprint().String()
	for what, r := range map[string]local.JoinRequest{
		"nobody vouches":  {URL: c.URL},
		"is not 64":       {URL: c.URL, Fingerprint: pin[:60]},
		"is not allowed":  {URL: strings.Replace(c.URL, "https", "http", 1), Fingerprint: pin},
		"joining at http": {URL: c.URL, Fingerprint: strings.Repeat("ab", 32)},
	} {
		if j, err := m.Join(t.Context(), r); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %+v, %v; want %q", r, j, err, what)
		}
	}
	if s := m.status(); s.State != local.StateUnenrolled {
		t.Errorf("%+v", s)
	}
}
