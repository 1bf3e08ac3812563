package diff

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// covers tells whether everything that passes under some terms passes under t too,
// as far as their words show: false is no proof of the contrary.
func (t *terms) covers(o *terms, by *lexicon) bool {
	for _, f := range t.features {
		if !slices.Contains(o.features, f) {
			return false
		}
	}
	return asksNoMore(t.needs, o.needs) && (!t.monitor || o.monitor) && t.coversTime(o, by) && t.coversUnless(o, by) &&
		(t.hold == 0 || o.hold != 0 && t.hold >= o.hold) && t.drains(o) && coversLimit(t.limit, o.limit)
}

// drains tells whether flows go on under t for as long. Where nothing ends they
// always do.
func (t *terms) drains(o *terms) bool {
	return t.drain >= o.drain || len(t.needs)+len(t.windows) == 0
}

// asksNoMore tells whether each fact follows from some other.
func asksNoMore(needs, from []acl.Fact) bool {
	for _, fact := range needs {
		if !slices.ContainsFunc(from, func(f acl.Fact) bool { return follows(fact, f) }) {
			return false
		}
	}
	return true
}

// follows tells whether whoever has a fact surely has another: a login within an
// hour is one within eight.
func follows(fact, from acl.Fact) bool {
	if fact == from {
		return true
	}
	kind, words, _ := strings.Cut(string(fact), ":")
	other, strict, _ := strings.Cut(string(from), ":")
	if kind != other || kind != "mfa" && kind != "session" && kind != "risk" {
		return false
	}
	asked := pairs(strict)
	for key, value := range pairs(words) {
		if has, ok := asked[key]; !ok || !looser(key, value, has) {
			return false
		}
	}
	return true
}

// pairs cuts the words of a fact, such as "within=8h0m0s:amr=hwk|otp" or "<70".
func pairs(words string) map[string]string {
	all := make(map[string]string)
	for _, word := range strings.Split(words, ":") {
		if below, ok := strings.CutPrefix(word, "<"); ok {
			all["<"] = below
		} else if key, value, _ := strings.Cut(word, "="); key != "" {
			all[key] = value
		}
	}
	return all
}

func looser(key, value, than string) bool {
	switch key {
	case "within", "idle":
		a, err1 := time.ParseDuration(value)
		b, err2 := time.ParseDuration(than)
		return err1 == nil && err2 == nil && a >= b
	case "<":
		a, err1 := strconv.Atoi(value)
		b, err2 := strconv.Atoi(than)
		return err1 == nil && err2 == nil && a >= b
	case "amr":
		methods := strings.Split(value, "|")
		return !slices.ContainsFunc(strings.Split(than, "|"), func(m string) bool { return !slices.Contains(methods, m) })
	}
	return value == than
}

// coversTime compares schedules by what they say, and only then by the windows that
// nodes are told: two can be the same for a week and differ later.
func (t *terms) coversTime(o *terms, by *lexicon) bool {
	switch {
	case len(t.windows) == 0:
		return true
	case len(o.windows) == 0:
		return false
	case len(t.schedules) > 0 && len(o.schedules) > 0 && (slices.Equal(t.schedules, o.schedules) || t.hours == o.hours):
		return true
	case t.at == o.at:
		return len(t.schedules)+len(o.schedules) == 0
	}
	return by.coversWindows(t, o)
}

// coversWindows tells whether each window lies in one of others. Those of either do not
// overlap, and stand in order: hundreds of schedules with hundreds are compared in pairs.
func coversWindows(all, others []window) bool {
	at := -1 // of those that began by then, the last
	for _, w := range others {
		for at+1 < len(all) && !begins(w, all[at+1]) {
			at++
		}
		if at < 0 || !encloses(all[at], w) {
			return false
		}
	}
	return true
}

// begins tells whether one window begins before another.
func begins(v, w window) bool {
	return !w.from.IsZero() && (v.from.IsZero() || v.from.Before(w.from))
}

func encloses(v, w window) bool {
	return (v.from.IsZero() || !w.from.IsZero() && !v.from.After(w.from)) && (v.until.IsZero() || !w.until.IsZero() && !w.until.After(v.until))
}

// coversUnless: each thing that forbids under t forbids at least as much under o.
func (t *terms) coversUnless(o *terms, by *lexicon) bool {
	for _, f := range t.unless {
		if !slices.ContainsFunc(o.unless, func(g *terms) bool { return g.covers(f, by) }) {
			return false
		}
	}
	return true
}

func coversLimit(a, b acl.Limit) bool {
	same := b
	same.Bytes, same.Flows = a.Bytes, a.Flows
	return a == acl.Limit{} || a == same && (a.Bytes == 0) == (b.Bytes == 0) && a.Bytes >= b.Bytes && a.Flows >= b.Flows
}
