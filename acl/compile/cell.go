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
func order(a, b *cell) int {
	switch {
	case a.human == b.human:
		return strings.Compare(a.into.key(), b.into.key())
	case b.human:
		return -1
	}
	return 1
}

// manner is how classes are sorted into cells.
type manner int

const (
	whole   manner = iota // they are one
	sitting               // they are one, whoever they are: people ask there
	byHuman
	byZone
	manners
)

func (by manner) key(c *class) groundKey {
	switch by {
	case byHuman:
		return groundKey{human: c.human}
	case byZone:
		return groundKey{into: c.zone}
	}
	return groundKey{human: by == sitting}
}

// sources and destinations are how classes at the two sides of a part are sorted. What is
// forbidden is so in every segment.
func (p *part) sources() manner {
	switch {
	case p.splits:
		return byHuman
	case p.person != "":
		return sitting
	}
	return whole
}

func (p *part) destinations() manner {
	if p.forbid {
		return whole
	}
	return byZone
}

// split sorts classes into cells, which it adds to others.
func split(cells []cell, s *side, by manner) []cell {
	if by == whole || by == sitting {
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
func (p *part) allSources() []*cell      { return p.srcClasses.split(p.sources()) }
func (p *part) allDestinations() []*cell { return p.dstClasses.split(p.destinations()) }
