package policy

import (
	"fmt"
	"strings"
)

// Error is one thing that is wrong with a policy file.
type Error struct {
	Pos  Position
	Key  string // the key under which Text stands; may be empty
	Text string // the offending text; empty when there is none
	Why  string
	Fix  string // what to do about it

	// Test tells that one of the policy's own tests is wrong, not what it tests.
	Test bool

	// Unsupported tells that the language has this, and that we do not obey it.
	Unsupported bool

	whole bool // Why names key and text itself
}

// Error gives position, offending text, reason and remedy in one line.
func (e *Error) Error() string {
	if e.whole {
		return e.Pos.String() + ": " + line("", "", e.Why, e.Fix)
	}
	return e.Pos.String() + ": " + line(e.Key, e.Text, e.Why, e.Fix)
}

// Errors is everything that is wrong with a policy file, in the file's order.
// [Parse] returns it as its error; get it back with [errors.As].
type Errors []*Error

// Error gives all errors, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single errors to [errors.Is] and [errors.As].
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// Warning is something in a policy file that loads, but does nothing or less
// than it seems to.
type Warning struct {
	Pos  Position
	Text string
	Why  string
}

// String gives the warning in one line.
func (w Warning) String() string { return w.Pos.String() + ": " + line("", w.Text, w.Why, "") }

func line(key, text, why, fix string) string {
	switch {
	case text != "" && key != "":
		why = fmt.Sprintf("%s=%q: %s", key, shorten(text), why)
	case text != "":
		why = fmt.Sprintf("%q: %s", shorten(text), why)
	case key != "":
		why = key + ": " + why
	}
	if fix != "" {
		why += "; " + fix
	}
	return why
}

// shorten keeps a hostile megabyte out of an error's text.
func shorten(text string) string {
	const most = 120
	if runes := []rune(text[:min(len(text), 4*most+4)]); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// complaint is an error that does not know its position yet.
type complaint struct {
	why, fix    string
	guess       func() string // gives a better fix or ""; may be nil
	whole       bool          // why names key and text itself, in the words that admins look for
	unsupported bool
}

func complain(why, fix string) *complaint { return &complaint{why: why, fix: fix} }

// complainWhole is complain with a reason that is a sentence of its own.
func complainWhole(why, fix string) *complaint { return &complaint{why: why, fix: fix, whole: true} }

// complainOf is complain about a name that might be a mistyped known one. The
// search runs only if somebody reads the error: it is slow, and a hostile file
// can ask for it a hundred thousand times.
func complainOf[V any](why, text string, known map[string]V, fix string) *complaint {
	return complainWithin(why, "", text, known, fix)
}

// complainWithin is complainOf about a name that stands behind a prefix.
func complainWithin[V any](why, prefix, text string, known map[string]V, fix string) *complaint {
	guess := func() string {
		if near := nearest(text, known); near != "" {
			return fmt.Sprintf("did you mean %q?", prefix+near)
		}
		return ""
	}
	return &complaint{why: why, fix: fix, guess: guess}
}

// advice gives what to do about it.
func (c *complaint) advice() string {
	if c.guess != nil {
		if better := c.guess(); better != "" {
			return better
		}
	}
	return c.fix
}

// notYet refuses what belongs to the language but is not obeyed yet. Taking it
// for absent could make a grant wider than its author meant.
func notYet(what string) *complaint {
	c := complain(what+" not supported yet", "refusing the policy so that no grant is wider than written")
	c.unsupported = true
	return c
}

// nearest gives the known name with the fewest typing errors between, at most
// two, or "". Ties go to the first in the alphabet, so that errors are the same
// in every run. Large sets are not searched: a hostile file would make us slow.
func nearest[V any](text string, known map[string]V) string {
	const typos, most, longest = 2, 500, 40
	best, found := typos+1, ""
	if len(known) > most || len(text) > longest {
		return ""
	}
	for name := range known {
		if len(name) > longest || max(len(name)-len(text), len(text)-len(name)) > typos {
			continue
		}
		d := distance(strings.ToLower(text), strings.ToLower(name))
		if d < best || (d == best && found != "" && name < found) {
			best, found = d, name
		}
	}
	if 2*best >= len(text) {
		return ""
	}
	return found
}

// distance counts the inserted, deleted, replaced and swapped bytes between two
// words (optimal string alignment).
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
