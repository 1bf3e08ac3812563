package policy

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"
)

// maxFloorSteps bounds how long it is looked for what part of a segment a rule leads into.
const maxFloorSteps = 500_000

// floors are the segments that ask for something of the people who come in, or of how
// much is recorded, by what is in them.
type floors struct {
	byKey map[string][]*Segment // of each selector that leads into them
	nets  bart.Table[[]string]  // of each prefix the keys of the selectors that hold it
	all   []*Segment            // those on which lives hang first, then by name
	nodes []*Segment            // of those, where nodes with a tag may be
	found []observed

	inside map[string][]*Segment // as within gave them
	shared map[string][]*Segment // as sharing gave them
	meet   map[[2]string]bool    // of two schedules: whether they are ever open at once
	steps  int
}

// observed is where devices may be seen that earn a tag.
type observed struct {
	at  []netip.Prefix
	tag string
}

func floorsOf(n *names, assets []Asset) *floors {
	f := &floors{byKey: make(map[string][]*Segment), inside: make(map[string][]*Segment), shared: make(map[string][]*Segment), meet: make(map[[2]string]bool)}
	for _, s := range n.segments {
		if w := s.Requires; w.MFA != nil || w.Risk != nil || w.Session != nil || w.Schedule != "" || len(w.Postures) > 0 || s.Impact == "life" {
			f.all = append(f.all, &s)
		}
	}
	slices.SortFunc(f.all, func(a, b *Segment) int {
		if life := a.Impact == "life"; life != (b.Impact == "life") {
			if life {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, s := range f.all {
		f.add(s, n)
	}
	for _, a := range assets {
		if set := n.ipsets[a.Match.Set]; len(set) > 0 && len(f.byKey[a.Tag]) > 0 {
			f.found = append(f.found, observed{set, a.Tag})
		}
	}
	return f
}

func (f *floors) add(s *Segment, n *names) {
	f.lead(s.Name, s)
	nodes := false
	for _, m := range s.Members {
		if f.lead(m.Key(), s) {
			f.hold(m, n)
		}
		if m.Kind == Tag {
			_, owned := n.tagOwners[m.Name]
			nodes = nodes || owned
		}
	}
	if nodes {
		f.nodes = append(f.nodes, s)
	}
}

// lead has a selector lead into a segment, and tells whether it is the first.
func (f *floors) lead(key string, s *Segment) (first bool) {
	all := f.byKey[key]
	if len(all) == 0 || all[len(all)-1] != s { // they come one after the other
		f.byKey[key] = append(all, s)
	}
	return len(all) == 0
}

// hold notes which prefixes a member holds: once, however many segments it is in.
func (f *floors) hold(m Selector, n *names) {
	prefixes := n.ipsets[m.Name]
	if m.Kind == Net {
		prefixes = []netip.Prefix{m.Prefix}
	}
	for _, p := range prefixes {
		known, _ := f.nets.Get(p)
		f.nets.Insert(p, append(known, m.Key()))
	}
}

// within gives the segments in which all is that a name of a destination picks.
func (f *floors) within(dst Selector, n *names) []*Segment {
	key := dst.Key()
	all, known := f.inside[key]
	if !known {
		all = f.findWithin(dst, n)
		f.inside[key] = all
	}
	return all
}

func (f *floors) findWithin(dst Selector, n *names) []*Segment {
	all := slices.Clone(f.byKey[dst.Key()])
	switch dst.Kind {
	case InSegment:
		for _, m := range n.members(dst)[:min(1, len(n.members(dst)))] {
			for _, s := range f.within(m, n) {
				if !slices.Contains(all, s) && f.holds(s, n.members(dst), n) {
					all = append(all, s)
				}
			}
		}
	case Net:
		all = f.covering(all, dst.Prefix)
	case Set:
		if set := n.ipsets[dst.Name]; len(set) > 0 {
			for _, s := range f.covering(nil, set[0]) {
				if !slices.Contains(all, s) && f.holds(s, []Selector{dst}, n) {
					all = append(all, s)
				}
			}
		}
	}
	return all
}

// among yields the segments into which some selectors lead.
func (f *floors) among(keys []string) iter.Seq[*Segment] {
	return func(yield func(*Segment) bool) {
		for _, key := range keys {
			if !some(slices.Values(f.byKey[key]), yield) {
				return
			}
		}
	}
}

// covering adds the segments in which all addresses of a prefix are.
func (f *floors) covering(all []*Segment, p netip.Prefix) []*Segment {
	for _, keys := range f.nets.Supernets(p) {
		for s := range f.among(keys) {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// holds tells whether all that some names pick is in a segment.
func (f *floors) holds(s *Segment, all []Selector, n *names) bool {
	in := n.side(s.Members, false)
	return !slices.ContainsFunc(all, func(x Selector) bool { return f.steps > maxFloorSteps || !in.picks(x, &f.steps) })
}

// touched yields the segments of which a destination surely has a part, those on which
// lives hang first where it has all of them; some of them twice. It ends when what it
// takes is spent.
func (f *floors) touched(dst Selector, n *names, spent func() bool) iter.Seq[*Segment] {
	return func(yield func(*Segment) bool) {
		for s := range f.candidates(dst, n, spent) {
			if spent() || !yield(s) {
				return
			}
		}
	}
}

func (f *floors) candidates(dst Selector, n *names, spent func() bool) iter.Seq[*Segment] {
	switch dst.Kind {
	case Any:
		return slices.Values(f.all)
	case Tagged:
		return slices.Values(f.nodes)
	case InSegment:
		return f.amongMembers(dst, n, spent)
	case Net:
		return f.amongAddresses(dst, []netip.Prefix{dst.Prefix}, n, spent)
	case Set:
		return f.amongAddresses(dst, n.ipsets[dst.Name], n, spent)
	}
	return slices.Values([]*Segment(nil)) // what is written alike is within
}

func (f *floors) amongMembers(dst Selector, n *names, spent func() bool) iter.Seq[*Segment] {
	return func(yield func(*Segment) bool) {
		for _, m := range n.members(dst) {
			if spent() || !some(slices.Values(f.byKey[m.Key()]), yield) || !some(f.candidates(m, n, spent), yield) {
				return
			}
		}
	}
}

// amongAddresses yields the segments that have some of the addresses, or devices that are
// seen nowhere but there.
func (f *floors) amongAddresses(dst Selector, prefixes []netip.Prefix, n *names, spent func() bool) iter.Seq[*Segment] {
	return func(yield func(*Segment) bool) {
		for _, p := range prefixes {
			for _, around := range []iter.Seq2[netip.Prefix, []string]{f.nets.Supernets(p), f.nets.Subnets(p)} {
				for _, keys := range around {
					if spent() || !some(f.among(keys), yield) {
						return
					}
				}
			}
		}
		in, steps := n.side([]Selector{dst}, false), 0
		for _, o := range f.found {
			if spent() || in.covers(o.at, &steps) && !some(slices.Values(f.byKey[o.tag]), yield) {
				return
			}
		}
	}
}

// some yields all of a list, and tells whether more is wanted.
func some(all iter.Seq[*Segment], yield func(*Segment) bool) bool {
	for s := range all {
		if !yield(s) {
			return false
		}
	}
	return true
}
