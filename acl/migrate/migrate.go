// Package migrate takes over a policy file that was written for another mesh of
// the same dialect: it gives our canonical form of it, and says what did not
// come along.
//
// It holds no second reading of the language. What acl/policy refuses, it puts
// into a comment where it stood, until acl/policy takes the rest. What it promises:
//
//   - What is left out opens nothing. A rule with a condition that is not obeyed
//     goes as a whole, and never loses the condition alone.
//   - Nothing of the file is lost: what is left out is in its comments.
//   - What might have narrowed the rest, and could not be carried, is told apart
//     from what has no effect here; see [Item].
//
// Whether the result is what its author wants is left to them, to the policy's
// own tests, and to acl/diff.
package migrate

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cordonmesh/cordon/acl/policy"
)

// Source is what a file was written for.
type Source uint8

// The sources. They share a dialect; Headscale's older files name people without
// an @.
const (
	Tailscale Source = iota
	Headscale
)

// Options say how to read a file.
type Options struct {
	From   Source
	Domain string // of logins, for people who are named without one; empty: not known
}

// Effect is what it means that something was left out, or written otherwise.
type Effect string

// The effects, from harmless to not.
const (
	Same     Effect = "the same, in our words"
	None     Effect = "nothing changes"
	Less     Effect = "less is open than there"
	Unproved Effect = "a test is not run here"
	Narrowed Effect = "it may have narrowed what is open: look at it by hand"
)

// Item is one thing that is not as it was.
type Item struct {
	Line   int    `json:"line"`  // in the file as it was
	Where  string `json:"where"` // "acls[3].src[0]"
	Why    string `json:"why"`
	Effect Effect `json:"effect"`
}

// Carried is what came of a file.
type Carried struct {
	Policy string `json:"policy"` // in canonical form
	Items  []Item `json:"items"`
}

// Faithful tells whether the policy opens and closes what the file did.
func (c Carried) Faithful() bool {
	for _, item := range c.Items {
		if item.Effect != Same && item.Effect != None {
			return false
		}
	}
	return true
}

// maxRounds bounds how often the rest is tried. Each round but the last leaves
// something out.
const maxRounds = 1000

// File takes over a file. The name is what errors call it. A file that cannot be
// read, and one whose rest cannot be trusted without what is wrong with it, gives
// the error of acl/policy.
func (o Options) File(name string, src []byte) (Carried, error) {
	m := &migration{Options: o, name: name, text: bytes.TrimPrefix(bytes.Clone(src), []byte("\ufeff"))}
	if err := m.rewrite(); err != nil {
		return Carried{}, err
	}
	for range maxRounds {
		_, warnings, err := policy.Parse(name, m.text)
		if err == nil {
			return m.finish(warnings)
		}
		if left, fixErr := m.leaveOut(err); fixErr != nil || !left {
			return Carried{}, errors.Join(fixErr, err)
		}
	}
	return Carried{}, fmt.Errorf("%s: more than %d rounds of errors: mend it by hand first", name, maxRounds)
}

// migration is a file on its way.
type migration struct {
	Options
	name  string
	text  []byte
	items []Item
}

// finish leaves out what only warns of having no effect, and puts the rest into
// canonical form.
func (m *migration) finish(warnings []policy.Warning) (Carried, error) {
	if err := m.dropKeys(warnings); err != nil {
		return Carried{}, err
	}
	text, err := policy.Format(m.name, m.text)
	if err != nil {
		return Carried{}, err
	}
	pol, _, err := policy.Parse(m.name, text)
	if err != nil {
		return Carried{}, err
	}
	if pol.Rules() == nil && m.silent() {
		m.items = append(m.items, Item{1, "", `neither "grants" nor "acls" is in the file: there all is open then, here nothing is`, Less})
	}
	return Carried{string(text), m.items}, nil
}
