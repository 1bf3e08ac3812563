package migrate

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/policy"
)

// removal is something that is left out.
type removal struct {
	step
	item Item
}

// leaveOut puts into comments what a policy was refused for; left is false if
// nothing can be done about it.
func (m *migration) leaveOut(refusal error) (left bool, err error) {
	var all policy.Errors
	if !errors.As(refusal, &all) {
		return false, nil
	}
	root, err := hujson.Parse(m.text)
	if err != nil {
		return false, nil // the refusal says it better
	}
	var out []removal
	for _, e := range all {
		w := wayTo(&root, m.offset(e.Pos))
		where, effect, ok := scapegoat(w)
		if !ok {
			return false, nil
		}
		out = append(out, m.removal(where, m.reason(e), effect))
		if w.section() == "ssh" { // its tests would speak of rules that are not there
			if tests := member(&root, "sshtests"); tests != nil {
				out = append(out, m.removal(tests, note{why: "ssh is left out"}, Unproved))
			}
		}
	}
	m.comment(out)
	return true, nil
}

// reason gives what is wrong in one line, without a place, and what to do about it.
func (m *migration) reason(e *policy.Error) note {
	n := note{why: e.Why, do: e.Fix}
	switch service, ok := m.word(e.Text); {
	case strings.Contains(e.Text, "://"): // of headscale: the provider's address with an id behind
		n = note{why: "a person is named by an id at the identity provider, and here by their login", do: "write the login"}
	case ok && e.Unsupported:
		n = service
	case e.Unsupported, e.Fix == "remove it", strings.HasPrefix(e.Fix, "if it is to narrow something"):
		n.do = "see what it did there, and write by hand what may hold without"
	case e.Why == "unknown group" && !strings.HasPrefix(e.Fix, "did you mean"):
		n.do = `define it under "groups": of logins, or as {"` + e.Text + `": ["idp:NAME"]} of a group at the identity provider`
	}
	if e.Text != "" && !strings.Contains(n.why, e.Text) {
		n.why = fmt.Sprintf("%q: %s", e.Text, n.why)
	}
	n.why = strings.Join(strings.Fields(n.why), " ")
	return n
}

// scapegoat chooses what to leave out because of an error: the least whose
// absence opens nothing. Not ok: there is nothing like that.
func scapegoat(w way) (part way, effect Effect, ok bool) {
	to := func(n int, effect Effect) (way, Effect, bool) {
		n = min(n, len(w))
		return w[:n], effect, n > 0
	}
	switch w.section() {
	case "":
		return nil, "", false
	case "grants", "acls":
		switch {
		case len(w) < 2: // the section is no list, or stands twice
			return nil, "", false
		case len(w) > 3 && slices.Contains([]string{"src", "dst", "users", "ports", "ip"}, w.under(2)):
			return to(4, Less) // any of the list will do: without one it is narrower
		}
		return to(2, Less)
	case "tests", "sshtests":
		if len(w) > 3 && (w.under(2) == "accept" || w.under(2) == "deny") {
			return to(4, Unproved)
		}
		return to(2, Unproved)
	case "ssh": // a rule that checks stands before one that accepts: without it that would count
		return to(1, Less)
	case "groups", "tagowners":
		return to(3, Less)
	case "hosts", "ipsets", "postures": // in part they would be others: whoever names them goes too
		return to(2, Less)
	case "nodeattrs":
		return to(2, None)
	case "autoapprovers":
		if w.under(1) == "routes" {
			return to(4, Less)
		}
		return to(3, Less)
	case "defaultsrcposture": // without it rules would be wider
		return nil, "", false
	}
	return to(1, Narrowed)
}

// member finds a section by its name in lower case.
func member(root *hujson.Value, name string) way {
	object, ok := root.Value.(*hujson.Object)
	if !ok {
		return nil
	}
	for i := range object.Members {
		if w := wayTo(root, object.Members[i].Name.StartOffset); w.section() == name {
			return w[:1]
		}
	}
	return nil
}

func (m *migration) removal(w way, of note, effect Effect) removal {
	last := w[len(w)-1]
	return removal{last, Item{at: m.origin(last.start), Why: of.why, Do: of.do, Effect: effect}}
}

// comment puts what is left out into comments, where it stood.
func (m *migration) comment(all []removal) {
	slices.SortStableFunc(all, func(a, b removal) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	var splices []splice
	end := 0
	for _, r := range all {
		if r.start < end {
			continue // within what is left out already
		}
		end = m.comma(r.end)
		splices = append(splices, splice{start: r.start, end: end, text: leftOut(r.item.Why, m.text[r.start:r.end])})
		m.items = append(m.items, r.item)
	}
	m.apply(splices)
}

// leftOut is the comment in place of what is left out.
func leftOut(why string, was []byte) string {
	return fmt.Sprintf("/* left out (%s): %s */", strings.ReplaceAll(why, "*/", "* /"), strings.ReplaceAll(string(was), "*/", "* /"))
}

// comma gives the end of a value with the comma behind it, if there is one.
func (m *migration) comma(end int) int {
	rest := m.text[end:]
	for len(rest) > 0 {
		switch {
		case rest[0] == ',':
			return len(m.text) - len(rest) + 1
		case bytes.HasPrefix(rest, []byte("//")):
			_, rest, _ = bytes.Cut(rest, []byte("\n"))
		case bytes.HasPrefix(rest, []byte("/*")):
			_, rest, _ = bytes.Cut(rest, []byte("*/"))
		case bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0:
			rest = rest[1:]
		default:
			return end
		}
	}
	return end
}

// dropKeys leaves out the keys that have no effect here. It tells whether there were
// any.
func (m *migration) dropKeys(warnings []policy.Warning) bool {
	root, err := hujson.Parse(m.text)
	if err != nil {
		return false
	}
	var out []removal
	for _, warning := range warnings {
		at := m.offset(warning.Pos)
		w := wayTo(&root, at)
		if len(w) == 0 || w[len(w)-1].start != at || w[len(w)-1].keyEnd == 0 || w[len(w)-1].key != warning.Text {
			continue
		}
		of := note{why: warning.Why, effect: None}
		if more, ok := dropped()[w.kind()]; ok {
			of = more
		}
		out = append(out, m.removal(w, of, of.effect))
	}
	m.comment(out)
	return len(out) > 0
}

// silent tells whether the file has no section of rules.
func (m *migration) silent() bool {
	root, err := hujson.Parse(m.text)
	return err == nil && member(&root, "grants") == nil && member(&root, "acls") == nil
}
