package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"net/netip"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const routerPolicy = `{"tagOwners": {"tag:router": ["ana@clinic.example"]}}`

func TestSetPolicy_A49(t *testing.T) {
	m := begin(t)
	if m.state.Policy() != nil {
		t.Fatal("a new mesh has a policy")
	}
	if p, err := m.state.Policy().Parsed(); p != nil || err != nil {
		t.Errorf("no policy parses as %v, %v", p, err)
	}
	m.refused(registry.SetPolicy{Text: routerPolicy, Expected: 3}, registry.ErrStale)
	first := m.do(registry.SetPolicy{Text: routerPolicy, File: "policy.hujson"}).Policy
	if first.Revision != m.state.Revision || first.Author != ana || first.Text != routerPolicy {
		t.Errorf("policy is %+v", first)
	}
	if p, err := first.Parsed(); err != nil || p.Name() != "policy.hujson" {
		t.Errorf("it parses as %v, %v", p, err)
	}
	if r := m.do(registry.SetPolicy{Text: routerPolicy, Expected: first.Revision}); r.Changed || r.Policy != first {
		t.Error("the same text again is a change")
	}
	second := m.do(registry.SetPolicy{Text: "{}", Expected: first.Revision}).Policy
	err := m.refused(registry.SetPolicy{Text: routerPolicy, Expected: first.Revision}, registry.ErrStale)
	if !strings.Contains(err.Error(), string(ana)) {
		t.Errorf("%q does not say who was faster", err)
	}
	for revision, want := range map[uint64]*registry.PolicyVersion{
		first.Revision: first, second.Revision: second, second.Revision + 99: second,
	} {
		if got, ok := m.state.PolicyAt(revision); !ok || got != want {
			t.Errorf("at %d is %v", revision, got)
		}
	}
	if _, ok := m.state.PolicyAt(first.Revision - 1); ok {
		t.Error("there was a policy before the first")
	}
}

func TestBrokenPolicyIsRefused(t *testing.T) {
	m := begin(t)
	m.do(registry.SetPolicy{Text: routerPolicy})
	_, err := m.try(registry.SetPolicy{Text: `{"grants": [{"src": ["group:nobody"], "dst": ["*"], "ip": ["*"]}]}`, File: "p.hujson"})
	var refused *registry.PolicyError
	var all policy.Errors
	if !errors.Is(err, registry.ErrPolicy) || !errors.As(err, &refused) || !errors.As(err, &all) || !strings.Contains(err.Error(), "p.hujson:1") {
		t.Errorf("a broken policy gives %v", err)
	}
	if m.state.Policy().Text != routerPolicy {
		t.Error("a broken policy is in force")
	}
	m.refused(registry.SetPolicy{Text: "{}", File: "p\n"}, registry.ErrInvalid)
}

func TestHistoryIsBounded(t *testing.T) {
	m := begin(t)
	for i := range 130 {
		m.do(registry.SetPolicy{Text: fmt.Sprintf("{} // %d\n", i)})
	}
	all := m.state.Policies()
	if len(all) != 100 || all[99].Text != "{} // 129\n" || all[0].Text != "{} // 30\n" {
		t.Errorf("%d policies are kept, from %q to %q", len(all), all[0].Text, all[len(all)-1].Text)
	}
}

func TestRoutes_A20(t *testing.T) {
	m := begin(t)
	box, n := m.join("gate", registry.CreateToken{Tags: []string{"tag:router"}})
	outside := netip.MustParsePrefix("192.168.1.0/24")
	report := registry.Report{Node: n.ID, Statement: n.Statement, Advertised: []netip.Prefix{route, outside}, OS: "linux", Version: "1"}
	m.do(report)
	_ = box
	routes := func() string { return fmt.Sprint(m.node("gate").Routes()) }
	if routes() != "[]" {
		t.Fatalf("without a policy %s are approved", routes())
	}
	m.do(registry.SetPolicy{Text: routerPolicy})
	if routes() != "[10.20.0.0/16]" || m.node("gate").ApprovedRoutes[route] != registry.ByPolicy {
		t.Fatalf("the policy approved %s", routes())
	}
	m.do(registry.ApproveRoute{Node: "gate", Prefix: outside})
	if routes() != "[10.20.0.0/16 192.168.1.0/24]" || m.node("gate").ApprovedRoutes[outside] != string(ana) {
		t.Fatalf("a person approved %s", routes())
	}
	if m.do(registry.ApproveRoute{Node: "gate", Prefix: outside}).Changed {
		t.Error("a second approval is a change")
	}
	m.do(registry.TagNode{Node: "gate", Tags: []string{"tag:other"}})
	if routes() != "[192.168.1.0/24]" {
		t.Fatalf("without its tag %s are approved", routes())
	}
	m.do(registry.TagNode{Node: "gate", Tags: []string{"tag:router"}})
	m.do(registry.SetPolicy{Text: "{}"})
	if routes() != "[192.168.1.0/24]" {
		t.Fatalf("without the policy's word %s are approved", routes())
	}
	m.do(registry.ApproveRoute{Node: "gate", Prefix: outside, Withdraw: true})
	if routes() != "[]" || m.node("gate").ApprovedRoutes != nil {
		t.Fatalf("after withdrawal %s are approved", routes())
	}
	m.refused(registry.ApproveRoute{Node: "gate", Prefix: outside, Withdraw: true}, registry.ErrNotFound)
	m.refused(registry.ApproveRoute{Node: "gate", Prefix: netip.MustParsePrefix("172.16.0.0/12")}, registry.ErrNotFound)
	m.refused(registry.ApproveRoute{Node: "gate", Prefix: netip.MustParsePrefix("100.64.0.0/16")}, registry.ErrInvalid)

	m.do(registry.ApproveRoute{Node: "gate", Prefix: route})
	report.Advertised = nil
	if m.do(report); routes() != "[]" {
		t.Errorf("%s count, and nothing is advertised", routes())
	}
	if m.do(registry.SetPolicy{Text: routerPolicy}).Node != nil {
		t.Error("the result of a policy names a node")
	}
}

// A person's approval over the policy's outlives the policy's.
func TestPersonApprovesWhatPolicyApproved(t *testing.T) {
	m := begin(t)
	m.do(registry.SetPolicy{Text: routerPolicy})
	_, n := m.join("gate", registry.CreateToken{Tags: []string{"tag:router"}})
	m.do(registry.Report{Node: n.ID, Advertised: []netip.Prefix{route}})
	m.do(registry.ApproveRoute{Node: "gate", Prefix: route})
	m.do(registry.SetPolicy{Text: "{}"})
	if got := m.node("gate").Routes(); len(got) != 1 {
		t.Errorf("routes are %v", got)
	}
	m.do(registry.SetPolicy{Text: routerPolicy})
	m.do(registry.ApproveRoute{Node: "gate", Prefix: route, Withdraw: true})
	m.do(registry.Report{Node: n.ID, Advertised: []netip.Prefix{route}, OS: "x"})
	m.refused(registry.ApproveRoute{Node: "gate", Prefix: route, Withdraw: true}, registry.ErrInvalid)
}

func TestTakenRevocationPassesTheRouteOn(t *testing.T) {
	m := begin(t)
	m.do(registry.SetPolicy{Text: routerPolicy})
	var boxes []*machine
	for _, name := range []string{"one", "two"} {
		box, n := m.join(name, registry.CreateToken{Tags: []string{"tag:router"}})
		m.do(registry.Report{Node: n.ID, Advertised: []netip.Prefix{route}})
		boxes = append(boxes, box)
	}
	m.do(registry.TakeRevocations{Revocations: []registry.Revocation{{Key: boxes[0].node.Public(), Epoch: 7}}})
	if got := m.node("two").Routes(); len(got) != 1 {
		t.Errorf("the other gateway carries %v", got)
	}
}

// Nodes refuse a map in which a prefix has two gateways.
func TestOneGatewayForAPrefix(t *testing.T) {
	m := begin(t)
	for _, name := range []string{"one", "two"} {
		_, n := m.join(name, registry.CreateToken{Tags: []string{"tag:router"}})
		m.do(registry.Report{Node: n.ID, Statement: n.Statement, Advertised: []netip.Prefix{route}})
	}
	m.do(registry.ApproveRoute{Node: "two", Prefix: route})
	m.refused(registry.ApproveRoute{Node: "one", Prefix: route}, registry.ErrExists)
	m.do(registry.SetPolicy{Text: routerPolicy})
	if got := m.node("one").Routes(); len(got) != 0 {
		t.Fatalf("the policy gave %v to a second gateway", got)
	}
	m.do(registry.RemoveNode{Node: "two"})
	if got := m.node("one").Routes(); len(got) != 1 {
		t.Error("the route found no other gateway when its first was removed")
	}
}

func (m *mesh) node(name string) *registry.Node {
	m.t.Helper()
	n, ok := m.state.FindNode(name)
	if !ok {
		m.t.Fatalf("no node %q", name)
	}
	return n
}
