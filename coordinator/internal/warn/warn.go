// Package warn tells those who care for a mesh what is about to lapse: 30, 7 and 1
// day before, and at the end, each once; and what is amiss as it stands, once, within
// the hour or, where somebody said to look, within moments. [Weigh], which is pure,
// finds what is due; a [Warner] keeps what it has told on disk and hands each warning
// to the log and to its sinks, a webhook or syslog.
//
// Its promises:
//
//   - A warning counts as told when it is in the log and in every sink's queue.
//     A sink that is away for longer than its patience, or whose queue is full,
//     loses warnings, and the log says so; nobody else waits for it.
//   - What lived for less than a threshold is not warned of at it: an hour's
//     token is not about to lapse the moment it is made.
//   - What gets another end is another thing, and is told of anew.
//   - What is due of one kind at one moment reaches a sink as one message ([Gather]);
//     the log has each thing in a line of its own.
//   - Texts that others chose reach a sink as printable characters of one line.
//
// It leaves to others: what there is that lapses, and whether it renews by itself.
package warn

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

const day = 24 * time.Hour

// thresholds are how long before an end it is warned of, the longest first.
func thresholds() []time.Duration { return []time.Duration{30 * day, 7 * day, day, 0} }

// Lapse is something that has an end, or that is amiss.
type Lapse struct {
	Kind   string // of what, in one word: "certificate", "key", "token", "policy", "machine"
	Name   string // which, unique among its kind
	Since  time.Time
	Until  time.Time // zero: it has no end, and is amiss until somebody mends it
	Advice string    // what happens then, and what to do before
}

// Warning is what is told of a Lapse.
type Warning struct {
	Lapse
	Left time.Duration // until its end, at the moment of the telling; not positive: it has come

	// Count is of how many things this tells, if of more than one: then Name gives the
	// first few, and Until is the first end. See [Gather].
	Count   int
	reached int // thresholds, see [Lapse.reached]
}

const minutes = "2006-01-02 15:04 UTC"

// Text is the warning in a line for people.
func (w Warning) Text() string {
	if w.Count > 1 {
		return w.gathered()
	}
	what := line(w.Kind + " " + w.Name)
	if w.Until.IsZero() {
		return what + ": " + line(w.Advice)
	}
	at := w.Until.UTC().Format(minutes)
	if w.Left <= 0 {
		return fmt.Sprintf("%s has ended at %s: %s", what, at, line(w.Advice))
	}
	return fmt.Sprintf("%s ends in %s, at %s: %s", what, span(w.Left), at, line(w.Advice))
}

const maxLine = 400 // characters

// line gives a text as one of a terminal and a log: printable, and cut.
func line(text string) string {
	left := maxLine
	return strings.Map(func(r rune) rune {
		switch left--; {
		case left < 0:
			return -1
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, text)
}

// Told is which thresholds were told of what, by its key: how many.
type Told map[string]int

// key names a thing with its end, so that another end is another thing.
func (l Lapse) key() string { return fmt.Sprintf("%s|%s|%d", l.Kind, l.Name, l.Until.Unix()) }

// reached tells how many thresholds a thing has passed; 0: none that it lived for.
func (l Lapse) reached(now time.Time) (n int) {
	if l.Until.IsZero() {
		return 1
	}
	for i, before := range thresholds() {
		if l.Until.Sub(l.Since) > before && !now.Before(l.Until.Add(-before)) {
			n = i + 1
		}
	}
	return n
}

// Weigh gives what is to be told now, the next to end first, and what is told then.
// A thing that passed several thresholds since is told of once. It is pure.
func Weigh(lapses []Lapse, told Told, now time.Time) (due []Warning, next Told) {
	next = Told{}
	for _, l := range lapses {
		n := l.reached(now)
		if n == 0 {
			continue
		}
		if n > told[l.key()] {
			due = append(due, Warning{Lapse: l, Left: l.Until.Sub(now), reached: n})
		}
		next[l.key()] = max(n, told[l.key()])
	}
	sortWarnings(due)
	return due, next
}

// Standing gives all that is within a threshold now, told or not.
func Standing(lapses []Lapse, now time.Time) (all []Warning) {
	for _, l := range lapses {
		if n := l.reached(now); n > 0 {
			all = append(all, Warning{Lapse: l, Left: l.Until.Sub(now), reached: n})
		}
	}
	sortWarnings(all)
	return all
}

func sortWarnings(all []Warning) {
	slices.SortFunc(all, func(a, b Warning) int {
		return cmp.Or(a.Until.Compare(b.Until), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
}
