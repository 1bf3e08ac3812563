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
func order(a, b cell) int {
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

// cut is by what classes are sorted into cells: fields of a groundKey.
type cut uint8

const (
	byHuman cut = 1 << iota
	byBeyond
	byZone
)

func (by cut) key(c *class) (key groundKey) {
	key.human = by&byHuman != 0 && c.human
	key.beyond = by&byBeyond != 0 && c.beyond
	if by&byZone != 0 {
		key.into = c.zone
	}
	return key
}

// split sorts classes into cells, which it adds to others.
func split(cells []cell, s *side, by cut) []cell {
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
	slices.SortFunc(cells[from:], order)
	return cells
}

// sources splits classes at the source of a part into cells, which it adds to others.
func (m *Mesh) sources(cells []cell, p *part, s *side) []cell {
	if p.cut == 0 {
		return append(cells, cell{groundKey{human: p.person != ""}, s})
	}
	return split(cells, s, p.cut)
}

// destinations does so at the destination. What is forbidden is so in every segment.
func (m *Mesh) destinations(cells []cell, p *part, s *side) []cell {
	if p.forbid {
		return append(cells, cell{side: s})
	}
	return split(cells, s, byZone)
}

// allSources and allDestinations split all classes that match a part now.
func (m *Mesh) allSources(p *part) []cell {
	if p.cut == 0 {
		return m.sources(nil, p, &p.srcClasses.side)
	}
	return p.srcClasses.split(p.cut)
}

func (m *Mesh) allDestinations(p *part) []cell {
	if p.forbid {
		return m.destinations(nil, p, &p.dstClasses.side)
	}
	return p.dstClasses.split(byZone)
}
