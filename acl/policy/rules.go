package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// ruleReader reads the rule sections, which share limits and ids.
type ruleReader struct {
	*reader
	names *names
	rules []Rule
	ids   map[acl.RuleID]Position
	pairs int

	floors    *floors
	excluded  excluded
	opens     []acl.Protocol  // that any rule opens
	forbidden int             // rules that forbid, so far
	written   map[string]bool // ids; as ruleNames gives them

	defaultPostures []string

	ends    chunks[Selector]
	parts   chunks[Part]
	open    chunks[acl.Service]
	wording []byte // canonical, of the last rule
}

// section reads a list of rules with the reader of its kind.
func (r *ruleReader) section(section member, name string, one func(*value, *Rule)) {
	elements := r.entries(section, name, "rules")
	if len(r.rules)+len(elements) > maxRules {
		r.fail(section.at, name, tooMany("rules"))
		return
	}
	r.rules = slices.Grow(r.rules, len(elements))
	for i := range elements {
		before, at := len(r.errs), len(r.rules)
		r.rules = append(r.rules, Rule{Section: name})
		one(&elements[i], &r.rules[at])
		r.rules[at].Pos = r.pos(elements[i].at)
		if len(r.errs) > before {
			r.rules = r.rules[:at]
		}
	}
}

// identify gives a rule its canonical text and its id.
func (r *ruleReader) identify(rule *Rule, fields object, text canonical) {
	r.wording = text.appendTo(r.wording[:0])
	rule.Text = string(r.wording)
	sum := sha256.Sum256(r.wording)
	rule.ID = acl.RuleID(hex.AppendEncode(append(make([]byte, 0, 32), "sha256:"...), sum[:8]))
	m, ok := fields.get("id")
	if !ok || m.value.isNull() {
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
	case strings.HasPrefix(id, "sha256:"), strings.HasPrefix(id, "seg:"):
		kind, _, _ := strings.Cut(id, ":")
		return complain("an id cannot begin with "+kind+":", "choose a word, such as ward-to-ehr")
	case strings.ContainsAny(id, "\"'`\\") || !printable(id):
		return complain("holds a character that ids cannot have", "use letters, digits, - and _")
	}
	return nil
}

// sources reads a rule's sources, one for each item. In place of one that it cannot
// read, and reports, stands what it may be meant for: what else is wrong with the rule
// is told too.
func (r *ruleReader) sources(items []item) []Selector {
	all := r.ends.list(len(items))
	for _, it := range items {
		s, bad := r.names.selector(it.text)
		switch {
		case bad == nil && (s.Kind == Self || s.Kind == Internet):
			bad = complainWhole(fmt.Sprintf("%q not valid on the src side of a rule", it.text), "use it as a destination")
		case bad != nil && strings.HasPrefix(bad.why, "tag not found"):
			bad.why, bad.whole = "src="+bad.why, true
		}
		if bad != nil {
			r.failAt(it.at, "src", it.text, bad)
			s = unreadable(it.text)
		}
		all = append(all, s)
	}
	return all
}

// unreadable gives a machine for what has a tag's prefix, and otherwise what is of no
// kind.
func unreadable(text string) Selector {
	if strings.HasPrefix(text, "tag:") {
		return Selector{Kind: Tag, Name: text}
	}
	return Selector{Name: text}
}

// checkDestination refuses what only makes a source.
func checkDestination(s Selector) *complaint {
	if s.Kind == World || s.Kind == Shared {
		return complainWhole(fmt.Sprintf("%q not valid on the dst side of a rule", s.Name), `use "*" for all of the mesh, or "autogroup:internet"`)
	}
	return nil
}

// selfSources checks the sources of a rule into autogroup:self: only people
// have something of their own, of whatever role. The old acls also take * there.
func (r *ruleReader) selfSources(rule *Rule, items []item, anyToo bool) {
	if !slices.ContainsFunc(rule.Parts, func(p Part) bool { return p.Self }) {
		return
	}
	for i, s := range rule.Src {
		switch {
		case s.Kind == User, s.Kind == Domain, s.Kind == Group, s.Kind == Member, s.Kind == Role, s.Kind == Any && anyToo, s.Kind == None:
		default:
			r.failAt(items[i].at, "src", items[i].text, complain("autogroup:self cannot be reached from this source",
				"use users, groups or autogroup:member as sources, or put autogroup:self into a rule of its own"))
		}
	}
}

// srcPosture reads which postures a rule asks for. One that says nothing has
// the file's default; so has an empty list, which must not be a way around it.
func (r *ruleReader) srcPosture(fields object) []string {
	if m, ok := fields.get("srcPosture"); ok && !m.value.isEmpty() {
		return r.postureNames(m)
	}
	return r.defaultPostures
}

// postureNames reads a list of names of postures.
func (r *ruleReader) postureNames(m member) []string {
	if m.value == nil {
		return nil
	}
	return r.knownPostures(m, r.texts(m.value, `"`, m.key))
}

func (r *ruleReader) knownPostures(m member, items []item) []string {
	if len(items) > maxPostures {
		r.fail(m.at, m.key, complain(fmt.Sprintf("names more than %d postures", maxPostures), "join them into one"))
		return nil
	}
	var all []string
	for _, it := range items {
		if _, ok := r.names.postures[it.text]; !ok {
			r.failAt(it.at, m.key, it.text, complainOf("unknown posture", it.text, r.names.postures, `define it under "postures"`))
			continue
		}
		all = append(all, it.text)
	}
	return all
}

// expand counts what a rule expands to, and stops a policy bomb.
func (r *ruleReader) expand(at int, sources, destinations, ports int) {
	before := r.pairs
	r.pairs += max(sources, 1) * max(destinations, 1) * max(ports, 1)
	if before <= maxPairs && r.pairs > maxPairs {
		r.fail(at, "", complain(fmt.Sprintf("the rules up to here expand to more than %d combinations", maxPairs), "use groups, tags or CIDRs instead of long lists"))
	}
}

// weight counts names for [ruleReader.expand]: a segment as what is in it.
func (r *ruleReader) weight(items []item) int {
	n := 0
	for _, it := range items {
		n += max(1, len(r.names.segments[it.text].Members))
	}
	return n
}

// partList gathers the parts of one rule. Destinations that open the same go
// together, as the dialect merges them; self and the internet stay apart.
type partList struct {
	*ruleReader
	all []Part
	dst []Selector     // room for those of the first part
	at  map[string]int // by where and what is opened
}

// partsOf gives a list for the parts of a rule that has some destinations.
func (r *ruleReader) partsOf(dst []item) *partList {
	return &partList{ruleReader: r, dst: r.ends.list(len(dst))}
}

func (l *partList) add(dst Selector, open []acl.Service, app []Capability) {
	self, internet := dst.Kind == Self, dst.Kind == Internet
	if len(l.all) == 0 {
		l.all = append(l.parts.list(1), Part{Self: self, Internet: internet, Open: open, App: app})
		if !self && !internet {
			l.all[0].Dst = append(l.dst, dst)
		}
		return
	}
	if l.at == nil {
		first := l.all[0]
		l.at = map[string]int{partKey(first.Self, first.Internet, first.Open): 0}
	}
	key := partKey(self, internet, open)
	i, ok := l.at[key]
	if !ok {
		i = len(l.all)
		l.at[key] = i
		l.all = append(l.all, Part{Self: self, Internet: internet, Open: open, App: app})
	}
	if !self && !internet {
		l.all[i].Dst = append(l.all[i].Dst, dst)
	}
}

func partKey(self, internet bool, open []acl.Service) string {
	where := byte('d')
	switch {
	case self:
		where = 's'
	case internet:
		where = 'i'
	}
	key := append(make([]byte, 0, 1+5*len(open)), where)
	for _, s := range open {
		key = append(key, byte(s.Protocol), byte(s.First>>8), byte(s.First), byte(s.Last>>8), byte(s.Last))
	}
	return string(key)
}

// canonical is the text by which a rule is hashed: its keys in a fixed order,
// its words as written but for blanks and a tag's letter case. A new key is left out when it is empty,
// so that rules without it keep their hash.
type canonical struct {
	Action string `json:"action,omitempty"`
	Proto  string `json:"proto,omitempty"`
	Src    []item `json:"src"`
	Dst    []item `json:"dst"`
	IP     []item `json:"ip,omitempty"`

	Via        []string                     `json:"via,omitempty"`
	App        map[string][]json.RawMessage `json:"app,omitempty"`
	SrcPosture []string                     `json:"srcPosture,omitempty"`

	SrcDevice     []string        `json:"srcDevice,omitempty"`
	When          json.RawMessage `json:"when,omitempty"`
	Approval      string          `json:"approval,omitempty"`
	Through       []string        `json:"through,omitempty"`
	OnExpiry      json.RawMessage `json:"onExpiry,omitempty"`
	Limit         json.RawMessage `json:"limit,omitempty"`
	Log           json.RawMessage `json:"log,omitempty"`
	RecordFailure json.RawMessage `json:"recordFailure,omitempty"`
	Monitor       json.RawMessage `json:"monitor,omitempty"`
	Until         json.RawMessage `json:"until,omitempty"`
}

// appendTo adds the text. Most rules have nothing but lists of plain words, and there
// may be thousands: those need no encoder.
func (c canonical) appendTo(b []byte) []byte {
	if text, ok := c.plain(b); ok {
		return text
	}
	return append(b, c.encoded()...)
}

func (c canonical) encoded() []byte {
	c.Src, c.Dst = slices.Concat([]item{}, c.Src), slices.Concat([]item{}, c.Dst) // [] where none is written
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		return nil // strings always encode, and so do values that were parsed
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// plain is appendTo of a rule without values of a free form and without a character that
// JSON writes in another way.
func (c *canonical) plain(b []byte) ([]byte, bool) {
	if c.App != nil || len(c.When)+len(c.OnExpiry)+len(c.Limit)+len(c.Log)+len(c.RecordFailure)+len(c.Monitor)+len(c.Until) > 0 {
		return nil, false
	}
	begin, ok := len(b)+1, true
	b = append(b, '{')
	word := func(text string) {
		b = append(append(append(b, '"'), text...), '"')
		for i := range len(text) {
			c := text[i]
			ok = ok && c >= ' ' && c <= '~' && c != '"' && c != '\\'
		}
	}
	key := func(name string) {
		if len(b) > begin {
			b = append(b, ',')
		}
		word(name)
		b = append(b, ':')
	}
	one := func(name, text string) {
		if text != "" {
			key(name)
			word(text)
		}
	}
	items := func(name string, all []item) {
		key(name)
		b = append(b, '[')
		for i := range all {
			if i > 0 {
				b = append(b, ',')
			}
			word(TagName(all[i].text))
		}
		b = append(b, ']')
	}
	list := func(name string, all []string) {
		if len(all) == 0 {
			return
		}
		key(name)
		b = append(b, '[')
		for i, text := range all {
			if i > 0 {
				b = append(b, ',')
			}
			word(text)
		}
		b = append(b, ']')
	}
	one("action", c.Action)
	one("proto", c.Proto)
	items("src", c.Src)
	items("dst", c.Dst)
	if len(c.IP) > 0 {
		items("ip", c.IP)
	}
	list("via", c.Via)
	list("srcPosture", c.SrcPosture)
	list("srcDevice", c.SrcDevice)
	one("approval", c.Approval)
	list("through", c.Through)
	return append(b, '}'), ok
}

func texts(items []item) []string {
	all := make([]string, len(items))
	for i, it := range items {
		all[i] = it.text
	}
	return all
}
