package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// maxNamed is how many things one section may define whose every use is looked
// at one by one, or costs a look at another file.
const maxNamed = 1000

// named gives the members of a section that defines things by their names.
func (r *reader) named(section member, what string) []member {
	all := r.optional(section, what)
	if len(all) > maxNamed {
		r.fail(section.at, what, complain(fmt.Sprintf("defines more than %d", maxNamed), "join those with the same purpose"))
		return nil
	}
	return all
}

// within reads an object that stands in another one. ok is false when it says
// nothing, or is no object.
func (r *reader) within(fields object, key string, known func() keys) (inner object, ok bool) {
	m, ok := fields.get(key)
	if !ok || m.value.isNull() {
		return nil, false
	}
	return r.keyed(m.value, `"`+key+`"`, known), m.value.isObject()
}

// word reads a text that may be left out, which an empty one is as good as. A number in
// its place is none, and is looked at all the same: what it lacks besides is told too.
func (r *reader) word(fields object, key string) (it item, ok bool) {
	m, ok := fields.get(key)
	if !ok || m.value.isEmpty() {
		return item{}, false
	}
	if it, ok = r.text(m.value, `"`+key+`"`); m.value.isNumber() {
		return item{m.value.text, m.value.at}, true
	}
	return it, ok
}

// lacks complains of what an object does not say. What it says in a wrong way is told
// already.
func (r *reader) lacks(fields object, key string, at int, text string, c *complaint) {
	if !has(fields, key) {
		r.fail(at, text, c)
	}
}

// choice reads a text that is one of a few.
func (r *reader) choice(fields object, key string, of ...string) string {
	it, ok := r.word(fields, key)
	if !ok {
		return ""
	}
	known := make(map[string]bool, len(of))
	for _, one := range of {
		known[one] = true
	}
	if !known[it.text] {
		r.failAt(it.at, key, it.text, complainOf("is not known here", it.text, known, "use "+strings.Join(of, ", ")))
		return ""
	}
	return it.text
}

// list reads a list of texts.
func (r *reader) list(fields object, name string) []item {
	if m, ok := fields.get(name); ok {
		return r.texts(m.value, `"`, name)
	}
	return nil
}

// oneOrMore reads a text, or a list of them.
func (r *reader) oneOrMore(fields object, name string) []item {
	m, ok := fields.get(name)
	if !ok {
		return nil
	}
	if m.value.isText() {
		it, _ := r.text(m.value, name)
		return []item{it}
	}
	items := r.list(fields, name)
	if len(items) > maxNamed {
		r.fail(m.at, name, complain(fmt.Sprintf("lists more than %d", maxNamed), "name a group"))
		return nil
	}
	return items
}

// integer reads a whole number from low to high. ok is false when it is absent
// or none.
func (r *reader) integer(fields object, key string, low, high int) (n int, ok bool) {
	m, ok := fields.get(key)
	if !ok || m.value.isNull() {
		return 0, false
	}
	n, err := strconv.Atoi(m.value.text)
	if err != nil || n < low || n > high {
		fix := "choose another one"
		if m.value.isText() {
			fix = "write it without quotes"
		}
		r.failAt(m.value.at, key, written(m.value), complain(fmt.Sprintf("must be a whole number from %d to %d", low, high), fix))
		return 0, false
	}
	return n, true
}

// flag reads true or false; absent is false.
func (r *reader) flag(fields object, key string) bool {
	m, ok := fields.get(key)
	if !ok || m.value.isNull() {
		return false
	}
	text := strings.Trim(m.value.text, `"`)
	if text != m.value.text || text != "true" && text != "false" {
		r.failAt(m.value.at, key, written(m.value), complain("must be true or false", "write it without quotes"))
	}
	return text == "true"
}

// written gives a value as it stands in the file, but for comments and blanks.
func written(v *value) string { return string(appendCompact(nil, v)) }

// values reads {"NAMESPACE:NAME": value}, what is so of a device.
func (r *reader) values(fields object, key string) map[string]any {
	all := make(map[string]any)
	for _, m := range r.named(fields.member(key), key) {
		s := scanner{text: m.key}
		if _, bad := s.attribute(); bad != nil || !s.end() {
			r.failAt(m.at, key, m.key, complain("is no attribute", "name one with its namespace, as node:os or custom:mdm"))
			continue
		}
		value, ok := plainValue(m.value)
		if !ok {
			r.failAt(m.value.at, key, m.key, complain("has no value that a condition could compare", "write a text, a number, true or false"))
			continue
		}
		all[m.key] = value
	}
	return all
}

// plainValue gives what a condition compares with: a string, a float64 or a bool.
func plainValue(v *value) (any, bool) {
	switch {
	case v.isText():
		return v.unquoted(), true
	case v.text == "true", v.text == "false":
		return v.text == "true", true
	case v.isNumber():
		n, err := strconv.ParseFloat(v.text, 64)
		if err != nil {
			return 0., true // too large to be compared
		}
		return n, true
	}
	return nil, false
}

// lookup reads the name of something that a section of the file defines.
func lookup[V any](r *reader, fields object, key, section string, known map[string]V) string {
	if m, ok := fields.get(key); ok && m.value.isObject() {
		r.fail(m.value.at, "", complainWhole(`"`+key+`" must be a string`, `define it under "`+section+`", and write its name here`))
		return ""
	}
	it, ok := r.word(fields, key)
	if !ok {
		return ""
	}
	name := TagName(it.text)
	if bad := mustKnow(name, section, known); bad != nil {
		r.failAt(it.at, key, it.text, bad)
		return ""
	}
	return name
}

// lookups is lookup for a list of names, or one.
func lookups[V any](r *reader, fields object, key, section string, known map[string]V) []string {
	var all []string
	for _, it := range r.oneOrMore(fields, key) {
		if bad := mustKnow(it.text, section, known); bad != nil {
			r.failAt(it.at, key, it.text, bad)
			continue
		}
		all = append(all, it.text)
	}
	return all
}

func mustKnow[V any](name, section string, known map[string]V) *complaint {
	if _, ok := known[name]; ok {
		return nil
	}
	return complainOf("is not defined", name, known, `define it under "`+section+`"`)
}

// checkWord checks a name that has no prefix to mark it.
func checkWord(name string) *complaint {
	switch {
	case name == "" || len(name) > maxName:
		return complain(fmt.Sprintf("a name has 1 to %d characters", maxName), "rename it")
	case strings.Trim(name, letters+digits+"-_") != "" || !asciiLetter(name[0]) && !strings.Contains(digits, name[:1]):
		return complain("holds a character that names cannot have", "use letters, digits, - and _, and begin with a letter or digit")
	}
	return nil
}
