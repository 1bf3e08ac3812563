package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl"
)

// ruleReader reads the rule sections, which share limits and ids.
type ruleReader struct {
	*reader
	names *names
	rules []Rule
	ids   map[acl.RuleID]Position
	pairs int
}

// section reads a list of rules with the reader of its kind.
func (r *ruleReader) section(section member, name string, one func(*hujson.Value) Rule) {
	if section.value == nil {
		return
	}
	elements := r.elements(section.value, `"`+name+`"`)
	if len(r.rules)+len(elements) > maxRules {
		r.fail(section.at, name, complain(fmt.Sprintf("more than %d rules", maxRules), "join rules with the same purpose"))
		return
	}
	for i := range elements {
		before := len(r.errs)
		rule := one(&elements[i])
		rule.Section, rule.Pos = name, r.pos(elements[i].StartOffset)
		if len(r.errs) == before {
			r.rules = append(r.rules, rule)
		}
	}
}

// identify gives a rule its canonical text and its id.
func (r *ruleReader) identify(rule *Rule, fields map[string]member, text canonical) {
	rule.Text = text.String()
	sum := sha256.Sum256([]byte(rule.Text))
	rule.ID = acl.RuleID("sha256:" + hex.EncodeToString(sum[:8]))
	m, ok := fields["id"]
	if !ok || isNull(m.value) {
		return
	}
	it, ok := r.text(m.value, `"id"`)
	if !ok {
		return
	}
	if bad := checkID(it.text); bad != nil {
		r.failAt(it.at, "id", it.text, bad)
		return
	}
	id := acl.RuleID(it.text)
	if first, twice := r.ids[id]; twice {
		r.failAt(it.at, "id", it.text, complain(fmt.Sprintf("another rule has this id, in line %d", first.Line), "give each rule an id of its own"))
		return
	}
	if r.ids == nil {
		r.ids = make(map[acl.RuleID]Position)
	}
	r.ids[id] = r.pos(it.at)
	rule.ID, rule.Written = id, true
}

// checkID keeps ids fit for logs and command lines, and apart from hashes.
func checkID(id string) *complaint {
	switch {
	case id == "" || len(id) > maxName:
		return complain(fmt.Sprintf("an id has 1 to %d characters", maxName), "change it, or leave the id out")
	case strings.HasPrefix(id, "sha256:"):
		return complain("an id cannot begin with sha256:", "choose a word, such as ward-to-ehr")
	case strings.ContainsAny(id, "\"'`\\") || !printable(id):
		return complain("holds a character that ids cannot have", "use letters, digits, - and _")
	}
	return nil
}

// sources reads a rule's sources.
func (r *ruleReader) sources(items []item) []Selector {
	all := make([]Selector, 0, len(items))
	for _, it := range items {
		s, bad := r.names.selector(it.text)
		if bad == nil && s.Kind == Self {
			bad = complain(`"autogroup:self" not valid on the src side of a rule`, "use it as a destination")
		}
		if bad != nil {
			r.failAt(it.at, "src", it.text, bad)
			continue
		}
		all = append(all, s)
	}
	return all
}

// selfSources checks the sources of a rule into autogroup:self: only people
// have something of their own. The old acls also take * there.
func (r *ruleReader) selfSources(sources []Selector, items []item, anyToo bool) {
	if len(sources) != len(items) {
		return // reported already
	}
	for i, s := range sources {
		switch {
		case s.Kind == User, s.Kind == Group, s.Kind == Member, s.Kind == Any && anyToo:
		default:
			r.failAt(items[i].at, "src", items[i].text, complain("autogroup:self cannot be reached from this source",
				"use users, groups or autogroup:member as sources, or put autogroup:self into a rule of its own"))
		}
	}
}

// expand counts what a rule expands to, and stops a policy bomb.
func (r *ruleReader) expand(at int, sources, destinations, ports int) {
	before := r.pairs
	r.pairs += max(sources, 1) * max(destinations, 1) * max(ports, 1)
	if before <= maxPairs && r.pairs > maxPairs {
		r.fail(at, "", complain(fmt.Sprintf("the rules up to here expand to more than %d combinations", maxPairs), "use groups, tags or CIDRs instead of long lists"))
	}
}

// partList gathers the parts of one rule. Destinations that open the same go
// together, as the dialect merges them; self stays apart, since it narrows.
type partList struct {
	all []Part
	at  map[string]int // by what is opened
}

func (l *partList) add(dst Selector, open []acl.Service) {
	self := dst.Kind == Self
	key := fmt.Sprint(self, open)
	i, ok := l.at[key]
	if !ok {
		if l.at == nil {
			l.at = make(map[string]int)
		}
		i = len(l.all)
		l.at[key] = i
		l.all = append(l.all, Part{Self: self, Open: open})
	}
	if !self {
		l.all[i].Dst = append(l.all[i].Dst, dst)
	}
}

// canonical is the text by which a rule is hashed: its keys in a fixed order,
// its words as written but for blanks.
type canonical struct {
	Action string   `json:"action,omitempty"`
	Proto  string   `json:"proto,omitempty"`
	Src    []string `json:"src"`
	Dst    []string `json:"dst"`
	IP     []string `json:"ip,omitempty"`
}

func (c canonical) String() string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		return "" // strings always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func texts(items []item) []string {
	all := make([]string, len(items))
	for i, it := range items {
		all[i] = it.text
	}
	return all
}

// list reads a field of a rule that is a list of strings.
func (r *ruleReader) list(fields map[string]member, name string) []item {
	if m, ok := fields[name]; ok {
		return r.texts(m.value, `"`+name+`"`)
	}
	return nil
}
