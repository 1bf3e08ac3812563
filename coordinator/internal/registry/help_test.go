package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

var (
	ctx   = context.Background()
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ana   = registry.Operator("ana")
	route = netip.MustParsePrefix("10.20.0.0/16")
)

// machine is a node as its owner sees it.
type machine struct {
	node   key.NodePrivate
	tunnel key.TunnelPrivate
	path   key.PathPrivate
}

func newMachine() *machine { return &machine{key.NewNode(), key.NewTunnel(), key.NewPath()} }

func (m *machine) id() string { return wire.NodeID(m.node.Public()) }

func (m *machine) statement(sequence uint64) *wire.Statement {
	return wire.SignStatement(&m.node, m.tunnel.Public(), m.path.Public(), sequence)
}

func (m *machine) enrol(secret, name string) registry.Enrol {
	return registry.Enrol{Secret: registry.HashSecret(secret), Key: m.node.Public(), Name: name, Statement: m.statement(1), OS: "linux", Version: "1"}
}

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// mesh is a state under test: commands go through Decide, at a clock of its own.
type mesh struct {
	t       tester
	decider registry.Decider
	state   *registry.State
	now     time.Time
	last    registry.Decision
}

// begin gives an initialised mesh in which the policy approves 10.0.0.0/8
// behind nodes with tag:router.
func begin(t tester) *mesh {
	m := &mesh{t: t, state: &registry.State{}, now: noon}
	m.decider.AutoApprove = func(p *policy.Policy, n registry.Node, prefix netip.Prefix) bool {
		_, known := p.TagOwners("tag:router")
		return known && len(n.Tags) == 1 && n.Tags[0] == "tag:router" && netip.MustParsePrefix("10.0.0.0/8").Contains(prefix.Addr())
	}
	m.do(registry.Init{Mesh: wire.MeshID{1}, Domain: "mesh.example", IPv4: ipam.DefaultIPv4(), IPv6: netip.MustParsePrefix("fd12:3456:789a::/48")})
	return m
}

func (m *mesh) try(c registry.Command) (registry.Result, error) {
	d, err := m.decider.Decide(m.state, c, ana, m.now)
	m.last, m.state = d, d.Next
	return d.Result, err
}

func (m *mesh) do(c registry.Command) registry.Result {
	m.t.Helper()
	r, err := m.try(c)
	if err != nil {
		m.t.Fatalf("%T: %v", c, err)
	}
	return r
}

// refused checks that a command is refused with an error, and changes nothing.
func (m *mesh) refused(c registry.Command, want error) error {
	m.t.Helper()
	before := m.state
	_, err := m.try(c)
	if !errors.Is(err, want) {
		m.t.Fatalf("%+v gives %v, want %v", c, err, want)
	}
	if m.state != before || len(m.last.Entries) > 0 {
		m.t.Fatalf("%+v was refused and changed the state", c)
	}
	return err
}

func (m *mesh) token(id string, c registry.CreateToken) {
	m.t.Helper()
	c.ID, c.Secret = id, registry.HashSecret(id)
	if c.Kind == "" {
		c.Kind = registry.EnrolToken
	}
	if c.User == "" && c.Tags == nil && c.Kind == registry.EnrolToken {
		c.User = "ana@clinic.example"
	}
	m.do(c)
}

// join enrols a new machine with a token of its own.
func (m *mesh) join(name string, c registry.CreateToken) (*machine, *registry.Node) {
	m.t.Helper()
	secret := fmt.Sprint("t-", m.state.Revision)
	m.token(secret, c)
	box := newMachine()
	return box, m.do(box.enrol(secret, name)).Node
}

func (m *mesh) encoded() string {
	m.t.Helper()
	b, err := registry.EncodeState(m.state)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// replayed gives the state that the journal makes of one, by entries as it keeps them.
func replayed(t tester, from *registry.State, entries []registry.Entry) *registry.State {
	t.Helper()
	for _, e := range entries {
		b, err := registry.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := registry.DecodeEntry(e.Revision, b)
		if err != nil {
			t.Fatal(err)
		}
		from = registry.Apply(from, back)
	}
	return from
}
