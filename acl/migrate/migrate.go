// Package migrate takes over a policy file that was written for another mesh of
// the same dialect: it gives our canonical form of it, and says what did not
// come along.
//
// It holds no second reading of the language. What acl/policy refuses, it puts
// into a comment where it stood, until acl/policy takes the rest. What it promises:
//
//   - Of each key of the file it says that it came along, what it means here where
//     that is less than there, or that it was left out and what to do instead.
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
	Kept     Effect = "the same"
	Same     Effect = "the same, in our words"
	None     Effect = "nothing changes"
	Less     Effect = "less is open than there"
	Unproved Effect = "a test is not run here"
	Narrowed Effect = "it may have narrowed what is open: look at it by hand"
)

// Item says what became of one thing in the file.
type Item struct {
	at int // offset in the file as it was

	Line    int    `json:"line"`    // in the file as it was
	Column  int    `json:"column"`  // in characters
	Where   string `json:"where"`   // "acls[3].src[0]"
	Carried bool   `json:"carried"` // else it is left out
	Why     string `json:"why,omitempty"`
	Do      string `json:"do,omitempty"` // what to do instead
	Effect  Effect `json:"effect"`
}

// String says where a thing stood and what became of it, why, what to do instead, and
// what that means.
func (i Item) String() string {
	text := fmt.Sprintf("%d:%d: %s: ", i.Line, i.Column, i.Where)
	if i.Carried {
		text += "carried over"
	} else {
		text += "left out"
	}
	if i.Why != "" {
		text += ": " + i.Why
	}
	if i.Do != "" {
		text += "; " + i.Do
	}
	if i.Effect == Kept {
		return text
	}
	return text + " (" + string(i.Effect) + ")"
}

// Carried is what came of a file.
type Carried struct {
	Policy string `json:"policy"` // in canonical form
	Items  []Item `json:"items"`  // in the order of the file
}

// Faithful tells whether the policy opens and closes what the file did.
func (c Carried) Faithful() bool {
	for _, item := range c.Items {
		if item.Effect != Kept && item.Effect != Same && item.Effect != None {
			return false
		}
	}
	return true
}

// maxRounds bounds how often the rest is tried. Each round but the last leaves out what
// one reading complains of, which is 50 things at most; a file of more mistakes is no
// policy of the dialect, and trying it to the end takes minutes.
const maxRounds = 40

// File takes over a file. The name is what errors call it. A file that cannot be
// read, and one whose rest cannot be trusted without what is wrong with it, gives
// the error of acl/policy.
func (o Options) File(name string, src []byte) (Carried, error) {
	src = bytes.TrimPrefix(bytes.Clone(src), []byte("\ufeff"))
	if !bytes.HasSuffix(src, []byte("\n")) {
		src = append(src, '\n') // or a comment in the last line would have no end
	}
	m := &migration{Options: o, name: name, src: src, text: src}
	if err := m.rewrite(); err != nil {
		if isYAML(src) {
			err = fmt.Errorf("%s: %w: make JSON of it first, as with `yq -o=json . %[1]s`", name, ErrYAML)
		}
		return Carried{}, err
	}
	for range maxRounds {
		pol, warnings, err := policy.Parse(name, m.text)
		if err == nil {
			return m.finish(pol, warnings)
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
	name   string
	src    []byte // as it was
	text   []byte
	rounds [][]splice // that made text of src
	items  []Item
}

// finish leaves out what only warns of having no effect, says what the rest means
// here, and puts it into canonical form.
func (m *migration) finish(pol *policy.Policy, warnings []policy.Warning) (Carried, error) {
	for m.dropKeys(warnings) { // warnings are told by the fifty
		var err error
		if pol, warnings, err = policy.Parse(m.name, m.text); err != nil {
			return Carried{}, err
		}
	}
	if err := m.note(warnings); err != nil {
		return Carried{}, err
	}
	text, err := policy.Format(m.name, m.text)
	if err != nil {
		return Carried{}, err
	}
	if pol.Rules() == nil && m.silent() {
		m.items = append(m.items, Item{Where: "the file", Carried: true, Why: `neither "grants" nor "acls" is in it: there all is open then, here nothing is`, Do: "write a grant for what must be open", Effect: Less})
	}
	items, err := m.placed()
	return Carried{string(text), items}, err
}
