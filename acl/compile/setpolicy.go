package compile

import (
	"iter"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// SetPolicy takes on another policy for the same nodes. A policy that says the
// same, such as one with a comment more, gives an empty Change. A nil one
// denies all.
func (m *Mesh) SetPolicy(pol *policy.Policy) Change {
	fresh := newBook(pol, m.book.signIn)
	if m.book.same(fresh) {
		for i, p := range m.book.parts {
			p.rule, p.words = fresh.parts[i].rule, fresh.parts[i].words // their lines may be others
		}
		m.pol, m.ssh = pol, nil
		return Change{}
	}
	return m.turnInto(m.With(pol))
}

// RequireSignIn says whether people must be signed in at their device for what the
// policy lets them do. No break-glass lifts that: who breaks it must be known.
// A new mesh does not ask for it.
func (m *Mesh) RequireSignIn(required bool) Change {
	if required == m.book.signIn {
		return Change{}
	}
	return m.turnInto(m.with(m.pol, required))
}

// turnInto makes m what another mesh with the same nodes is.
func (m *Mesh) turnInto(next *Mesh) Change {
	d := diff{old: m, new: next}
	change := d.run()
	*m = *next
	return change
}

// With gives a second mesh with the same nodes under another policy, to test and
// explain an edit before it counts.
func (m *Mesh) With(pol *policy.Policy) *Mesh { return m.with(pol, m.book.signIn) }

func (m *Mesh) with(pol *policy.Policy, signIn bool) *Mesh {
	next := m.emptied(pol, signIn)
	next.Load(m.given())
	return next
}

// emptied gives a mesh under another policy without its nodes.
func (m *Mesh) emptied(pol *policy.Policy, signIn bool) *Mesh {
	next := newMesh(pol, m.ranges, signIn)
	next.day, next.now, next.declared = m.day, m.now, m.declared
	return next
}

// given gives the nodes as they were put.
func (m *Mesh) given() []Node {
	nodes := make([]Node, 0, len(m.nodes))
	for _, n := range m.nodes {
		given := n.Node
		given.Routes = slices.Concat(n.Routes, n.defaults)
		nodes = append(nodes, given)
	}
	return nodes
}

// diff compares two meshes with the same nodes.
type diff struct {
	old, new      *Mesh
	pairs         []pair
	groups        map[group][]int // indexes of pairs
	before, after []int           // pair -> the group that saw it last, and sees it
	bySelf        bool
}

// pair is a node as it was and as it is.
type pair struct {
	was, is *node
	changed bool
	ended   bool // it may be good for less
}

// pairOf compares a node's records. The classes of two policies are compared by
// their numbers alone: in an edit it is rules, not nodes, that mostly change.
func pairOf(was, is *node) pair {
	old, fresh := was.record, is.record
	return pair{was: was, is: is, changed: !old.equal(fresh),
		ended: old.owner != fresh.owner || shorter(old.facts, fresh.facts) || !slices.Equal(old.prefixes, fresh.prefixes) ||
			unseated(old.seats, fresh.seats, func(was, is acl.Class) bool { return was != is })}
}

// group is what decides over whom a node sees, but for nodes of one owner.
type group struct{ was, is *profile }

func (d *diff) run() Change {
	d.groups = make(map[group][]int)
	d.bySelf = d.old.book.hasSelf || d.new.book.hasSelf
	for id, was := range d.old.nodes {
		is := d.new.nodes[id]
		was.pair, is.pair = len(d.pairs), len(d.pairs)
		g := group{was.profile, is.profile}
		d.groups[g] = append(d.groups[g], len(d.pairs))
		d.pairs = append(d.pairs, pairOf(was, is))
	}
	d.before, d.after = make([]int, len(d.pairs)), make([]int, len(d.pairs))
	var change Change
	stamp := 0
	for g, members := range d.groups {
		stamp++
		seen := d.peers(g, stamp)
		rules := !d.old.setOf(g.was).equal(d.new.setOf(g.is))
		for _, i := range members {
			if c := d.toldOf(&d.pairs[i], seen, rules, stamp); !c.empty() {
				change.crowds = append(change.crowds, c)
			}
		}
	}
	return change
}

// seen is what changes of the peers of a node.
type seen struct {
	upserted, removed []string
	ended             bool
}

// toldOf gives what one node of a group is told, of whose peers all that changes is seen.
func (d *diff) toldOf(p *pair, all seen, rules bool, stamp int) crowd {
	if d.bySelf {
		all = d.own(all, p, stamp)
	}
	news := News{Self: p.changed, Rules: rules, Ended: all.ended || p.ended}
	if !only(all.upserted, p.is.ID) {
		news.upserted = [][]string{all.upserted}
	}
	if !only(all.removed, p.is.ID) {
		news.removed = [][]string{all.removed}
	}
	return crowd{[]string{p.is.ID}, news}
}

// peers gives what changes for every node of a group, whoever owns it. The
// lists may hold nodes of the group: none is its own peer, and a view leaves it out.
func (d *diff) peers(g group, stamp int) (all seen) {
	was, is := d.old.adjacent(g.was), d.new.adjacent(g.is)
	for n := range nodesOf(was) {
		d.before[n.pair] = stamp
	}
	for n := range nodesOf(is) {
		d.after[n.pair] = stamp
		known, p := d.before[n.pair] == stamp, &d.pairs[n.pair]
		if !known || p.changed {
			all.upserted = append(all.upserted, n.ID)
		}
		all.ended = all.ended || known && p.ended
	}
	for n := range nodesOf(was) {
		if d.after[n.pair] != stamp {
			all.removed = append(all.removed, n.ID)
		}
	}
	return all
}

func nodesOf(profiles []*profile) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for _, p := range profiles {
			for _, n := range p.nodes {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// own corrects what a group sees for the nodes that one of it sees because they
// are of one owner.
func (d *diff) own(all seen, p *pair, stamp int) seen {
	if p.is.record.owner == 0 {
		return all
	}
	for _, other := range d.new.byOwner[p.is.record.owner] {
		q := &d.pairs[other.pair]
		if q.is == p.is {
			continue
		}
		before, after := d.before[other.pair] == stamp, d.after[other.pair] == stamp
		was := before || d.old.reaches(p.was, q.was) || d.old.reaches(q.was, p.was)
		is := after || d.new.reaches(p.is, q.is) || d.new.reaches(q.is, p.is)
		all.upserted = put(all.upserted, other.ID, after && (!before || q.changed), is && (!was || q.changed))
		all.removed = put(all.removed, other.ID, before && !after, was && !is)
		all.ended = all.ended || was && is && q.ended
	}
	return all
}

// put gives a list with id in it or not, as wanted; a list that is shared is
// copied first.
func put(list []string, id string, has, want bool) []string {
	switch {
	case want && !has:
		return append(slices.Clip(list), id)
	case has && !want:
		return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return one == id })
	}
	return list
}

// only tells whether a list holds nobody but id.
func only(list []string, id string) bool {
	return !slices.ContainsFunc(list, func(one string) bool { return one != id })
}
