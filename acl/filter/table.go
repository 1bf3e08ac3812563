package filter

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// Party is one end of flows: this node, or a peer.
type Party struct {
	ID       string // node id; unique among the peers
	Name     string // for people
	Prefixes []acl.PrefixClass
	Owner    acl.Owner
	Facts    []acl.FactEnd
	Seats    []acl.Seat // of those who work there, each by itself; what is here is not in Prefixes

	// Fronted says that the party is a peer of this node alone, and behind this node
	// for everybody else. See [Batch.Onward].
	Fronted bool
}

// Config is what a map says to the filter.
type Config struct {
	Revision uint64

	// Self has this node's own prefixes and those behind it. A prefix of class 0
	// is ours, and no rule opens it: with such a prefix a gateway keeps its own
	// services out of a network that it forwards to.
	Self  Party
	Peers []Party

	Rules acl.RuleSet

	// Mesh holds the mesh's address ranges. What no peer has in them is refused
	// as an unknown peer, even if somebody has a wider prefix around them.
	Mesh []netip.Prefix

	// Lease is the policy time of the last word from the coordinator, from which
	// a rule's Hold counts. The zero time is before any lease.
	Lease time.Time

	// Features are those, beyond the rule's own fields and [acl.FeatureForbid], that
	// whoever calls the filter sees to. A rule that needs another one is taken as
	// absent if it permits, and as if it had it if it forbids.
	Features []string
}

// Table is a compiled Config: immutable, and safe for any number of readers.
type Table struct {
	revision uint64
	holders  []holder // [0] is this node
	seats    []seat   // by home.seat - 1, of whichever holder has the home: this node's first
	own      int      // how many of seats are this node's
	homes    []home
	places   places
	sides    [2]side // by Direction: the rules that permit
	forbids  [2]side // by Direction: those that forbid
	rules    []rule  // of all sides: a flow names its rule by one index
	services services
	needs    needs
	presence []bool   // by number of a fact: it is that somebody is there
	fronts   bool     // a holder is fronted
	opened   []uint64 // the rules inwards that open anything of this node's, as a set of sides[In]
	lease    int64
}

// holder is a Party, compiled.
type holder struct {
	id, name string
	owner    acl.Owner
	facts    facts
	fronted  bool
}

// Compile makes a Table. It fails if the Config contradicts itself: two peers
// with one id, a prefix that two parties have or that has two classes, a prefix
// or a service that is none. The caller must then permit nothing new: it keeps
// the Table before, or none.
func Compile(c Config) (*Table, error) {
	t := newTable(c.Revision, nanos(c.Lease))
	b := newCompiler(t)
	if err := b.compile(&c); err != nil {
		return nil, fmt.Errorf("compile the filter of revision %d: %w; the map is not to be used, ask the coordinator for a new one", c.Revision, err)
	}
	return t, nil
}

func newTable(revision uint64, lease int64) *Table {
	t := &Table{revision: revision, lease: lease, needs: needs{sets: [][]uint32{nil}}}
	t.forbids[In].forbids, t.forbids[Out].forbids = true, true
	return t
}

// compiler numbers the classes and facts that occur, to find them by index.
type compiler struct {
	table    *Table
	classes  map[acl.Class]uint32
	facts    map[acl.Fact]uint32
	sets     map[string]uint32 // of facts
	prefixes []netip.Prefix    // of the homes
}

func newCompiler(t *Table) *compiler {
	return &compiler{table: t, classes: map[acl.Class]uint32{0: 0}, facts: map[acl.Fact]uint32{}, sets: map[string]uint32{}}
}

func (b *compiler) compile(c *Config) error {
	t := b.table
	t.holders = make([]holder, 0, len(c.Peers)+1)
	ids := make(map[string]bool, len(c.Peers))
	if err := b.party(&c.Self); err != nil {
		return fmt.Errorf("this node: %w", err)
	}
	t.own = len(t.seats)
	for i := range c.Peers {
		p := &c.Peers[i]
		if p.ID == "" || ids[p.ID] {
			return fmt.Errorf("peer id %q is empty or there twice", p.ID)
		}
		ids[p.ID] = true
		if err := b.party(p); err != nil {
			return fmt.Errorf("peer %s: %w", p.ID, err)
		}
	}
	if err := b.reserved(c.Mesh); err != nil {
		return err
	}
	for _, of := range []struct {
		name  string
		d     Direction
		rules []acl.Rule
		side  *side
	}{
		{"in", In, c.Rules.In, &t.sides[In]}, {"out", Out, c.Rules.Out, &t.sides[Out]},
		{"that forbid in", In, c.Rules.ForbidIn, &t.forbids[In]}, {"that forbid out", Out, c.Rules.ForbidOut, &t.forbids[Out]},
	} {
		if err := b.side(of.side, of.d, of.rules, c.Features); err != nil {
			return fmt.Errorf("rules %s: %w", of.name, err)
		}
	}
	t.opened = t.opening()
	b.ahead()
	b.sources(c.Mesh)
	return nil
}

func (b *compiler) party(p *Party) error {
	h := holder{id: p.ID, name: p.Name, owner: p.Owner, facts: b.factsOf(p.Facts), fronted: p.Fronted}
	b.table.fronts = b.table.fronts || p.Fronted
	index := int32(len(b.table.holders))
	b.table.holders = append(b.table.holders, h)
	for _, pc := range p.Prefixes {
		if err := b.place(index, nobodys, pc); err != nil {
			return err
		}
	}
	return b.seats(index, p.Seats)
}
