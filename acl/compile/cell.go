package compile

import (
	"slices"
	"strings"
)

// cell is some of the classes at one side of a part: those for which it has the
// same grounds.
type cell struct {
	groundKey // of which a source knows human, and a destination into
	*side
}

// order compares cells by what they are, however they came to be: rules stand in it.
func order(a, b cell) int {
	switch {
	case a.human == b.human:
		return strings.Compare(a.into.key(), b.into.key())
	case b.human:
		return -1
	}
	return 1
}

// split sorts classes into cells, which it adds to others.
func split(cells []cell, s *side, keyOf func(*class) groundKey) []cell {
	if len(s.all) == 0 {
		return cells
	}
	first := keyOf(s.all[0])
	if !slices.ContainsFunc(s.all[1:], func(c *class) bool { return keyOf(c) != first }) { // as of most nodes
		return append(cells, cell{first, s})
	}
	from, at := len(cells), make(map[groundKey]*side)
	for _, c := range s.all {
		key := keyOf(c)
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

func byHuman(c *class) groundKey { return groundKey{human: c.human} }
func byZone(c *class) groundKey  { return groundKey{into: c.zone} }

// sources splits classes at the source of a part into cells, which it adds to others.
func (m *Mesh) sources(cells []cell, p *part, s *side) []cell {
	if !p.splits {
		return append(cells, cell{groundKey{human: p.person != ""}, s})
	}
	return split(cells, s, byHuman)
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
	if !p.splits {
		return m.sources(nil, p, &p.srcClasses.side)
	}
	return p.srcClasses.split(byHuman)
}

func (m *Mesh) allDestinations(p *part) []cell {
	if p.forbid {
		return m.destinations(nil, p, &p.dstClasses.side)
	}
	return p.dstClasses.split(byZone)
}
