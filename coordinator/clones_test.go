package coordinator_test

import (
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// takes has a run of a machine's daemon take the node's stream, and gives what it is told.
func (r *running) takes(m *machine, run string) *connect.ServerStreamForClient[wire.FollowResponse] {
	r.t.Helper()
	stream, err := r.again(m).Follow(r.t.Context(), connect.NewRequest(&wire.FollowRequest{Level: wire.Level, Instance: []byte(run)}))
	if err != nil || !stream.Receive() {
		r.t.Fatal(err, stream.Err())
	}
	return stream
}

// A21: two machines with one key are an alarm within moments, which says where they are and
// what to do; what it says first shuts both out, and lets the right one in again.
func TestCloneIsAnAlarm_A21(t *testing.T) {
	address, hears := heardBySyslog(t)
	at := &clock{now: time.Now()}
	r := begin(t, func(c *coordinator.Config) {
		c.Now, c.Warnings = at.Now, coordinator.Warnings{Syslog: address}
	})
	_, secret := r.token(enrolToken())
	m, other := r.enrol(secret), r.enrol(secret)
	text := `{"tagOwners": {"tag:test": []}, "grants": [{"src": ["tag:test"], "dst": ["tag:test"], "ip": ["tcp:443"]}]}`
	if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text})); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.takes(m, "the one")
		r.takes(m, "its clone")
	}
	hears("clone of host (at 127.0.0.1 and 127.0.0.1): two machines use this node's key", "`cordonctl node hold NAME`", "`node approve NAME`", "`node remove NAME`")
	told := func() string {
		t.Helper()
		resp, err := r.root.ListWarnings(t.Context(), connect.NewRequest(&admin.ListWarningsRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, w := range resp.Msg.Warnings {
			all += w.Text
		}
		return all
	}
	if all := told(); !strings.Contains(all, "an empty state directory") {
		t.Errorf("the last of what to do is cut off: %q", all)
	}
	if held, err := r.root.HoldNode(t.Context(), connect.NewRequest(&admin.HoldNodeRequest{Node: "host"})); err != nil || held.Msg.Node.Approved {
		t.Fatal(held, err)
	}
	if r.allows(m, other) || told() != "" {
		t.Errorf("who was shut out reaches others, or is told of: %q", told())
	}
	if _, err := r.root.ApproveNode(t.Context(), connect.NewRequest(&admin.ApproveNodeRequest{Node: "host"})); err != nil || !r.allows(m, other) {
		t.Errorf("let in again it reaches nobody: %v", err)
	}
	if told() == "" {
		t.Error("let in again, while the two are there, it is no clone")
	}
}
