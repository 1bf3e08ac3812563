package diff

import (
	"encoding/binary"
	"iter"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// opening is what one rule opens at one destination.
type opening struct {
	from set // places; one for all that are equal
	open []acl.Service
	when int  // number of the rule's terms
	self bool // to nodes of the same person alone

	forbid bool // it closes that instead
}

// judge finds what changes from places to places.
type judge struct {
	*surveyed
	sources  [2]map[acl.Class]set // of the mesh that was, and that is
	openings []opening
	numbers  map[openingKey]int
	terms    *lexicon
	said     map[*acl.Rule]int
	keeps    [2]*keeper // of the mesh that was, and that is
	bySet    map[setKey]set
	sets     map[string]set // of those, by what is in them
	spots    map[spot]*opened
	compared map[string]*compared // by the openings that are about two kinds
	about    []byte               // of the pair at hand
	work     work
}

// openingKey is what an opening says.
type openingKey struct {
	from         *uint64
	open         string
	when         int
	self, forbid bool
}

// setKey names a list of classes that rules of one mesh share.
type setKey struct {
	mesh  int
	first *acl.Class
	size  int
}

// spot is a place as a destination: what a node enforces there.
type spot struct {
	place int
	rules rules
}

// opened is what is open at a spot before and after: numbers of openings, sorted.
type opened struct {
	was, is []int
	touched set // places from which it changes for everybody; nil: from none
}

func newJudge(s *surveyed, was, is *compile.Mesh) *judge {
	j := &judge{surveyed: s, numbers: make(map[openingKey]int), bySet: make(map[setKey]set), sets: make(map[string]set), said: make(map[*acl.Rule]int), spots: make(map[spot]*opened), compared: make(map[string]*compared)}
	j.terms, j.keeps = newLexicon(&j.work), [2]*keeper{newKeeper(was), newKeeper(is)}
	j.sources = [2]map[acl.Class]set{{}, {}}
	for i, p := range s.places {
		for mesh, class := range []acl.Class{p.was, p.is} {
			if class == 0 {
				continue
			}
			if j.sources[mesh][class] == nil {
				j.sources[mesh][class] = newSet(len(s.places))
			}
			j.sources[mesh][class].add(i)
		}
	}
	return j
}

// from gives the places in a list of classes.
func (j *judge) from(mesh int, classes []acl.Class) set {
	if len(classes) == 0 {
		return nil
	}
	key := setKey{mesh, &classes[0], len(classes)}
	found, ok := j.bySet[key]
	if !ok {
		found = newSet(len(j.places))
		j.work.spend(wordSteps*len(found) + len(classes))
		for _, c := range classes {
			found.join(j.sources[mesh][c])
		}
		text := found.key()
		if same, ok := j.sets[text]; ok {
			found = same
		}
		j.sets[text], j.bySet[key] = found, found
	}
	return found
}

// at gives what is open at a spot.
func (j *judge) at(s spot) *opened {
	if o, ok := j.spots[s]; ok {
		return o
	}
	o := &opened{
		was: j.opens(0, j.wasSets.all[s.rules.was], j.places[s.place].was),
		is:  j.opens(1, j.isSets.all[s.rules.is], j.places[s.place].is),
	}
	for _, n := range apart(o.was, o.is) {
		if op := j.openings[n]; !op.self {
			if o.touched == nil {
				o.touched = newSet(len(j.places))
			}
			o.touched.join(op.from)
		}
	}
	j.spots[s] = o
	return o
}

// opens numbers what a rule set opens and forbids at a class, sorted and without
// duplicates.
func (j *judge) opens(mesh int, enforced *compile.Inward, at acl.Class) []int {
	var all []int
	number := func(rules iter.Seq[compile.Shared], forbid bool) {
		for r := range rules {
			j.work.spend(5 * len(r.Windows))
			if _, here := slices.BinarySearch(r.Dst, at); here && at != 0 {
				all = append(all, j.number(opening{j.from(mesh, r.Src), r.Terms.Open, j.termsOf(mesh, &r, forbid), r.Terms.SameOwner, forbid}))
			}
		}
	}
	number(enforced.Permits(), false)
	number(enforced.Forbids(), true)
	slices.Sort(all)
	return slices.Compact(all)
}

// termsOf numbers the terms of a rule, once for all of whom it is told: it may stand there
// for hundreds of windows.
func (j *judge) termsOf(mesh int, r *compile.Shared, forbid bool) int {
	n, ok := j.said[r.Terms]
	if !ok {
		n = j.terms.number(termsOf(r, forbid, j.keeps[mesh]))
		j.said[r.Terms] = n
	}
	return n
}

func (j *judge) number(o opening) int {
	key := openingKey{open: servicesKey(o.open), when: o.when, self: o.self, forbid: o.forbid}
	if len(o.from) > 0 {
		key.from = &o.from[0]
	}
	n, ok := j.numbers[key]
	if !ok {
		n = len(j.openings)
		j.numbers[key] = n
		j.openings = append(j.openings, o)
	}
	return n
}

func servicesKey(open []acl.Service) string {
	var short [64]byte
	key := short[:0]
	for _, s := range open {
		key = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(append(key, byte(s.Protocol)), s.First), s.Last)
	}
	return string(key)
}

// apart gives what is in one of two ascending lists alone.
func apart(a, b []int) []int {
	var all []int
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			all, a = append(all, a[0]), a[1:]
		case a[0] > b[0]:
			all, b = append(all, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// reach gives what is open from one place.
func (j *judge) reach(from int, numbers []int, own bool) reach {
	all := make(reach)
	for _, n := range numbers {
		if o := j.openings[n]; !o.forbid && o.from.has(from) && (own || !o.self) {
			all[o.when] = append(all[o.when], o.open...)
		}
	}
	for when, open := range all {
		all[when] = acl.MergeServices(slices.Clone(open))
	}
	for _, n := range numbers {
		if o := j.openings[n]; o.forbid && o.from.has(from) && (own || !o.self) {
			all = j.terms.without(all, o.open, o.when)
		}
	}
	return all
}

// compared is what changes from the places of one kind to those of another.
type compared struct {
	turns turns
	keys  map[turn]string // each of turns as a text
}

// between tells what changes from the places of one kind to those of another;
// own adds what is open between nodes of one person alone. Few pairs of kinds differ in
// the openings that are about them: each such difference is looked at once.
func (j *judge) between(from, to *kind, own bool) *compared {
	j.about = j.about[:0]
	for _, dst := range to.places {
		o := j.at(spot{dst, to.rules})
		for _, src := range from.places {
			if j.concerns(o, src, dst, own) {
				j.about = j.list(j.list(j.about, src, o.was, own), src, o.is, own)
			}
		}
	}
	if known, ok := j.compared[string(j.about)]; ok {
		return known
	}
	j.work.spend(compareSteps + 2*len(j.about))
	key := string(j.about)
	all := make(turns)
	for _, dst := range to.places {
		o := j.at(spot{dst, to.rules})
		for _, src := range from.places {
			if j.concerns(o, src, dst, own) {
				j.terms.compare(all, j.reach(src, o.was, own), j.reach(src, o.is, own))
			}
		}
	}
	known := &compared{turns: all, keys: make(map[turn]string)}
	for t, open := range all {
		known.keys[t] = turnKey(t, open)
	}
	j.compared[key] = known
	return known
}

// concerns tells whether what changes at a spot may change anything for a place.
func (j *judge) concerns(o *opened, src, dst int, own bool) bool {
	return j.places[src].six == j.places[dst].six && (own || o.touched.has(src))
}

// list appends those of the openings that are about a place, and a mark.
func (j *judge) list(to []byte, from int, numbers []int, own bool) []byte {
	for _, n := range numbers {
		if o := &j.openings[n]; o.from.has(from) && (own || !o.self) {
			to = binary.AppendUvarint(to, uint64(n)+1)
		}
	}
	return append(to, 0)
}
