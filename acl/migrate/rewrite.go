package migrate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/policy"
)

// rewriting is a file whose words are being changed for ours.
type rewriting struct {
	*migration
	hosts map[string]bool
	out   []splice
}

// rewrite changes what says the same in other words: keys in another letter case or by
// their old names, and people without an @.
func (m *migration) rewrite() error {
	root, err := hujson.Parse(m.text)
	if err != nil || !utf8.Valid(m.text) {
		_, _, err = policy.Parse(m.name, m.text)
		return err
	}
	object, ok := root.Value.(*hujson.Object)
	if !ok {
		return nil // acl/policy says what is wrong
	}
	r := &rewriting{migration: m, hosts: make(map[string]bool)}
	for i := range object.Members {
		if strings.EqualFold(textOf(&object.Members[i].Name), "hosts") {
			each(&object.Members[i].Value, func(name, _ *hujson.Value) { r.hosts[textOf(name)] = true })
		}
	}
	for i := range object.Members {
		r.section(&object.Members[i].Name, &object.Members[i].Value)
	}
	slices.SortFunc(r.out, func(a, b splice) int { return cmp.Compare(a.start, b.start) })
	m.apply(r.out)
	return nil
}

// sections are the names of the dialect's sections as we write them.
func sections() []string {
	return []string{"groups", "tagOwners", "hosts", "ipsets", "postures", "defaultSrcPosture", "grants", "acls", "ssh", "nodeAttrs", "autoApprovers", "tests", "sshTests"}
}

func (r *rewriting) section(name, value *hujson.Value) {
	r.key(name, sections(), nil)
	switch key := strings.ToLower(textOf(name)); key {
	case "groups", "tagowners":
		each(value, func(_, list *hujson.Value) { r.people(list) })
	case "autoapprovers":
		each(value, func(what, list *hujson.Value) {
			r.key(what, fields(), nil)
			if strings.EqualFold(textOf(what), "routes") {
				each(list, func(_, who *hujson.Value) { r.people(who) })
				return
			}
			r.people(list)
		})
	case "acls", "grants", "ssh", "nodeattrs", "tests", "sshtests":
		each(value, func(_, rule *hujson.Value) { r.rule(rule, oldNames(key)) })
	}
}

// fields are the dialect's names for what stands in a rule, a test or an approver, as we
// write them.
func fields() []string {
	return []string{"id", "action", "src", "dst", "proto", "ip", "app", "via", "srcPosture", "users", "checkPeriod", "acceptEnv", "recorder", "enforceRecorder",
		"target", "attr", "ipPool", "accept", "check", "deny", "srcPostureAttrs", "routes", "exitNode", "services"}
}

// oldNames gives what fields of a section were called in its first years.
func oldNames(section string) map[string]string {
	switch section {
	case "acls":
		return map[string]string{"users": "src", "ports": "dst"}
	case "tests":
		return map[string]string{"user": "src", "allow": "accept"}
	}
	return nil
}

// key gives a key its name of today, in our letter case. One that nobody knows stays.
func (r *rewriting) key(name *hujson.Value, known []string, old map[string]string) {
	if name == nil {
		return // of what is no object, as acl/policy says
	}
	key := textOf(name)
	now := old[strings.ToLower(key)]
	if i := slices.IndexFunc(known, func(s string) bool { return strings.EqualFold(s, key) }); now == "" && i >= 0 {
		now = known[i]
	}
	if now != "" && now != key {
		r.put(name, now, key)
	}
}

// rule rewrites the keys and the people of a rule or a test.
func (r *rewriting) rule(rule *hujson.Value, old map[string]string) {
	each(rule, func(name, list *hujson.Value) {
		r.key(name, fields(), old)
		field := strings.ToLower(textOf(name))
		if slices.Contains([]string{"src", "dst", "users", "ports", "user", "allow", "accept", "deny"}, field) && !accounts(rule, field) {
			r.people(list)
		}
	})
}

// accounts tells whether a field holds accounts of machines, and not people: the
// users of an ssh rule, and what an ssh test expects.
func accounts(rule *hujson.Value, field string) bool {
	switch field {
	case "users": // the old name of an acl's src, which stands alone
		return hasField(rule, "src")
	case "accept", "deny": // of a test of rules, which has no dst, they are destinations
		return hasField(rule, "dst")
	}
	return false
}

func hasField(object *hujson.Value, field string) bool {
	found := false
	each(object, func(name, _ *hujson.Value) { found = found || strings.EqualFold(textOf(name), field) })
	return found
}

// people gives those who are named without an @ or a domain their logins.
func (r *rewriting) people(list *hujson.Value) {
	if r.From != Headscale {
		return
	}
	if text := textOf(list); text != "" {
		r.person(list, text)
		return
	}
	each(list, func(_, entry *hujson.Value) { r.person(entry, textOf(entry)) })
}

// person rewrites one who may have ports behind, as a destination has.
func (r *rewriting) person(v *hujson.Value, text string) {
	name, ports := apart(text)
	bare := strings.TrimSuffix(name, "@")
	isPrefix := slices.Contains([]string{"group", "tag", "autogroup", "ipset", "user"}, name) // of a name without ports
	if bare == "" || strings.ContainsAny(bare, ":@*/ ") || isPrefix || r.hosts[name] || isAddress(name) {
		return
	}
	if r.Domain == "" { // it matches nobody, and the report says so
		r.out = append(r.out, splice{start: v.StartOffset, end: v.EndOffset, text: quoted(bare + "@" + ports)})
		return
	}
	r.put(v, bare+"@"+r.Domain+ports, text)
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return err == nil
}

// put puts other words in a string's place.
func (r *rewriting) put(v *hujson.Value, text, was string) {
	r.out = append(r.out, splice{start: v.StartOffset, end: v.EndOffset, text: quoted(text)})
	r.items = append(r.items, Item{at: r.origin(v.StartOffset), Where: was, Carried: true, Why: fmt.Sprintf("written %q", text), Effect: Same})
}

func quoted(text string) string {
	b, _ := json.Marshal(text) // a string always has a form
	return string(b)
}

// each calls f for each member of an object, or each element of a list, which has
// no name.
func each(v *hujson.Value, f func(name, value *hujson.Value)) {
	switch c := v.Value.(type) {
	case *hujson.Object:
		for i := range c.Members {
			f(&c.Members[i].Name, &c.Members[i].Value)
		}
	case *hujson.Array:
		for i := range c.Elements {
			f(nil, &c.Elements[i])
		}
	}
}
