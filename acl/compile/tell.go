package compile

import "slices"

// Nodes of one profile see the same of every other node, but for those of their own
// owner. So news is for profiles, which are far fewer than nodes. Only few nodes stand
// apart, each with news of its own: those that moved, and those who see one that moved,
// or saw it, because they are of one owner.

// loner is a node that stands apart, with its profile at both ends: nil where it is not
// in the mesh.
type loner struct {
	node     *node
	profiles [2]*profile
	moved    bool
	News
}

// tell makes the views: for each node that moved, its own, and one for each
// node that saw or sees it; then those of nodes whose rules changed.
func (t *turn) tell() Change {
	t.setApart()
	t.crowds = make([]crowd, 0, len(t.stale))
	for _, p := range t.stale {
		t.crowd(p).Rules = true
	}
	for i := range t.moved {
		t.tellOf(&t.moved[i], &t.loners[i].News)
	}
	for i := range t.loners {
		if l := &t.loners[i]; !l.node.leaving && !l.empty() { // a node's profile may change unseen
			t.crowds = append(t.crowds, crowd{[]string{l.node.ID}, l.News})
		}
	}
	return Change{t.crowds}
}

// setApart finds the nodes that stand apart: first those that moved, in their order.
func (t *turn) setApart() {
	for i := range t.moved {
		mv := &t.moved[i]
		l := loner{node: mv.node, profiles: [2]*profile{mv.from, mv.node.profile}, moved: true}
		if !mv.node.leaving {
			mv.after = t.m.audienceOf(mv.node)
			l.Self, l.Ended = mv.told, mv.ended
			l.Rules = mv.fresh || t.m.othersBegin(mv) || !mv.set.equal(t.m.setOf(mv.node.profile))
		}
		t.addLoner(l)
	}
	for i := range t.moved {
		for _, n := range slices.Concat(t.moved[i].before.own, t.moved[i].after.own) {
			if n.apart != t.at {
				t.addLoner(loner{node: n, profiles: [2]*profile{n.profile, n.profile}, News: News{Rules: n.profile.stale == t.at}})
			}
		}
	}
}

func (t *turn) addLoner(l loner) {
	l.node.apart = t.at
	if p := l.node.profile; p != nil {
		p.parted = t.at
	}
	t.loners = append(t.loners, l)
}

// tellOf tells those who saw or see a node that moved of it, and it of them.
func (t *turn) tellOf(mv *move, own *News) {
	t.m.round++
	round := t.m.round
	mv.before.stamp(before, round)
	mv.after.stamp(after, round)
	gained, lost := mv.after.without(before, round), mv.before.without(after, round)
	own.upserted, own.removed = join(own.upserted, t.idsOf(gained)), join(own.removed, t.idsOf(lost))
	for _, p := range mv.after.profiles {
		t.tellCrowd(p, mv.news(p.sight[before] == round, true))
	}
	for _, p := range lost {
		t.tellCrowd(p, mv.news(true, false))
	}
	for i := range t.loners {
		if l := &t.loners[i]; l.node != mv.node {
			saw, sees := l.sees(before, round), l.sees(after, round)
			l.hear(mv.news(saw, sees))
			if !l.moved { // of one that moved it hears when that is told of
				own.hear(l.news(saw, sees))
			}
		}
	}
}

// news is what those hear of a node that moved who saw it before, or not, and see it now,
// or not.
func (mv *move) news(saw, sees bool) News {
	switch {
	case sees && !saw:
		return News{upserted: mv.id}
	case sees && mv.told:
		return News{upserted: mv.id, Ended: mv.ended}
	case saw && !sees:
		return News{removed: mv.id}
	}
	return News{}
}

// news is what one that moved hears of a loner that did not.
func (l *loner) news(saw, sees bool) News {
	switch {
	case sees && !saw:
		return News{upserted: [][]string{{l.node.ID}}}
	case saw && !sees:
		return News{removed: [][]string{{l.node.ID}}}
	}
	return News{}
}

func (l *loner) sees(at end, round uint64) bool {
	return l.node.sight[at] == round || l.profiles[at] != nil && l.profiles[at].sight[at] == round
}

// hear adds news to others.
func (n *News) hear(more News) {
	n.Ended = n.Ended || more.Ended
	n.upserted, n.removed = join(n.upserted, more.upserted), join(n.removed, more.removed)
}

// join appends without writing over a list that others share: a shared list is clipped,
// so that appending copies it.
func join(list, more [][]string) [][]string {
	if len(list) == 0 {
		return slices.Clip(more)
	}
	return append(list, more...)
}

func (t *turn) tellCrowd(p *profile, news News) {
	if !news.empty() {
		t.crowd(p).hear(news)
	}
}

// crowd gives what a profile's crowd hears: its nodes that do not stand apart. It is
// valid until the next call.
func (t *turn) crowd(p *profile) *News {
	if p.heard != t.at {
		p.heard, p.crowd = t.at, len(t.crowds)
		t.crowds = append(t.crowds, crowd{nodes: t.ids(p)})
	}
	return &t.crowds[p.crowd].News
}

// ids gives the ids of a profile's crowd.
func (t *turn) ids(p *profile) []string {
	if p.parted != t.at {
		return p.ids
	}
	var ids []string
	for _, n := range p.nodes {
		if n.apart != t.at {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

func (t *turn) idsOf(profiles []*profile) [][]string {
	all := make([][]string, 0, len(profiles))
	for _, p := range profiles {
		if ids := t.ids(p); len(ids) > 0 {
			all = append(all, ids)
		}
	}
	return all
}
