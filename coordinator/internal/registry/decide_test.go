package registry_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func TestInit(t *testing.T) {
	m := &mesh{t: t, state: &registry.State{}, now: noon}
	good := registry.Init{Mesh: wire.MeshID{1}, Domain: "mesh.example", IPv4: ipam.DefaultIPv4(), IPv6: ipam.RandomULA()}
	m.refused(registry.RemoveNode{Node: "x"}, registry.ErrUninitialised)
	for _, bad := range []registry.Init{
		{}, {Mesh: good.Mesh, Domain: "Mesh.Example", IPv4: good.IPv4, IPv6: good.IPv6},
		{Mesh: good.Mesh, Domain: good.Domain, IPv4: good.IPv6, IPv6: good.IPv4},
		{Mesh: good.Mesh, Domain: good.Domain, IPv4: good.IPv4},
		{Domain: good.Domain, IPv4: good.IPv4, IPv6: good.IPv6},
	} {
		m.refused(bad, registry.ErrInvalid)
	}
	m.do(good)
	if !m.state.Initialised() || m.state.Incarnation != 1 || m.state.Revision != 1 {
		t.Errorf("after init: %+v", m.state)
	}
	m.refused(good, registry.ErrInitialised)
}

func TestEnrol(t *testing.T) {
	m := begin(t)
	box, n := m.join("Ana's MacBook.local", registry.CreateToken{})
	if n.ID != box.id() || n.Name != "ana-s-macbook" || n.User != "ana@clinic.example" || !n.Approved ||
		n.TunnelKey != box.tunnel.Public() || n.PathKey != box.path.Public() || n.Sequence != 1 {
		t.Errorf("enrolled %+v", n)
	}
	if len(n.Addresses) != 2 || n.Addresses[0] != netip.MustParseAddr("100.64.0.1") || n.Addresses[1] != netip.MustParseAddr("fd12:3456:789a::1") {
		t.Errorf("addresses are %v", n.Addresses)
	}
	for _, find := range []string{n.ID, n.Name, "ANA-S-MACBOOK", "ana-s-macbook.mesh.example", "ana-s-macbook.mesh.example."} {
		if got, ok := m.state.FindNode(find); !ok || got != n {
			t.Errorf("%q finds %v", find, got)
		}
	}
	_, second := m.join("ana-s-macbook", registry.CreateToken{})
	_, third := m.join("ana-s-macbook", registry.CreateToken{})
	if second.Name != "ana-s-macbook-2" || third.Name != "ana-s-macbook-3" {
		t.Errorf("names are %q and %q", second.Name, third.Name)
	}
	if second.Addresses[0] == n.Addresses[0] || second.Addresses[1] == n.Addresses[1] {
		t.Error("two nodes have one address")
	}
	_, tagged := m.join("server", registry.CreateToken{Tags: []string{"tag:b", "tag:a", "tag:b"}, NeedsApproval: true})
	if tagged.Approved || strings.Join(tagged.Tags, " ") != "tag:a tag:b" || tagged.User != "" {
		t.Errorf("tagged node is %+v", tagged)
	}
	if m.do(registry.ApproveNode{Node: "server"}); !m.last.Result.Node.Approved || !m.last.Result.Changed {
		t.Error("approval did not approve")
	}
	if m.do(registry.ApproveNode{Node: "server"}).Changed {
		t.Error("a second approval is a change")
	}
}

func TestTokens(t *testing.T) {
	m := begin(t)
	m.token("once", registry.CreateToken{})
	box := newMachine()
	m.do(box.enrol("once", "a"))

	// The same machine again: the answer was lost, and the token is not asked for more.
	before := m.state
	if again := m.do(box.enrol("once", "other")); again.Changed || again.Node.Name != "a" || m.state != before {
		t.Errorf("a repeated enrolment gives %+v", again)
	}
	err := m.refused(newMachine().enrol("once", "b"), registry.ErrToken)
	if len(m.last.Records) != 1 || m.last.Records[0].Action != "node.enrol.refuse" || m.last.Records[0].Revision != m.state.Revision {
		t.Errorf("the refusal of a spent token left the records %+v", m.last.Records)
	}
	if !strings.Contains(err.Error(), "spent") {
		t.Errorf("%q does not say why", err)
	}

	m.refused(newMachine().enrol("never made", "b"), registry.ErrToken)
	if len(m.last.Records) != 0 {
		t.Error("a made-up secret wrote to the audit: anybody could fill the disk")
	}

	m.token("other", registry.CreateToken{Uses: 2})
	m.refused(box.enrol("other", "a"), registry.ErrKnownKey)
	m.do(registry.RevokeToken{ID: "other"})
	m.refused(newMachine().enrol("other", "b"), registry.ErrToken)
	if m.do(registry.RevokeToken{ID: "other"}).Changed {
		t.Error("a second revocation is a change")
	}

	m.token("short", registry.CreateToken{Lifetime: time.Minute})
	m.now = m.now.Add(time.Minute - time.Millisecond)
	if _, err := m.decider.Decide(m.state, newMachine().enrol("short", "b"), ana, m.now); err != nil {
		t.Errorf("a token is refused before its end: %v", err)
	}
	m.now = m.now.Add(time.Millisecond)
	m.refused(newMachine().enrol("short", "b"), registry.ErrToken)

	m.token("admin", registry.CreateToken{Kind: registry.AdminToken, Scopes: []string{"nodes:read"}, Lifetime: time.Minute})
	if err := m.refused(newMachine().enrol("admin", "b"), registry.ErrToken); !strings.Contains(err.Error(), "no enrolment token") {
		t.Errorf("an admin token enrols with %v", err)
	}
	admin, _ := m.state.Token("admin")
	if !m.state.TokenPermits(admin, "nodes:read", m.now) || m.state.TokenPermits(admin, "nodes:write", m.now) || m.state.TokenPermits(admin, "", m.now) || m.state.TokenPermits(admin, "nodes:read", m.now.Add(time.Minute)) {
		t.Error("an admin token permits what it should not, or not what it should")
	}
	enrol, _ := m.state.Token("once")
	if m.state.TokenPermits(enrol, "nodes:read", noon) || m.state.TokenPermits(nil, "nodes:read", noon) {
		t.Error("what is no admin token permits something")
	}
}

func TestRevokedTokenIsNotRepeated_A14(t *testing.T) {
	m := begin(t)
	m.token("t", registry.CreateToken{Uses: 2})
	box := newMachine()
	m.do(box.enrol("t", "a"))
	m.do(registry.RevokeToken{ID: "t"})
	m.refused(box.enrol("t", "a"), registry.ErrToken)
}

func TestCreateTokenRefuses(t *testing.T) {
	m := begin(t)
	m.token("taken", registry.CreateToken{})
	h := registry.HashSecret("x")
	user, tags := "ana@clinic.example", []string{"tag:a"}
	for _, c := range []struct {
		registry.CreateToken
		want error
	}{
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken, User: user, Tags: tags}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken, User: "ana"}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken, User: "a@b@c"}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken, Tags: []string{"a"}}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken, User: user, Scopes: tags}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken, User: user, Uses: registry.MaxUses + 1}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken, User: user, Lifetime: -1}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.EnrolToken, User: user, Lifetime: registry.MaxTokenLifetime + 1}, registry.ErrInvalid},
		{registry.CreateToken{ID: "", Secret: h, Kind: registry.EnrolToken, User: user}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a b", Secret: h, Kind: registry.EnrolToken, User: user}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Kind: registry.EnrolToken, User: user}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, User: user}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.AdminToken}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.AdminToken, Scopes: []string{""}}, registry.ErrInvalid},
		{registry.CreateToken{ID: "a", Secret: h, Kind: registry.AdminToken, Scopes: tags, Uses: 1}, registry.ErrInvalid},
		{registry.CreateToken{ID: "taken", Secret: h, Kind: registry.EnrolToken, User: user}, registry.ErrExists},
		{registry.CreateToken{ID: "a", Secret: registry.HashSecret("taken"), Kind: registry.EnrolToken, User: user}, registry.ErrExists},
	} {
		m.refused(c.CreateToken, c.want)
	}
}

func TestEnrolRefuses_A14_A19(t *testing.T) {
	m := begin(t)
	m.token("t", registry.CreateToken{Uses: 9})
	victim := newMachine()
	m.do(victim.enrol("t", "victim"))

	box, other := newMachine(), newMachine()
	c := box.enrol("t", "x")
	c.Statement = nil
	m.refused(c, registry.ErrInvalid)
	c.Statement = other.statement(1) // signed by another node
	m.refused(c, registry.ErrInvalid)
	c = box.enrol("t", "x")
	c.Key = key.NodePublic{}
	m.refused(c, registry.ErrInvalid)
	c = box.enrol("t", "x")
	c.OS = "evil\x1b[2J"
	m.refused(c, registry.ErrInvalid)
	c.OS = strings.Repeat("x", 1000)
	m.refused(c, registry.ErrInvalid)

	// A node that claims another one's tunnel key would cut that one off.
	c = box.enrol("t", "x")
	c.Statement = wire.SignStatement(&box.node, victim.tunnel.Public(), box.path.Public(), 1)
	m.refused(c, registry.ErrExists)

	if tok, _ := m.state.Token("t"); tok.UsesLeft != 8 {
		t.Errorf("refusals spent uses: %d are left", tok.UsesLeft)
	}
}

// Whoever has somebody's machine, and an enrolment token of their own, does not make it
// theirs, nor a server: its key keeps owner and end.
func TestKnownKeyKeepsItsOwner_A19(t *testing.T) {
	m := begin(t)
	m.token("anas", registry.CreateToken{User: "ana@clinic.example"})
	m.token("bens", registry.CreateToken{User: "ben@clinic.example"})
	m.token("lab", registry.CreateToken{Tags: []string{"tag:lab"}})
	box := newMachine()
	before := m.do(box.enrol("anas", "laptop")).Node
	for _, token := range []string{"bens", "lab"} {
		m.refused(box.enrol(token, "laptop"), registry.ErrKnownKey)
	}
	if now := m.node("laptop"); now.User != "ana@clinic.example" || len(now.Tags) > 0 || !now.Expires.Equal(before.Expires) {
		t.Errorf("the machine is %+v, and was %+v", now, before)
	}
}

func TestRemovedKeyNeverReturns_A24(t *testing.T) {
	m := begin(t)
	box, n := m.join("a", registry.CreateToken{})
	m.do(registry.RemoveNode{Node: "a"})
	if _, ok := m.state.FindNode("a"); ok || m.state.Epoch != 1 || m.state.NodeCount() != 0 {
		t.Fatalf("after removal: %d nodes, epoch %d", m.state.NodeCount(), m.state.Epoch)
	}
	if r, ok := m.state.Revoked(box.node.Public()); !ok || r.Node != n.ID || r.Epoch != 1 || !r.Time.Equal(noon) {
		t.Errorf("revocation is %+v, %t", r, ok)
	}
	m.token("again", registry.CreateToken{})
	m.refused(box.enrol("again", "a"), registry.ErrRevokedKey)
	m.refused(registry.RemoveNode{Node: "a"}, registry.ErrNotFound)
	m.refused(registry.Report{Node: n.ID, Statement: box.statement(2)}, registry.ErrNotFound)
	_, next := m.join("a", registry.CreateToken{})
	if next.Name != "a" || next.Addresses[0] == n.Addresses[0] {
		t.Errorf("the name is free and the address is not: got %q %v", next.Name, next.Addresses)
	}
}

func TestReport(t *testing.T) {
	m := begin(t)
	box, n := m.join("a", registry.CreateToken{})
	same := registry.Report{Node: n.ID, Statement: n.Statement, OS: "linux", Version: "1"}
	if m.do(same).Changed || len(m.last.Records) > 0 {
		t.Error("the same report again is a change")
	}
	same.Statement = nil
	if m.do(same).Changed {
		t.Error("a report without a statement changes the keys")
	}
	box.tunnel = key.NewTunnel()
	newer := registry.Report{Node: n.ID, Statement: box.statement(7), OS: "linux", Version: "2", Advertised: []netip.Prefix{route, route}}
	got := m.do(newer).Node
	if got.TunnelKey != box.tunnel.Public() || got.Version != "2" || len(got.Advertised) != 1 || len(got.Routes()) != 0 {
		t.Errorf("after the report: %+v", got)
	}
	if n.Version != "1" || len(n.Advertised) != 0 {
		t.Error("the report changed a node that a reader holds")
	}
	older := newer
	older.Statement = box.statement(6)
	m.refused(older, registry.ErrStale)
	box.path = key.NewPath()
	older.Statement = box.statement(7) // another one at the same sequence
	m.refused(older, registry.ErrStale)
	older.Statement = newMachine().statement(9)
	m.refused(older, registry.ErrInvalid)
	m.refused(registry.Report{Node: "a"}, registry.ErrNotFound) // a node is known by its id alone

	for _, bad := range []string{"100.64.0.0/10", "100.64.3.0/24", "64.0.0.0/2", "fd12:3456::/32", "10.0.0.1/8", "127.0.0.0/8", "224.0.0.0/4", "::ffff:10.0.0.0/104"} {
		m.refused(registry.Report{Node: n.ID, Advertised: []netip.Prefix{netip.MustParsePrefix(bad)}}, registry.ErrInvalid)
	}
	m.refused(registry.Report{Node: n.ID, Advertised: make([]netip.Prefix, registry.MaxAdvertised+1)}, registry.ErrInvalid)
	m.do(registry.Report{Node: n.ID, Advertised: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
}

func TestTunnelKeyIsFreeAgain(t *testing.T) {
	m := begin(t)
	box, n := m.join("a", registry.CreateToken{})
	old := box.tunnel
	box.tunnel = key.NewTunnel()
	m.do(registry.Report{Node: n.ID, Statement: box.statement(2)})
	other, o := m.join("b", registry.CreateToken{})
	other.tunnel = old
	m.do(registry.Report{Node: o.ID, Statement: other.statement(2)})
	m.do(registry.RemoveNode{Node: o.ID})
	box.tunnel = old
	m.do(registry.Report{Node: n.ID, Statement: box.statement(3)})
}

func TestTagNode_A20(t *testing.T) {
	m := begin(t)
	_, n := m.join("a", registry.CreateToken{})
	r := m.do(registry.TagNode{Node: "a", Tags: []string{"tag:x"}})
	if r.Node.Owner() != "" || len(r.Warnings) != 1 {
		t.Errorf("a tagged node belongs to %q; warnings %q", r.Node.Owner(), r.Warnings)
	}
	if back := m.do(registry.TagNode{Node: n.ID}); back.Node.Owner() != "ana@clinic.example" || len(back.Warnings) != 0 {
		t.Errorf("without tags it belongs to %q", back.Node.Owner())
	}
	m.do(registry.SetPolicy{File: "p", Text: routerPolicy})
	if r := m.do(registry.TagNode{Node: "a", Tags: []string{"tag:router"}}); len(r.Warnings) != 0 {
		t.Errorf("warned of a known tag: %q", r.Warnings)
	}
	_, s := m.join("server", registry.CreateToken{Tags: []string{"tag:x"}})
	m.refused(registry.TagNode{Node: s.ID}, registry.ErrInvalid)
	m.refused(registry.TagNode{Node: s.ID, Tags: []string{"x"}}, registry.ErrInvalid)
	m.refused(registry.TagNode{Node: s.ID, Tags: make([]string, registry.MaxTags+1)}, registry.ErrInvalid)
}

func TestNote(t *testing.T) {
	m := begin(t)
	if m.do(registry.Note{Action: "backup.take", Object: "mesh", Detail: "40 MB"}).Changed || len(m.last.Records) != 1 {
		t.Error("a note is one record and no change")
	}
	m.refused(registry.Note{Action: "x\n"}, registry.ErrInvalid)
	m.refused(registry.Note{}, registry.ErrInvalid)
}

func TestRestore(t *testing.T) {
	m := begin(t)
	box, _ := m.join("a", registry.CreateToken{})
	backup := m.state
	m.do(registry.RemoveNode{Node: "a"})
	lost := m.state.Revocations()
	lateBox, late := m.join("late", registry.CreateToken{})
	m.do(registry.RemoveNode{Node: "late"})
	lost = append(lost, m.state.Revocations()[1])

	m.state = backup
	if r := m.do(registry.TakeRevocations{Revocations: lost}); r.Taken != 2 || m.state.Epoch != 2 || m.state.NodeCount() != 0 {
		t.Errorf("took %d revocations, epoch %d, %d nodes", r.Taken, m.state.Epoch, m.state.NodeCount())
	}
	if m.do(registry.TakeRevocations{Revocations: lost}).Changed {
		t.Error("known revocations are a change")
	}
	m.refused(registry.TakeRevocations{Revocations: []registry.Revocation{{}}}, registry.ErrInvalid)
	m.do(registry.TakeRevocations{Revocations: []registry.Revocation{{Key: newMachine().node.Public(), Epoch: 1}}})
	if m.state.Epoch != 2 {
		t.Errorf("an old revocation set the epoch back to %d", m.state.Epoch)
	}
	for _, b := range []*machine{box, lateBox} {
		m.token("again-"+b.id(), registry.CreateToken{})
		m.refused(b.enrol("again-"+b.id(), "a"), registry.ErrRevokedKey)
	}
	before := m.state.Incarnation
	m.do(registry.BeginIncarnation{Reason: "disk lost"})
	first := m.state.Incarnation
	if first <= before {
		t.Errorf("incarnation %d after %d", first, before)
	}
	_, fresh := m.join("fresh", registry.CreateToken{})
	if fresh.Addresses[0] == late.Addresses[0] {
		t.Error("an address that the lost state gave away was given again")
	}
	m.state, m.now = backup, m.now.Add(time.Second)
	if m.do(registry.BeginIncarnation{}); m.state.Incarnation <= first {
		t.Errorf("a second restore of one backup has incarnation %d after %d", m.state.Incarnation, first)
	}
}

func TestAddressesEnd(t *testing.T) {
	m := &mesh{t: t, state: &registry.State{}, now: noon}
	m.do(registry.Init{Mesh: wire.MeshID{1}, Domain: "m", IPv4: netip.MustParsePrefix("10.0.0.0/30"), IPv6: ipam.RandomULA()})
	m.token("t", registry.CreateToken{Uses: 9})
	m.do(newMachine().enrol("t", "a"))
	m.do(newMachine().enrol("t", "b"))
	m.do(registry.RemoveNode{Node: "a"}) // gives nothing back
	err := m.refused(newMachine().enrol("t", "c"), registry.ErrExhausted)
	if !errors.Is(err, ipam.ErrExhausted) || !strings.Contains(err.Error(), "10.0.0.0/30") {
		t.Errorf("%q does not name the range", err)
	}
}
