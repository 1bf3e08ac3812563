package diff

import (
	"maps"
	"slices"

	"github.com/cordonmesh/cordon/acl/compile"
)

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

// own finds what changes between nodes of one person beyond what changes for
// everybody.
func (j *judge) own() []rectangle {
	type pair struct{ from, to int }
	sole := j.soles()
	known := make(map[pair]turns)
	found := make(map[string]*rectangle)
	for _, owner := range slices.Sorted(maps.Keys(j.owned)) {
		if j.work.over() {
			return nil
		}
		for _, from := range j.owned[owner] {
			j.work.spend(5 * len(j.owned[owner]))
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
				key := turnKey(t, open)
				if found[key] == nil {
					found[key] = &rectangle{turn: t, open: open, own: true}
				}
				found[key].persons = append(found[key].persons, from)
			}
		}
	}
	var all []rectangle
	for _, key := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[key].persons)
		all = append(all, *found[key])
	}
	return all
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
