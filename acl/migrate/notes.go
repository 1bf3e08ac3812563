package migrate

import (
	"fmt"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/policy"
)

// noting goes through what came along, and says what each thing of it means here.
type noting struct {
	*migration
	told map[int]bool // offsets of which something is said
}

// note says of all that came along what it means here: of each section, and of what
// in it is less than it was. What warns besides is told in the words of acl/policy.
func (m *migration) note(warnings []policy.Warning) error {
	root, err := hujson.Parse(m.text)
	if err != nil {
		return err
	}
	n := &noting{migration: m, told: make(map[int]bool)}
	each(&root, n.section)
	for _, w := range warnings {
		if at := m.offset(w.Pos); !n.told[at] && w.Text != "" {
			n.say(at, note{why: w.Why, effect: None})
		}
	}
	return nil
}

// say notes something that came along.
func (n *noting) say(at int, of note) {
	n.told[at] = true
	n.items = append(n.items, Item{at: n.origin(at), Carried: true, Why: of.why, Do: of.do, Effect: of.effect})
}

func (n *noting) section(name, value *hujson.Value) {
	of, other := sectionNotes()[key(name)]
	if !other || isEmpty(value) {
		of = note{effect: Kept}
	}
	n.say(name.StartOffset, of)
	switch key(name) {
	case "groups", "tagowners":
		each(value, func(_, list *hujson.Value) { n.words(list) })
	case "grants", "acls", "tests", "nodeattrs":
		each(value, func(_, entry *hujson.Value) { each(entry, n.field) })
	case "autoapprovers":
		each(value, n.approvers)
	}
}

// field looks at one of a rule, a test or an entry of nodeAttrs.
func (n *noting) field(name, value *hujson.Value) {
	if of, ok := ruleKeys()[key(name)]; ok && !isEmpty(value) {
		n.say(name.StartOffset, of)
	}
	switch key(name) {
	case "attr":
		each(value, n.attribute)
	case "src", "dst", "user", "target":
		n.words(value)
	case "accept", "allow", "deny":
		each(value, n.expected)
	}
}

// expected looks at what a test expects.
func (n *noting) expected(_, v *hujson.Value) {
	if name, _ := apart(textOf(v)); strings.HasPrefix(name, "svc:") {
		n.say(v.StartOffset, note{fmt.Sprintf("%q: there are no virtual services, so this is not judged", name), "test the machines behind it", Unproved})
		return
	}
	n.one(nil, v)
}

func (n *noting) attribute(_, one *hujson.Value) {
	if of, ok := attribute(textOf(one)); ok {
		n.say(one.StartOffset, of)
	}
}

func (n *noting) approvers(what, list *hujson.Value) {
	switch key(what) {
	case "exitnode":
		if !isEmpty(list) {
			n.say(what.StartOffset, note{"no node carries a default route yet", "let clients go out by their own network", Less})
		}
		n.words(list)
	case "routes":
		each(list, func(_, who *hujson.Value) { n.words(who) })
	}
}

// words looks at the names in a list, or at one alone.
func (n *noting) words(list *hujson.Value) {
	if textOf(list) != "" {
		n.one(nil, list)
		return
	}
	each(list, n.one)
}

func (n *noting) one(_, v *hujson.Value) {
	name, _ := apart(textOf(v))
	if of, ok := n.word(name); ok {
		of.why = fmt.Sprintf("%q: %s", name, of.why)
		n.say(v.StartOffset, of)
	}
}

// key gives a key in lower case.
func key(name *hujson.Value) string { return strings.ToLower(textOf(name)) }

// apart cuts the ports off a name, if there are any. What follows the last colon of
// anything else, a tag or a URL say, is not of digits.
func apart(text string) (name, ports string) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || i == len(text)-1 || strings.Trim(text[i+1:], "0123456789-,* ") != "" {
		return text, ""
	}
	return text[:i], text[i:]
}

// isEmpty tells whether a value says nothing.
func isEmpty(v *hujson.Value) bool {
	switch c := v.Value.(type) {
	case *hujson.Object:
		return len(c.Members) == 0
	case *hujson.Array:
		return len(c.Elements) == 0
	case hujson.Literal:
		return c.Kind() == 'n'
	}
	return false
}
