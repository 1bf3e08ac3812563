package compile

import (
	"cmp"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// side is classes at one side of a part, by number, and their numbers: those stand in
// rules, which share them, and are never written over.
type side struct {
	all  []*class
	nums []acl.Class
}

func sideOf(classes []*class) side {
	nums := make([]acl.Class, len(classes))
	for i, c := range classes {
		nums[i] = c.num
	}
	return side{classes, nums}
}

func (s *side) add(c *class) { s.all, s.nums = append(s.all, c), append(s.nums, c.num) }

// classList is the classes that match one side of some parts.
type classList struct {
	side

	noted         []*class // that are to come or to go, by number
	mark, stained uint64

	// All of them, by what grounds depend on. One that is empty stays: sheets know where it is.
	cells []cell
	keyOf func(*class) groundKey // that depends on; nil until somebody asks for the cells
}

// split gives the list's cells.
func (l *classList) split(keyOf func(*class) groundKey) []cell {
	if l.keyOf == nil {
		l.cells, l.keyOf = split(nil, &l.side, keyOf), keyOf
	}
	return l.cells
}

// refill puts what is in the list now into its cells, and tells whether it has more of
// them than before.
func (l *classList) refill() (more bool) {
	if l.keyOf == nil {
		return false
	}
	was := l.cells
	for _, c := range was {
		*c.side = side{}
	}
	for _, is := range split(nil, &l.side, l.keyOf) {
		i := slices.IndexFunc(was, func(c cell) bool { return c.groundKey == is.groundKey })
		if i < 0 {
			l.cells, more = append(l.cells, is), true
			continue
		}
		*was[i].side = *is.side
	}
	slices.SortFunc(l.cells, order)
	return more
}

// relist puts classes that are linked now into the lists of the parts that they match, and
// takes others out: each list is copied once, however many come or go. It tells whether any
// has more cells than before.
func (m *Mesh) relist(classes []*class) (more bool) {
	slices.SortFunc(classes, func(a, b *class) int { return cmp.Compare(a.num, b.num) })
	var lists []*classList
	note := func(l *classList, c *class) {
		switch n := len(l.noted); {
		case n == 0:
			lists = append(lists, l)
		case l.noted[n-1] == c: // it meets its list once for each part
			return
		}
		l.noted = append(l.noted, c)
	}
	for _, c := range classes {
		for _, at := range c.asSrc {
			note(m.book.parts[at].srcClasses, c)
		}
		for _, at := range c.asDst {
			note(m.book.parts[at].dstClasses, c)
		}
	}
	for _, l := range lists {
		more = l.renew() || more
	}
	return more
}

// renew takes over what is noted, and tells whether the list has more cells than before.
func (l *classList) renew() (more bool) {
	if len(l.all) == 0 { // as at a start: they all come
		l.side = sideOf(slices.Clip(l.noted))
	} else {
		l.side = l.merged()
	}
	l.noted = nil
	return l.refill()
}

// merged gives what is in the list with what is noted, the old one left as it is.
func (l *classList) merged() side {
	size, from := len(l.all), 0
	for _, c := range l.noted {
		if size--; c.linked {
			size += 2
		}
	}
	s := side{make([]*class, 0, size), make([]acl.Class, 0, size)}
	for _, c := range l.noted {
		to, _ := slices.BinarySearch(l.nums, c.num)
		s.all, s.nums = append(s.all, l.all[from:to]...), append(s.nums, l.nums[from:to]...)
		if from = to; c.linked {
			s.add(c)
		} else {
			from++
		}
	}
	return side{append(s.all, l.all[from:]...), append(s.nums, l.nums[from:]...)}
}
