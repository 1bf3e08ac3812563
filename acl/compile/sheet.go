package compile

import (
	"cmp"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// sheet is a profile's rules of one way, but that at their other side it has the places of
// classes in a part's list: whatever comes or goes there, the sheet is only filled anew.
// That spares what is most of the cost when a change reaches thousands of profiles.
type sheet struct {
	permits, forbids []line // what is only monitored is last of what permits
	beside           bool   // what permits stands beside what forbids
}

// line is the rules of a sheet that differ in their time alone: none, while there is
// nobody at the other side.
type line struct {
	terms  *timed
	own    []acl.Class
	others *cell // it follows the part's list
}

func (m *Mesh) sheetOf(p *profile, w way) *sheet {
	s := p.sheets[w]
	if s == nil || s.beside != s.forbidding() {
		s = m.written(w, m.enforced(p, w))
		p.sheets[w] = s
	}
	return s
}

// enforced gives the parts that make a profile's rules, each with those of its classes
// that it is about. The list is valid until the next call.
func (m *Mesh) enforced(p *profile, w way) []landing {
	if w == inward {
		return m.landings(p)
	}
	return m.matching(p.classes, func(c *class) []int32 { return c.asSrc })
}

// written gives the sheet of some parts. Beside what is forbidden, all that permits asks
// for a filter that obeys.
func (m *Mesh) written(w way, parts []landing) *sheet {
	s := &sheet{forbids: m.linesOf(w, parts, true, false)}
	s.beside = s.forbidding()
	s.permits = m.linesOf(w, parts, false, s.beside)
	return s
}

func (s *sheet) forbidding() bool {
	return slices.ContainsFunc(s.forbids, func(l line) bool { return len(l.others.nums) > 0 })
}

// pad is where lines are noted until it is known how many they are: lists that grow would
// be most of the cost. There is one for all profiles.
type pad struct {
	lines, monitors []line
	own             []cell
	matching        []landing
	tally           tally
}

// linesOf gives the lines of those parts that forbid, or of the others.
func (m *Mesh) linesOf(w way, parts []landing, forbid, beside bool) []line {
	pad := &m.pad
	pad.lines, pad.monitors = pad.lines[:0], pad.monitors[:0]
	for i := range parts {
		if l := &parts[i]; l.part.forbid == forbid && len(l.part.open) > 0 {
			m.note(w, l, beside)
		}
	}
	return slices.Concat(pad.lines, pad.monitors)
}

// note notes what a part says between two sides, on each ground on which it says anything.
func (m *Mesh) note(w way, l *landing, beside bool) {
	own, far := m.ends(w, l)
	for _, o := range own {
		if len(o.nums) == 0 { // of an exit node, that has nothing of what the part is about
			continue
		}
		for _, f := range far {
			grounds := m.groundsOf(l.part, groundKey{o.human || f.human, o.beyond || f.beyond, cmp.Or(o.into, f.into)})
			for i := range grounds {
				g := &grounds[i]
				terms, to := m.termsOn(g, l.part), &m.pad.lines
				if len(terms.windows) == 0 {
					continue
				}
				if beside {
					terms = g.obeying()
				}
				if g.monitor {
					to = &m.pad.monitors
				}
				*to = append(*to, line{terms, slices.Clip(o.nums), f})
			}
		}
	}
}

// ends gives a profile's own side of a part and all that is at the other.
func (m *Mesh) ends(w way, l *landing) (own []cell, far []*cell) {
	by := l.part.cut
	if far = l.part.allDestinations(); w == inward {
		by, far = l.part.destinations(), l.part.allSources()
	}
	m.pad.own = split(m.pad.own[:0], &l.side, by)
	return m.pad.own, far
}

// filled gives the rules of a sheet.
func (s *sheet) filled() *direction {
	return &direction{permits: filled(s.permits), forbids: filled(s.forbids)}
}

func filled(lines []line) []rule {
	rules := make([]rule, 0, len(lines))
	for i := range lines {
		if far := lines[i].others.side; len(far.nums) > 0 {
			rules = append(rules, rule{&lines[i], far})
		}
	}
	return rules
}
