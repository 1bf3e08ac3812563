package compile

import "slices"

// cell is some of the classes at one side of a part: those for which it has the
// same grounds.
type cell struct {
	groundKey // of which a source knows human, and a destination into
	side
}

// split sorts classes into cells, which it adds to others.
func split(cells []cell, s side, keyOf func(*class) groundKey) []cell {
	if len(s.all) == 0 {
		return cells
	}
	first := keyOf(s.all[0])
	if !slices.ContainsFunc(s.all[1:], func(c *class) bool { return keyOf(c) != first }) { // as of most nodes
		return append(cells, cell{first, s})
	}
	at := make(map[groundKey]int)
	for _, c := range s.all {
		key := keyOf(c)
		i, ok := at[key]
		if !ok {
			i = len(cells)
			at[key] = i
			cells = append(cells, cell{groundKey: key})
		}
		cells[i].add(c)
	}
	return cells
}

// sources splits classes at the source of a part into cells, which it adds to others.
func (m *Mesh) sources(cells []cell, p *part, s side) []cell {
	if !p.splits {
		return append(cells, cell{groundKey{human: p.person != ""}, s})
	}
	return split(cells, s, func(c *class) groundKey { return groundKey{human: c.human} })
}

// destinations does so at the destination. What is forbidden is so in every segment.
func (m *Mesh) destinations(cells []cell, p *part, s side) []cell {
	if len(m.book.segments) == 0 || p.forbid {
		return append(cells, cell{side: s})
	}
	return split(cells, s, func(c *class) groundKey { return groundKey{into: c.zone} })
}

// allSources and allDestinations split all classes that match a part now.
func (m *Mesh) allSources(p *part) []cell {
	list := p.srcClasses
	if !p.splits {
		return m.sources(nil, p, list.side)
	}
	if list.cells == nil {
		list.cells = m.sources(nil, p, list.side)
	}
	return list.cells
}

func (m *Mesh) allDestinations(p *part) []cell {
	list := p.dstClasses
	if len(m.book.segments) > 0 && p.forbid { // unlike other parts with the same classes
		return m.destinations(nil, p, list.side)
	}
	if list.cells == nil {
		list.cells = m.destinations(nil, p, list.side)
	}
	return list.cells
}
