package diff

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// rectangle is one change from every source to every destination of two sets.
type rectangle struct {
	turn
	open     []acl.Service
	from, to []int // parties, ascending
	own      bool  // to is each person's own nodes, whatever it holds
}

// flow is one change from the parties of one kind to those of some others.
type flow struct {
	turn
	open []acl.Service
	from []int // parties
	to   []int // kinds, ascending
	own  bool
}

// key is what flows share that differ in their sources alone. Many flows lead to
// most kinds: these are no text.
func (f flow) key() string {
	key := fmt.Append(nil, f.turn, f.open, f.own)
	for _, k := range f.to {
		key = binary.AppendUvarint(key, uint64(k))
	}
	return string(key)
}

// all finds what changes from kind to kind, whoever owns them.
func (j *judge) all() []flow {
	kindsAt := make([][]int, len(j.places)) // place -> kinds that have it
	for k := range j.kinds {
		for _, p := range j.kinds[k].places {
			kindsAt[p] = append(kindsAt[p], k)
		}
	}
	found := make(map[int]map[string]*flow) // source kind -> key of the change -> flow
	sole := j.soles()
	for to := range j.kinds {
		sources := newSet(len(j.kinds))
		for _, p := range j.kinds[to].places {
			for src := range j.at(spot{p, j.kinds[to].rules}).touched.all {
				for _, k := range kindsAt[src] {
					sources.add(k)
				}
			}
		}
		for from := range sources.all {
			if !sole[from].same(sole[to]) {
				j.note(found, from, to)
			}
		}
	}
	var flows []flow
	for _, from := range slices.Sorted(maps.Keys(found)) {
		for _, key := range slices.Sorted(maps.Keys(found[from])) {
			flows = append(flows, *found[from][key])
		}
	}
	return flows
}

// sole is the one node that all parties of a kind are of, and the one person whose
// nodes they are; empty if there are several, or none.
type sole struct {
	node  *compile.Node
	owner string
}

func (j *judge) soles() []sole {
	all := make([]sole, len(j.kinds))
	for k := range j.kinds {
		first := j.parties[j.kinds[k].parties[0]]
		all[k] = sole{first.node, first.owner()}
		for _, p := range j.kinds[k].parties[1:] {
			if j.parties[p].node != first.node {
				all[k].node = nil
			}
			if j.parties[p].owner() != first.owner() {
				all[k].owner = ""
			}
		}
	}
	return all
}

// same tells whether all parties of two kinds are of one node, since what it sends to
// itself is not the mesh's business; or of one person, of whom own tells.
func (s sole) same(o sole) bool {
	return s.node != nil && s.node == o.node || s.owner != "" && s.owner == o.owner
}

func (j *judge) note(found map[int]map[string]*flow, from, to int) {
	known := j.between(&j.kinds[from], &j.kinds[to], false)
	if len(known.turns) > 0 && found[from] == nil {
		found[from] = make(map[string]*flow)
	}
	for t, open := range known.turns {
		key := known.keys[t]
		if found[from][key] == nil {
			found[from][key] = &flow{turn: t, open: open, from: j.kinds[from].parties}
		}
		found[from][key].to = append(found[from][key].to, to)
	}
}

// own finds what changes between nodes of one person beyond what changes for
// everybody.
func (j *judge) own() []flow {
	type pair struct{ from, to int }
	sole := j.soles()
	known := make(map[pair]turns)
	var flows []flow
	for _, owner := range slices.Sorted(maps.Keys(j.owned)) {
		for _, from := range j.owned[owner] {
			gains := make(turns)
			for _, to := range j.owned[owner] {
				if from == to {
					continue
				}
				p := pair{j.parties[from].kind, j.parties[to].kind}
				if known[p] == nil {
					known[p] = j.beyond(p.from, p.to, sole[p.from].owner != "" && sole[p.from].owner == sole[p.to].owner)
				}
				for t, open := range known[p] {
					gains.add(t, open)
				}
			}
			for t, open := range gains {
				flows = append(flows, flow{turn: t, open: open, from: []int{from}, own: true})
			}
		}
	}
	return flows
}

// beyond is own of two kinds, which may be one person's and nobody else's.
func (j *judge) beyond(a, b int, sole bool) turns {
	from, to := &j.kinds[a], &j.kinds[b]
	if sole { // nobody else told of them
		return j.between(from, to, true).turns
	}
	more := make(turns)
	if !j.hasOwn(to) {
		return more
	}
	common := j.between(from, to, false).turns
	for t, open := range j.between(from, to, true).turns {
		more.add(t, less(open, common[t]))
	}
	return more
}

// hasOwn tells whether a rule to one's own nodes comes or goes at a kind.
func (j *judge) hasOwn(to *kind) bool {
	return slices.ContainsFunc(to.places, func(p int) bool {
		o := j.at(spot{p, to.rules})
		return slices.ContainsFunc(apart(o.was, o.is), func(n int) bool { return j.openings[n].self })
	})
}

// rectangles joins flows that differ in their sources alone, in an order that is
// the same in every run.
func (s *surveyed) rectangles(flows []flow) []rectangle {
	byKey := make(map[string]*rectangle)
	for _, f := range flows {
		key := f.key()
		r := byKey[key]
		if r == nil {
			r = &rectangle{turn: f.turn, open: f.open, own: f.own}
			for _, k := range f.to {
				r.to = append(r.to, s.kinds[k].parties...)
			}
			slices.Sort(r.to)
			byKey[key] = r
		}
		r.from = append(r.from, f.from...)
	}
	all := make([]rectangle, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		slices.Sort(byKey[key].from)
		all = append(all, *byKey[key])
	}
	slices.SortStableFunc(all, func(a, b rectangle) int {
		return cmp.Or(slices.Compare(a.from, b.from), slices.Compare(a.to, b.to), cmp.Compare(a.how, b.how), cmp.Compare(a.with, b.with), cmp.Compare(a.without, b.without))
	})
	return all
}
