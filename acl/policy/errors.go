package policy

import (
	"cmp"
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

func (e *Error) same(o *Error) bool { return *e == *o }

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

	// Refused tells that a new policy would be refused for it: see [Options.InForce].
	Refused bool
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
	judgement   bool // see judge
}

func complain(why, fix string) *complaint { return &complaint{why: why, fix: fix} }

// complainWhole is complain with a reason that is a sentence of its own.
func complainWhole(why, fix string) *complaint { return &complaint{why: why, fix: fix, whole: true} }

// judge is complain about what has a meaning, which the whole program obeys, and
// which nobody should write all the same. A policy that is in force goes on with it
// ([Options.InForce]): the version that first refuses it takes no hospital down.
func judge(why, fix string) *complaint { return &complaint{why: why, fix: fix, judgement: true} }

// complainOf is complain about a name that might be a mistyped known one. The
// search runs only if somebody reads the error: it is slow, and a hostile file
// can ask for it a hundred thousand times.
func complainOf[V any](why, text string, known map[string]V, fix string) *complaint {
	return complainWithin(why, "", text, known, fix)
}

// complainWithin is complainOf about a name that stands behind a prefix.
func complainWithin[V any](why, prefix, text string, known map[string]V, fix string) *complaint {
	guess := func() string {
		near := cmp.Or(behindPrefix(text, known), nearest(text, known))
		if near == "" {
			return ""
		}
		return didYouMean(prefix + near)
	}
	return &complaint{why: why, fix: fix, guess: guess}
}

// didYouMean asks whether a name is meant; "" is no name.
func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", name)
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
