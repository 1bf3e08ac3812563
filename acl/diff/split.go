package diff

import (
	"slices"

	"github.com/cordonmesh/cordon/acl/compile"
)

// splitter sorts the kinds to whom a destination changes into shares that nothing which
// is open there tells apart. Thousands of kinds face thousands, and most of them alike:
// they are not looked at pair by pair.
type splitter struct {
	*judge
	kindsAt [][]int           // place -> kinds that have it
	known   map[*uint64][]set // by the places of an opening
	soles   []sole
	ofNode  map[*compile.Node][]int // kinds of one node alone
	ofOwner map[string][]int        // kinds of one person alone
}

func newSplitter(j *judge) *splitter {
	s := &splitter{judge: j, kindsAt: make([][]int, len(j.places)), known: make(map[*uint64][]set), soles: j.soles(),
		ofNode: make(map[*compile.Node][]int), ofOwner: make(map[string][]int)}
	for k := range j.kinds {
		for _, p := range j.kinds[k].places {
			s.kindsAt[p] = append(s.kindsAt[p], k)
		}
		if one := s.soles[k]; one.node != nil {
			s.ofNode[one.node] = append(s.ofNode[one.node], k)
		}
		if one := s.soles[k]; one.owner != "" {
			s.ofOwner[one.owner] = append(s.ofOwner[one.owner], k)
		}
	}
	return s
}

// shares gives the kinds from which something changes to another for everybody. Left out
// are kinds of the same node alone, since what it sends to itself is not the mesh's
// business, and of the same person alone, of whom own tells.
func (s *splitter) shares(to int) []set {
	touched := newSet(len(s.kinds))
	var tell []int // openings
	for _, p := range s.kinds[to].places {
		o := s.at(spot{p, s.kinds[to].rules})
		for _, n := range s.forAll(apart(o.was, o.is)) {
			for _, held := range s.holds(s.openings[n].from) {
				touched.join(held)
			}
		}
		tell = append(append(tell, s.forAll(o.was)...), s.forAll(o.is)...)
	}
	for _, k := range slices.Concat(s.ofNode[s.soles[to].node], s.ofOwner[s.soles[to].owner]) {
		touched.drop(k)
	}
	if touched.none() {
		return nil
	}
	shares, seen := []set{touched}, make(map[int]bool, len(tell))
	for _, n := range tell {
		if seen[n] {
			continue
		}
		seen[n] = true
		for _, held := range s.holds(s.openings[n].from) {
			shares = s.cut(shares, held)
		}
	}
	return shares
}

// forAll leaves out openings to nodes of the same person alone.
func (j *judge) forAll(numbers []int) []int {
	var all []int
	for _, n := range numbers {
		if !j.openings[n].self {
			all = append(all, n)
		}
	}
	return all
}

// cut cuts each share in two: what is in a set, and what is not.
func (s *splitter) cut(shares []set, by set) []set {
	s.work.spend(len(shares) * len(by))
	for i := range shares {
		if in, out := shares[i].parted(by); in != nil && out != nil {
			s.work.spend(2 * wordSteps * len(by))
			shares[i] = in
			shares = append(shares, out)
		}
	}
	return shares
}

// holds gives the kinds that have places among some, in sets of those of which the same
// places are.
func (s *splitter) holds(places set) []set {
	if len(places) == 0 {
		return nil
	}
	all, ok := s.known[&places[0]]
	if ok {
		return all
	}
	seen, which := newSet(len(s.kinds)), make(map[string]int)
	for p := range places.all {
		for _, k := range s.kindsAt[p] {
			if seen.has(k) {
				continue
			}
			seen.add(k)
			key := s.held(k, places)
			i, ok := which[key]
			if !ok {
				i = len(all)
				which[key] = i
				all = append(all, newSet(len(s.kinds)))
				s.work.spend(wordSteps * len(seen))
			}
			all[i].add(k)
		}
	}
	s.known[&places[0]] = all
	return all
}

// held says which places of a kind are among some, and of which family each is.
func (s *splitter) held(k int, places set) string {
	var key []byte
	for _, p := range s.kinds[k].places {
		mark := byte(0)
		if places.has(p) {
			mark = 1
		}
		if s.places[p].six {
			mark += 2
		}
		key = append(key, mark)
	}
	return string(key)
}
