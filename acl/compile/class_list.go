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
	cells         []cell // all of them, by what grounds depend on; nil until somebody asks
}

// fill and thin put classes into the lists of the parts that they match, and
// take them out.
func (m *Mesh) fill(born []*class) {
	for _, l := range m.listsOf(born) {
		l.add()
	}
}

func (m *Mesh) thin(dead []*class) {
	for _, l := range m.listsOf(dead) {
		l.remove()
	}
}

// listsOf notes classes in every list in which they stand or should, and gives those
// lists: each is copied once, however many come or go.
func (m *Mesh) listsOf(classes []*class) (lists []*classList) {
	note := func(l *classList, c *class) {
		switch n := len(l.noted); {
		case n == 0:
			lists = append(lists, l)
		case l.noted[n-1] == c: // it meets its list once for each part
			return
		}
		l.noted = append(l.noted, c)
	}
	slices.SortFunc(classes, func(a, b *class) int { return cmp.Compare(a.num, b.num) })
	for _, c := range classes {
		for _, at := range c.asSrc {
			note(m.book.parts[at].srcClasses, c)
		}
		for _, at := range c.asDst {
			note(m.book.parts[at].dstClasses, c)
		}
	}
	return lists
}

// add puts in what is noted.
func (l *classList) add() {
	if len(l.all) == 0 { // as at a start
		l.become(sideOf(slices.Clip(l.noted)))
		return
	}
	size, from := len(l.all)+len(l.noted), 0
	all, nums := make([]*class, 0, size), make([]acl.Class, 0, size)
	for _, c := range l.noted {
		to := l.place(c)
		all, nums = append(append(all, l.all[from:to]...), c), append(append(nums, l.nums[from:to]...), c.num)
		from = to
	}
	l.become(side{append(all, l.all[from:]...), append(nums, l.nums[from:]...)})
}

// remove takes out what is noted.
func (l *classList) remove() {
	size, from := len(l.all)-len(l.noted), 0
	all, nums := make([]*class, 0, size), make([]acl.Class, 0, size)
	for _, c := range l.noted {
		to := l.place(c)
		all, nums = append(all, l.all[from:to]...), append(nums, l.nums[from:to]...)
		from = to + 1
	}
	l.become(side{append(all, l.all[from:]...), append(nums, l.nums[from:]...)})
}

// place is where a class stands in the list, or would.
func (l *classList) place(c *class) int {
	at, _ := slices.BinarySearch(l.nums, c.num)
	return at
}

func (l *classList) become(s side) { l.side, l.cells, l.noted = s, nil, nil }
