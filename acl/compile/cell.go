package compile

import (
	"cmp"
	"slices"
	"strings"
)

// cell is some of the classes at one side of a part: those for which it has the
// same grounds.
type cell struct {
	groundKey // of which a source knows human and beyond, and a destination into
	*side
}

// order compares cells by what they are, however they came to be: rules stand in it.
func order(a, b *cell) int {
	return cmp.Or(falseFirst(a.human, b.human), falseFirst(a.beyond, b.beyond), strings.Compare(a.into.key(), b.into.key()))
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// cut is by what classes are sorted into cells.
type cut uint8

const (
	asPeople cut = 1 << iota // they are people, whoever they are: somebody sits there
	byHuman
	byBeyond
	byZone

	sorts = byHuman | byBeyond | byZone // into more than one cell, it may be
)

func (by cut) key(c *class) (key groundKey) {
	key.human = by&asPeople != 0 || by&byHuman != 0 && c.human
	key.beyond = by&byBeyond != 0 && c.beyond
	if by&byZone != 0 {
		key.into = c.zone
	}
	return key
}

// destinations is how classes at the destination of a part are sorted. What is forbidden is
// so in every segment.
func (p *part) destinations() cut {
	if p.forbid {
		return 0
	}
	return byZone
}

// split sorts classes into cells, which it adds to others.
func split(cells []cell, s *side, by cut) []cell {
	if by&sorts == 0 {
		return append(cells, cell{by.key(nil), s})
	}
	if len(s.all) == 0 {
		return cells
	}
	first := by.key(s.all[0])
	if !slices.ContainsFunc(s.all[1:], func(c *class) bool { return by.key(c) != first }) { // as of most nodes
		return append(cells, cell{first, s})
	}
	from, at := len(cells), make(map[groundKey]*side)
	for _, c := range s.all {
		key := by.key(c)
		in, ok := at[key]
		if !ok {
			in = new(side)
			at[key], cells = in, append(cells, cell{key, in})
		}
		in.add(c)
	}
	slices.SortFunc(cells[from:], func(a, b cell) int { return order(&a, &b) })
	return cells
}

// allSources and allDestinations split all classes that match a part now.
func (p *part) allSources() []*cell      { return p.srcClasses.split(p.cut) }
func (p *part) allDestinations() []*cell { return p.dstClasses.split(p.destinations()) }
