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

	// All of them in cells, by the manner in which those are sorted. A cell that is empty
	// stays: sheets know where it is. One is nil until somebody asks for it.
	cells [manners][]*cell
}

// split gives the list's cells.
func (l *classList) split(by manner) []*cell {
	if l.cells[by] == nil {
		l.cells[by] = make([]*cell, 0, 1)
		for _, c := range split(nil, l.side, by) {
			l.cells[by] = append(l.cells[by], &c)
		}
	}
	return l.cells[by]
}

// refill takes what is noted over into the cells, too, and tells whether there are more of
// them than before.
func (l *classList) refill() (more bool) {
	for by, cells := range l.cells {
		if cells != nil {
			more = l.refillBy(manner(by)) || more
		}
	}
	return more
}

func (l *classList) refillBy(by manner) (more bool) {
	cells := l.cells[by]
	unlike := func(c *class) bool { return by.key(c) != cells[0].groundKey }
	if len(cells) == 1 && !slices.ContainsFunc(l.noted, unlike) { // as in most lists
		cells[0].side = l.side
		return false
	}
	noted := sideOf(l.noted)
	for _, n := range split(nil, &noted, by) {
		i := slices.IndexFunc(cells, func(c *cell) bool { return c.groundKey == n.groundKey })
		if i < 0 {
			i, more = len(cells), true
			cells = append(cells, &cell{n.groundKey, new(side)})
		}
		cells[i].side = cells[i].with(n.all)
	}
	slices.SortFunc(cells, order)
	l.cells[by] = cells
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
