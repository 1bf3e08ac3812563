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

func byNumber(a, b *class) int { return cmp.Compare(a.num, b.num) }

func (s *side) add(c *class) { s.all, s.nums = append(s.all, c), append(s.nums, c.num) }

// classList is the classes that match one side of some parts.
type classList struct {
	*side

	noted         []*class // that are to come or to go
	mark, stained uint64

	cuts []sliced // by each cut that somebody asked for
}

// sliced is a list's classes in cells. One that is empty stays: sheets know where it is.
type sliced struct {
	by    cut
	cells []*cell
}

// split gives the list's cells by a cut.
func (l *classList) split(by cut) []*cell {
	for i := range l.cuts {
		if l.cuts[i].by == by {
			return l.cuts[i].cells
		}
	}
	cells := make([]*cell, 0, 1)
	for _, c := range split(nil, l.side, by) {
		cells = append(cells, &c)
	}
	l.cuts = append(l.cuts, sliced{by, cells})
	return cells
}

// refill takes what is noted over into the cells, too, and tells whether there are more of
// them than before.
func (l *classList) refill() (more bool) {
	for i := range l.cuts {
		more = l.cuts[i].refill(l) || more
	}
	return more
}

func (s *sliced) refill(l *classList) (more bool) {
	unlike := func(c *class) bool { return s.by.key(c) != s.cells[0].groundKey }
	if len(s.cells) == 1 && !slices.ContainsFunc(l.noted, unlike) { // as in most lists
		s.cells[0].side = l.side
		return false
	}
	noted := sideOf(l.noted)
	for _, n := range split(nil, &noted, s.by) {
		i := slices.IndexFunc(s.cells, func(c *cell) bool { return c.groundKey == n.groundKey })
		if i < 0 {
			i, more = len(s.cells), true
			s.cells = append(s.cells, &cell{n.groundKey, new(side)})
		}
		s.cells[i].side = s.cells[i].with(n.all)
	}
	slices.SortFunc(s.cells, order)
	return more
}

// relist puts classes that are linked now into the lists of the parts that they match, and
// takes others out: each list is copied once, however many come or go. It tells whether any
// has more cells than before.
func (m *Mesh) relist(classes []*class) (more bool) {
	lists := make([]*classList, 0, 2*len(classes))
	note := func(l *classList, c *class) {
		switch n := len(l.noted); {
		case n == 0:
			lists, l.noted = append(lists, l), make([]*class, 0, 2) // mostly one comes, and another goes
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
	slices.SortFunc(l.noted, byNumber)
	l.side = l.with(l.noted)
	more = l.refill()
	l.noted = nil
	return more
}

// with gives a side with the classes that are to come, and without those that are to go,
// and leaves the old one as it is. They are noted by number.
func (s *side) with(noted []*class) *side {
	if len(s.all) == 0 { // as at a start: they all come
		all := sideOf(slices.Clip(noted))
		return &all
	}
	size, from := len(s.all), 0
	for _, c := range noted {
		if size--; c.linked {
			size += 2
		}
	}
	is := side{make([]*class, 0, size), make([]acl.Class, 0, size)}
	for _, c := range noted {
		next, _ := slices.BinarySearch(s.nums[from:], c.num)
		to := from + next
		is.all, is.nums = append(is.all, s.all[from:to]...), append(is.nums, s.nums[from:to]...)
		if from = to; c.linked {
			is.add(c)
		} else {
			from++
		}
	}
	return &side{append(is.all, s.all[from:]...), append(is.nums, s.nums[from:]...)}
}
