package compile

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// SetPolicy takes on another policy for the same nodes. A policy that says the
// same, such as one with a comment more, gives an empty Change. A nil one
// denies all.
func (m *Mesh) SetPolicy(pol *policy.Policy) Change {
	fresh := newBook(pol)
	if m.book.same(fresh) {
		for i, p := range m.book.parts {
			p.rule, p.words = fresh.parts[i].rule, fresh.parts[i].words // their lines may be others
		}
		m.pol = pol
		return Change{}
	}
	next := m.With(pol)
	d := diff{old: m, new: next}
	change := d.run()
	*m = *next
	return change
}

// With gives a second mesh with the same nodes under another policy, to test and
// explain an edit before it counts.
func (m *Mesh) With(pol *policy.Policy) *Mesh {
	next := New(pol, m.ranges)
	nodes := make([]Node, 0, len(m.nodes))
	for _, n := range m.nodes {
		nodes = append(nodes, n.Node)
	}
	next.Load(nodes)
	return next
}

// diff compares two meshes with the same nodes.
type diff struct {
	old, new *Mesh
	pairs    []pair
	groups   map[group][]int // indexes of pairs
}

// pair is a node as it was and as it is.
type pair struct {
	was, is *node
	changed bool
}

// group is what decides over whom a node sees: its nodes differ alike. The
// owner counts only where rules ask for it.
type group struct {
	was, is *profile
	owner   acl.Owner
}

func (d *diff) run() Change {
	d.groups = make(map[group][]int)
	bySelf := d.old.book.hasSelf || d.new.book.hasSelf
	for id, was := range d.old.nodes {
		is := d.new.nodes[id]
		p := pair{was, is, !was.record.equal(is.record)}
		was.view, is.view = len(d.pairs), len(d.pairs)
		g := group{was: was.profile, is: is.profile}
		if bySelf {
			g.owner = is.record.owner
		}
		d.groups[g] = append(d.groups[g], len(d.pairs))
		d.pairs = append(d.pairs, p)
	}
	var change Change
	before, after := make([]int, len(d.pairs)), make([]int, len(d.pairs)) // stamps
	stamp := 0
	for g, members := range d.groups {
		stamp++
		upserted, removed := d.peers(g, d.pairs[members[0]], before, after, stamp)
		rules := !equalRules(d.old.rulesOf(g.was), d.new.rulesOf(g.is))
		for _, i := range members {
			p := &d.pairs[i]
			v := View{Node: p.is.ID, Self: p.changed, Rules: rules, upserted: upserted, removed: removed}
			if v.Self || v.Rules || !only(upserted, v.Node) || !only(removed, v.Node) {
				change.Views = append(change.Views, v)
			}
		}
	}
	return change
}

// peers gives what changes for every node of a group. The lists may hold nodes
// of the group: none is its own peer, and View leaves it out.
func (d *diff) peers(g group, one pair, before, after []int, stamp int) (upserted, removed []string) {
	was := d.old.circle(one.was)
	is := d.new.circle(one.is)
	for _, n := range was {
		before[n.view] = stamp
	}
	for _, n := range is {
		after[n.view] = stamp
		if before[n.view] != stamp || d.pairs[n.view].changed {
			upserted = append(upserted, n.ID)
		}
	}
	for _, n := range was {
		if after[n.view] != stamp {
			removed = append(removed, n.ID)
		}
	}
	return upserted, removed
}

// circle gives the peers of a node and of all who differ from it in nothing
// but their id; the node itself is in it if two such nodes see each other.
func (m *Mesh) circle(n *node) []*node {
	var all []*node
	for _, p := range m.adjacent(n.profile) {
		all = append(all, p.nodes...)
	}
	round := m.round
	if m.book.hasSelf && n.record.owner != 0 && n.profile.mark != round && m.reaches(n, n) {
		all = append(all, n)
	}
	return m.appendOwn(all, n, round)
}

// only tells whether a list holds nobody but id.
func only(list []string, id string) bool {
	return !slices.ContainsFunc(list, func(one string) bool { return one != id })
}
