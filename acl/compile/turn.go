package compile

import (
	"net/netip"
	"slices"
)

// turn is one change of the directory on its way through the mesh:
//
//  1. claims are withdrawn and made in the prefix table (reclaim)
//  2. the prefixes concerned get their classes anew, which touches nodes (sign)
//  3. for each touched node: has what others are told changed? (weigh)
//  4. records, profiles and the parts' lists of classes move on (move, link)
//  5. what was and what is make the views (tell)
//
// Until 4, asking for peers and rules gives the old answers.
type turn struct {
	m       *Mesh
	at      uint64
	bulk    bool // nobody is told: skip what only telling needs
	dirty   []netip.Prefix
	reached []*node
	counts  []*class // classes that gained or lost a prefix
	moved   []move
	stale   []*profile
	loners  []loner
	crowds  []crowd
}

// move is a node whose record changes.
type move struct {
	node   *node
	record record
	stands standing
	fresh  bool
	told   bool       // its record changes, not only what its rules are
	ended  bool       // it may be good for less than was told
	id     [][]string // its own alone

	// What was, and who saw it and sees it.
	from          *profile
	set           *Set
	before, after audience
}

const bulk = true

func (m *Mesh) begin(inBulk bool) *turn {
	m.round++
	return &turn{m: m, at: m.round, bulk: inBulk}
}

// reclass puts an entry into another class.
func (t *turn) reclass(e *entry, c *class) {
	if e.class != nil {
		e.class.entries--
		t.counts = append(t.counts, e.class)
	}
	if c != nil {
		c.entries++
		t.counts = append(t.counts, c)
	}
	e.class = c
}

// touch notes every node whose record may speak of a prefix: those that have
// it, and those that route it or something around it.
func (t *turn) touch(prefix netip.Prefix, e *entry) {
	t.touchNodes(e.hosts)
	t.touchNodes(e.routers)
	for _, outer := range t.m.table.Supernets(prefix) {
		t.touchNodes(outer.routers)
	}
}

func (t *turn) touchNodes(nodes []*node) {
	if t.bulk {
		return
	}
	for _, n := range nodes {
		if n.touched != t.at {
			n.touched = t.at
			t.reached = append(t.reached, n)
		}
	}
}

// finish takes a turn from claims to views.
func (t *turn) finish() Change {
	slices.SortFunc(t.dirty, comparePrefix)
	var signed netip.Prefix
	for _, prefix := range slices.Compact(t.dirty) {
		if !signed.IsValid() || !covers(signed, prefix) { // with all that is inside it
			t.sign(prefix)
			signed = prefix
		}
		if e, ok := t.m.table.Get(prefix); ok {
			t.touch(prefix, e)
		}
	}
	for _, n := range t.reached {
		t.weigh(n)
	}
	for i := range t.moved {
		t.move(&t.moved[i])
	}
	t.link()
	return t.tell()
}

// weigh keeps a touched node for moving if its record changes.
func (t *turn) weigh(n *node) {
	mv := move{node: n, id: [][]string{{n.ID}}, from: n.profile, fresh: n.profile == nil}
	if !n.leaving {
		mv.record, mv.stands = t.m.recordOf(n), t.m.standingOf(n)
	}
	mv.told = mv.fresh || n.leaving || !mv.record.equal(n.record)
	if !mv.told && n.profile.key == mv.stands.key() {
		return
	}
	mv.ended = !n.leaving && t.m.narrower(n.record, mv.record)
	if !mv.fresh {
		mv.before, mv.set = t.m.audienceOf(n), t.m.setOf(n.profile)
	}
	t.moved = append(t.moved, mv)
}

func (t *turn) move(mv *move) {
	if n := mv.node; n.leaving {
		t.m.disown(n)
		t.m.dismiss(n)
		delete(t.m.nodes, n.ID)
		return
	}
	mv.node.settle(t.m, mv.record, mv.stands)
}

// link brings the parts' lists of classes up to date, and finds the profiles
// whose rules that changes.
func (t *turn) link() {
	var born, dead []*class
	for _, c := range t.counts {
		switch {
		case c.entries > 0 && !c.linked:
			c.linked = true
			born = append(born, c)
		case c.entries == 0 && t.m.classes[c.key] == c:
			delete(t.m.classes, c.key)
			delete(t.m.byNum, c.num)
			if c.linked {
				c.linked = false
				dead = append(dead, c)
			}
		}
	}
	if t.bulk {
		all := slices.Concat(born, dead)
		slices.SortFunc(all, byNumber) // once for all lists: each has thousands
		t.m.relist(all)
		for _, p := range t.m.profiles {
			p.rewrite()
		}
		return
	}
	for _, c := range slices.Concat(born, dead) {
		t.stain(c)
	}
	// At an exit node both sides of a rule may come or go at once, and it has neither.
	t.stainExits(dead)
	more := t.m.relist(slices.Concat(born, dead))
	t.stainExits(born)
	if more { // sheets know nothing of a new cell; and whoever is not stale has no rule with it
		for _, p := range t.stale {
			p.rewrite()
		}
	}
}
