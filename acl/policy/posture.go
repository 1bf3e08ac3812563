package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Posture is what a rule may ask of a source's device: all of its conditions.
type Posture struct {
	Name       string // "posture:managed"
	Pos        Position
	Conditions []Condition // never empty
}

// Limits on postures. A list of all countries stays well below a condition's.
const (
	maxCondition  = 4 << 10   // bytes
	maxConditions = 256 << 10 // bytes, all together
	maxPostures   = 16        // names in one srcPosture: a default is part of every rule
)

// postures reads {"posture:x": [conditions]}.
func (r *reader) postures(section member) map[string]Posture {
	postures := make(map[string]Posture)
	size := 0
	for _, m := range r.optional(section, "postures") {
		sound := r.sound(m, checkName(m.key, "posture:"))
		p := Posture{Name: m.key, Pos: r.pos(m.at)}
		elements := r.elements(m.value, m.key)
		if len(elements) == 0 {
			r.fail(m.at, m.key, complain("has no condition: every device would pass", `write such as "node:os == 'macos'"`))
		}
		for i := range elements {
			it, ok := r.text(&elements[i], "a condition of "+m.key)
			if size += len(it.text); !ok || size > maxConditions {
				continue
			}
			c, at, bad := condition(it.text)
			if bad != nil {
				r.fail(inside(&elements[i], at), it.text, bad)
				continue
			}
			p.Conditions = append(p.Conditions, c)
		}
		if sound {
			postures[m.key] = p
		}
	}
	if size > maxConditions {
		r.fail(section.at, "postures", complain(fmt.Sprintf("the conditions have %d bytes, the limit is %d", size, maxConditions), "leave out postures that no rule asks for"))
	}
	return postures
}

// condition reads one condition; an attribute alone must be true. At is the byte at
// which a complaint arises.
func condition(text string) (c Condition, at int, bad *complaint) {
	if len(text) > maxCondition {
		return c, 0, complain(fmt.Sprintf("is longer than %d bytes", maxCondition), "split it into two conditions")
	}
	s := scanner{text: text}
	if c.Attribute, bad = s.attribute(); bad != nil {
		return c, s.at, bad
	}
	if s.end() {
		c.Op, c.Values = "==", []any{true}
		return c, s.at, nil
	}
	if c.Op, bad = s.operator(); bad != nil {
		return c, s.at, bad
	}
	s.blanks()
	before := s.at
	switch c.Op {
	case "IS SET", "NOT SET":
	case "IN", "NOT IN":
		c.Values, bad = s.list()
	default:
		var value any
		value, bad = s.value()
		if _, isBool := value.(bool); isBool && c.Op != "==" && c.Op != "!=" {
			return c, before, complain("true and false have no order", "compare them with == or !=")
		}
		c.Values = []any{value}
	}
	if bad == nil && slices.ContainsFunc(c.Values, namesAddresses) {
		return c, before, notYet("ipsets in a condition are") // as a text it is no address, and NOT IN would always hold
	}
	if bad == nil && !s.end() {
		bad = complain("has more behind its end here", "write one condition a string; all of them must hold")
	}
	return c, s.at, bad
}

func namesAddresses(value any) bool {
	text, ok := value.(string)
	return ok && strings.HasPrefix(text, "ipset:")
}
