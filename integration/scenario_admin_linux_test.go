package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// audited gives the audit's records of an action.
func (s *scene) audited(t *testing.T, action string) (out []*admin.AuditRecord) {
	t.Helper()
	for after := uint64(0); ; {
		r, err := s.admin.ListAudit(t.Context(), connect.NewRequest(&admin.ListAuditRequest{After: after, Limit: 1000}))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Msg.Records) == 0 {
			return out
		}
		for _, record := range r.Msg.Records {
			after = record.Sequence
			if record.Action == action {
				out = append(out, record)
			}
		}
	}
}

// A13: of two hundred machines that spend one token at one moment, one enters, and the
// audit has one line of it. Refusals are in the coordinator's log: whoever can
// connect could else fill the audit.
func TestOneTokenLetsOneMachineIn_A13(t *testing.T) {
	s := raise(t, clinic)
	if s == nil {
		return
	}
	const machines = 200
	e, err := wire.ParseEnrolment(s.coordinator.Token("nina@hospital.example"))
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, machines)
	var wait sync.WaitGroup
	start := make(chan struct{})
	for i := range machines {
		n := simulate(t, s.Host("hub"), e)
		wait.Go(func() {
			<-start
			_, errs[i] = n.enrol(t.Context(), e.Secret, fmt.Sprintf("machine-%d", i))
		})
	}
	close(start)
	wait.Wait()
	entered := 0
	for i, err := range errs {
		switch {
		case err == nil:
			entered++
		case connect.CodeOf(err) != connect.CodePermissionDenied:
			t.Errorf("machine %d was refused with %v, want permission denied", i, err)
		case strings.Contains(err.Error(), e.Secret):
			t.Error("a refusal repeats the secret")
		}
	}
	if entered != 1 {
		t.Errorf("%d machines entered, want one", entered)
	}
	if n := len(s.audited(t, "node.enrol")); n != 1 {
		t.Errorf("the audit has %d entries of machines, want one", n)
	}
	nodes, err := s.admin.ListNodes(t.Context(), connect.NewRequest(&admin.ListNodesRequest{}))
	if err != nil || len(nodes.Msg.Nodes) != 1 {
		t.Errorf("the mesh has %v (%v), want one node", nodes, err)
	}
	if v, err := s.admin.VerifyAudit(t.Context(), connect.NewRequest(&admin.VerifyAuditRequest{})); err != nil || !v.Msg.Ok {
		t.Errorf("the audit does not verify: %v %v", v, err)
	}
}

// A46: a policy that is wrong, or fails its own tests, is refused with the place
// of what is wrong, and the one before stays in force.
func TestAWrongPolicyChangesNothing_A46(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	s.serve("ehr", 443, 22)
	s.served("ward", "tcp", s.at("ehr", 443)[0])
	before := s.coordinator.Ctl("policy", "get")
	for name, c := range map[string]struct{ policy, place, says string }{
		"no JSON":         {"{\n\t\"grants\": [", ":2:", ""},
		"an unknown tag":  {"{\"grants\": [\n  {\"src\": [\"*\"], \"dst\": [\"tag:nobody\"], \"ip\": [\"*\"]}]}", ":2:", "tag:nobody"},
		"an unknown key":  {"{\n \"grant\": []}", ":2:", "grant"},
		"an unknown user": {"{\"grants\": [\n{\"src\": [\"group:gone\"], \"dst\": [\"*\"], \"ip\": [\"*\"]}]}", ":2:", "group:gone"},
		"a wrong port":    {"{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"],\n \"ip\": [\"tcp:70000\"]}]}", ":2:", "70000"},
		"two keys alike":  {"{\"grants\": [],\n \"grants\": []}", ":2:", "grants"},
		"a failing test": {strings.Replace(clinic, `"grants": [`, `"tests": [
			{"src": "nina@hospital.example", "accept": ["tag:ehr:22"]}],
			"grants": [`, 1), ":4:", "tag:ehr:22"},
		"nothing at all": {"", ":1:", ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := s.coordinator.TryCtl(c.policy, "policy", "set", "--yes", "-")
			if err == nil || !strings.Contains(out, "standard-input"+c.place) || !strings.Contains(out, c.says) {
				t.Errorf("set says %q (%v), want a refusal that names standard-input%s and %q", out, err, c.place, c.says)
			}
		})
	}
	if now := s.coordinator.Ctl("policy", "get"); now != before {
		t.Errorf("the policy in force is now %q", now)
	}
	if n := len(s.audited(t, "policy.set")); n != 2 { // the starter's, and clinic
		t.Errorf("the audit has %d changes of the policy, want 2", n)
	}
	s.served("ward", "tcp", s.at("ehr", 443)[0])
	if _, err := s.coordinator.TryCtl(clinic+"\n// a comment\n", "policy", "set", "--yes", "-"); err != nil {
		t.Errorf("a policy that is right is refused: %v", err)
	}
}
