package diff

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// how says what becomes of some services.
type how int

const (
	gained   how = iota
	lost         //
	wider        // from some terms to others that cover them
	narrower     //
	other        // to terms of which neither covers the other
)

// turn says what a change is of, but for the services. Of a gain and of a loss one
// of with and without is set at most.
type turn struct {
	how
	with    int // number of the terms under which alone; of a change: those that are
	without int // number of the terms under which it was open already, or stays open; of a change: those that were
}

// back is the same edit taken back.
func (h how) back() how {
	return []how{gained: lost, lost: gained, wider: narrower, narrower: wider, other: other}[h]
}

// turns are services by what becomes of them.
type turns map[turn][]acl.Service

func (t turns) add(key turn, open []acl.Service) {
	if len(open) > 0 {
		t[key] = acl.MergeServices(slices.Concat(t[key], open))
	}
}

// reach is what is open from one place, by the number of its terms.
type reach map[int][]acl.Service

// lexicon numbers terms; 0 are none. Hundreds of schedules of hundreds of windows are
// compared in pairs: their times are numbered too, and compared once.
type lexicon struct {
	numbers map[string]int
	all     []*terms
	keys    []string // of all
	times   map[string]int
	within  map[[2]int]bool // which times are in which others
	work    *work
}

func newLexicon(w *work) *lexicon {
	return &lexicon{numbers: map[string]int{"": 0}, all: []*terms{{}}, keys: []string{""}, times: make(map[string]int), within: make(map[[2]int]bool), work: w}
}

func (l *lexicon) number(t *terms) int {
	key := t.key()
	n, ok := l.numbers[key]
	if !ok {
		n = len(l.all)
		l.numbers[key] = n
		t.at = l.time(t.windows)
		l.all, l.keys = append(l.all, t), append(l.keys, key)
	}
	return n
}

// time numbers windows.
func (l *lexicon) time(windows []window) int {
	key := make([]byte, 0, 16*len(windows))
	for _, w := range windows {
		key = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(key, uint64(w.from.Unix())), uint64(w.until.Unix()))
	}
	n, ok := l.times[string(key)]
	if !ok {
		n = len(l.times)
		l.times[string(key)] = n
	}
	return n
}

// coversWindows tells whether each window of some terms lies in one of others.
func (l *lexicon) coversWindows(t, o *terms) bool {
	pair := [2]int{t.at, o.at}
	known, ok := l.within[pair]
	if !ok {
		l.work.spend(len(t.windows) + len(o.windows))
		known = coversWindows(t.windows, o.windows)
		l.within[pair] = known
	}
	return known
}

// order gives the numbers of a reach by their words.
func (l *lexicon) order(r reach) []int {
	return slices.SortedFunc(maps.Keys(r), func(a, b int) int { return cmp.Compare(l.keys[a], l.keys[b]) })
}

func (l *lexicon) covers(a, b int) bool {
	l.work.spend(coverSteps)
	return a == b || l.all[a].covers(l.all[b], l)
}

// without gives what is left beside what a rule forbids under some terms: of that,
// nothing, or what is open unless they hold.
func (l *lexicon) without(r reach, open []acl.Service, when int) reach {
	left := make(reach)
	for _, n := range l.order(r) {
		rest := less(r[n], open)
		if len(rest) > 0 {
			left[n] = acl.MergeServices(slices.Concat(left[n], rest))
		}
		if closed := less(r[n], rest); when != 0 && len(closed) > 0 {
			one := *l.all[n]
			one.unless = append(slices.Clone(one.unless), l.all[when])
			slices.SortFunc(one.unless, compareTerms)
			one.unless = slices.CompactFunc(one.unless, func(a, b *terms) bool { return a.key() == b.key() })
			at := l.number(&one)
			left[at] = acl.MergeServices(slices.Concat(left[at], closed))
		}
	}
	return left
}

// beyond gives what is open in one reach and not covered by another.
func (l *lexicon) beyond(r, by reach) reach {
	left := make(reach)
	for n, open := range r {
		for m, covered := range by {
			if l.covers(m, n) {
				open = less(open, covered)
			}
		}
		if len(open) > 0 {
			left[n] = open
		}
	}
	return left
}

// compare tells what changes from one reach to another. What is open under other
// terms than before is one change, and no gain with a loss.
func (l *lexicon) compare(t turns, was, is reach) {
	fresh, gone := l.beyond(is, was), l.beyond(was, is)
	l.pair(fresh, was, func(after, before int, open []acl.Service) bool {
		if l.covers(after, before) {
			t.add(l.widened(before, after), open)
			return true
		}
		return false
	})
	l.pair(gone, is, func(before, after int, open []acl.Service) bool {
		if l.covers(before, after) {
			back := l.widened(after, before)
			back.how = back.back()
			if back.how == narrower {
				back.with, back.without = back.without, back.with
			}
			t.add(back, open)
			return true
		}
		return false
	})
	l.pair(fresh, gone, func(after, before int, open []acl.Service) bool {
		t.add(turn{other, after, before}, open)
		gone[before] = less(gone[before], open)
		return true
	})
	for n, open := range fresh {
		t.add(turn{how: gained, with: n}, open)
	}
	for n, open := range gone {
		t.add(turn{how: lost, with: n}, open)
	}
}

// pair takes out of a reach what is open in another too, terms by terms, where take
// says so.
func (l *lexicon) pair(from, in reach, take func(n, m int, open []acl.Service) bool) {
	for _, n := range l.order(from) {
		for _, m := range l.order(in) {
			rest := less(from[n], in[m])
			both := less(from[n], rest)
			if n != m && len(both) > 0 && take(n, m, both) {
				from[n] = rest
			}
		}
	}
}

// widened says what it is to go from some terms to others that cover them. What comes
// free of conditions opens to those who do not meet them, and where a rule forbids no
// more, to those whom it hit.
func (l *lexicon) widened(before, after int) turn {
	if hit, ok := l.all[before].hit(l.all[after]); ok {
		return turn{how: gained, with: l.number(hit)}
	}
	if after == 0 {
		return turn{how: gained, without: before}
	}
	return turn{wider, after, before}
}

// hit gives the terms of those whom one rule that forbids hits: all that narrows t
// beyond o; false, if there is more.
func (t *terms) hit(o *terms) (*terms, bool) {
	var more []*terms
	for _, f := range t.unless {
		if !slices.ContainsFunc(o.unless, func(g *terms) bool { return g.key() == f.key() }) {
			more = append(more, f)
		}
	}
	bare, free := *t, *o
	bare.unless, free.unless = nil, nil
	if len(more) != 1 || len(t.unless) != len(o.unless)+1 || bare.key() != free.key() {
		return nil, false
	}
	switch f := more[0]; {
	case free.key() == "":
		return f, true
	case len(f.windows) > 0:
		return nil, false
	default:
		free.unless = o.unless
		free.needs = slices.Compact(slices.Sorted(slices.Values(slices.Concat(free.needs, f.needs))))
		return &free, true
	}
}
