package diff

import (
	"fmt"
	"maps"
	"math/bits"
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
	for cells := t.cells; len(cells) > 0; {
		if j.work.over() {
			return nil
		}
		n := 0
		for n < len(cells) && cells[n].to/64 == cells[0].to/64 {
			sources.join(cells[n].from)
			n++
		}
		j.turnOver(cells[:n], rows)
		cells = cells[n:]
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

// turnOver puts cells, whose destinations are in one word of a row, into the rows of their
// sources: where there are many, 64 of these at once.
func (j *judge) turnOver(cells []cell, rows []set) {
	row := func(from int) set {
		if rows[from] == nil {
			rows[from] = newSet(len(j.kinds))
		}
		return rows[from]
	}
	j.work.spend(2 * len(cells) * len(cells[0].from))
	for word := range cells[0].from {
		many := 0
		for _, c := range cells {
			many += bits.OnesCount64(c.from[word])
		}
		if many < fewInBlock {
			j.work.spend(4 * many)
			for _, c := range cells {
				for from := range c.from[word : word+1].all {
					row(64*word + from).add(c.to)
				}
			}
			continue
		}
		j.work.spend(blockSteps)
		var b block
		for _, c := range cells {
			b[c.to%64] |= c.from[word]
		}
		b.transpose()
		for i, to := range b {
			if to != 0 {
				row(64*word + i)[cells[0].to/64] = to
			}
		}
	}
}
