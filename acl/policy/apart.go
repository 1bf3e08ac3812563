package policy

import (
	"fmt"
	"net/netip"
	"slices"
)

// floorsApart warns of two segments whose floors nobody ever meets at once, and that have
// something in common: whatever rule leads there, it lets no person in. Floors are written
// by who owns a segment, each for themself, so that nobody may have seen both.
func (r *ruleReader) floorsApart() {
	seen := make(map[[2]*Segment]bool)
	for _, s := range r.floors.all {
		for _, m := range s.Members {
			for _, other := range r.floors.sharing(m, r.names) {
				first, second := s, other
				if second.Pos.compare(first.Pos) < 0 {
					first, second = second, first
				}
				if pair := [2]*Segment{first, second}; first != second && !seen[pair] {
					seen[pair] = true
					r.apart(first, second, m)
				}
				if r.floors.steps++; r.floors.steps > maxFloorSteps {
					return
				}
			}
		}
	}
}

// apart warns of two segments that have a member in common, if nobody meets both floors.
func (r *ruleReader) apart(first, second *Segment, common Selector) {
	r.floors.steps += len(first.Requires.Postures) * len(second.Requires.Postures)
	if odds := r.never(&second.Requires, &first.Requires); odds != nil {
		r.warnAt(second.Pos, second.Name, fmt.Sprintf("no person is ever let into %s: it is in %s of line %d too, what both require must hold, and %s; take it out of one of them, or let their owners agree on floors that somebody can meet",
			common.Name, first.Name, first.Pos.Line, odds.why))
	}
}

// sharing gives the segments that surely have a part of what a member of one picks.
func (f *floors) sharing(m Selector, n *names) []*Segment {
	key := m.Key()
	if all, known := f.shared[key]; known {
		return all
	}
	all := slices.Clone(f.byKey[key])
	switch m.Kind {
	case Net:
		all = f.coveringAny(all, []netip.Prefix{m.Prefix})
	case Set:
		all = f.coveringAny(all, n.ipsets[m.Name])
	}
	f.shared[key] = all
	return all
}

// coveringAny adds the segments in which all addresses of one of some prefixes are.
func (f *floors) coveringAny(all []*Segment, prefixes []netip.Prefix) []*Segment {
	known := make(map[*Segment]bool)
	for _, s := range all {
		known[s] = true
	}
	for _, p := range prefixes {
		for _, keys := range f.nets.Supernets(p) {
			for s := range f.among(keys) {
				if f.steps++; f.steps > maxFloorSteps {
					return all
				}
				if !known[s] {
					known[s] = true
					all = append(all, s)
				}
			}
		}
	}
	return all
}
