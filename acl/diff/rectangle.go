package diff

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// rectangle is one change from every source to every destination of two sets.
type rectangle struct {
	turn
	open     []acl.Service
	from, to set // kinds

	// Of nodes of the same person, these alone: own is set, and from and to are nil.
	own     bool
	persons []int // parties, ascending
}

// turning is one change, wherever it happens.
type turning struct {
	turn
	open  []acl.Service
	cells []cell
}

// cell is one change from the kinds of a share to another.
type cell struct {
	from set
	to   int
}

func turnKey(t turn, open []acl.Service) string { return fmt.Sprint(t, open) }

// all finds what changes from kind to kind, whoever owns them, in an order that is the
// same in every run. Sources with equal changes to the same share a rectangle.
func (j *judge) all() []rectangle {
	split, found := newSplitter(j), make(map[string]*turning)
	for to := range j.kinds {
		if j.work.over() {
			return nil
		}
		for _, share := range split.shares(to) {
			j.work.spend(shareSteps)
			known := j.between(&j.kinds[share.first()], &j.kinds[to], false)
			for t, open := range known.turns {
				key := known.keys[t]
				if found[key] == nil {
					found[key] = &turning{turn: t, open: open}
				}
				found[key].cells = append(found[key].cells, cell{share, to})
			}
		}
	}
	var all []rectangle
	rows := make([]set, len(j.kinds)) // source -> its destinations
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if j.work.over() {
			break
		}
		all = append(all, j.rectangles(found[key], rows)...)
	}
	return all
}

// rectangles gives the sources of a change by their destinations. Rows are nil before, and
// after unless it takes too much.
func (j *judge) rectangles(t *turning, rows []set) []rectangle {
	sources := newSet(len(j.kinds))
	for _, c := range t.cells {
		if j.work.over() {
			return nil
		}
		sources.join(c.from)
		j.work.spend(4*c.from.count() + 2*len(c.from))
		for from := range c.from.all {
			if rows[from] == nil {
				rows[from] = newSet(len(j.kinds))
			}
			rows[from].add(c.to)
		}
	}
	var all []rectangle
	at := make(map[string]int)
	for from := range sources.all {
		j.work.spend(4 * len(sources))
		key := rows[from].key()
		i, ok := at[key]
		if !ok {
			i = len(all)
			at[key] = i
			all = append(all, rectangle{turn: t.turn, open: t.open, from: newSet(len(j.kinds)), to: rows[from]})
		}
		all[i].from.add(from)
		rows[from] = nil
	}
	return all
}
