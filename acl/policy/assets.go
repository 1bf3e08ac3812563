package policy

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// assets reads a list of {"tag", "behind", "match", "bind", "isolate"}. Their
// tags are names that rules may use, as those of tagOwners are.
func (r *ruleReader) assets(section member) []Asset {
	var all []Asset
	elements := r.entries(section, "assets", "assets")
	for i := range elements {
		all = append(all, r.asset(&elements[i]))
	}
	r.names.earned = make(map[string]bool, len(all))
	for _, a := range all {
		r.names.tags[a.Tag], r.names.earned[a.Tag] = true, true
	}
	return all
}

func (r *ruleReader) asset(v *value) Asset {
	fields := r.keyed(v, "an asset", assetKeys)
	a := Asset{Pos: r.pos(v.at), Bind: r.choice(fields, "bind", "mac", "mac+port", "802.1x"), Isolate: r.choice(fields, "isolate", "slash32")}
	r.said(fields, "isolate")
	r.filled(fields, "bind", `write "mac", "mac+port" or "802.1x"`)
	tag, ok := r.word(fields, "tag")
	bad := checkName(tag.text, "tag:")
	switch {
	case !ok:
		r.lacks(fields, "tag", v.at, "", complain("an asset has no tag", `add "tag": "tag:pump", the name that rules use`))
	case bad != nil:
		r.failAt(tag.at, "tag", tag.text, bad)
	}
	a.Tag = TagName(tag.text)
	behind, ok := r.word(fields, "behind")
	a.Behind = TagName(behind.text)
	switch _, owned := r.names.tagOwners[a.Behind]; {
	case !ok:
		r.lacks(fields, "behind", v.at, "", complain("an asset stands behind no gateway", `add "behind": "tag:gw", the tag of those that may vouch for it`))
	case !owned:
		r.failAt(behind.at, "behind", behind.text, complainOf("no gateway has this tag", a.Behind, r.names.tagOwners, `define it under "tagOwners"`))
	}
	if _, ok := fields.get("bind"); !ok {
		r.fail(v.at, "", complain("an asset has no bind", `add "bind": "mac", "mac+port" or "802.1x": how the gateway knows that it is still the same`))
	}
	a.Match = r.match(v, fields)
	return a
}

// match reads {"ipset", "vlan", "oui", "dhcp"}. One that asks for nothing would
// tag every device there is.
func (r *ruleReader) match(asset *value, fields object) Match {
	var m Match
	inner, ok := r.within(fields, "match", matchKeys)
	if !ok || len(inner) == 0 {
		r.lacks(fields, "match", asset.at, "", complain("an asset matches every device", `add "match": {"vlan": 220}, or an ipset, oui or dhcp`))
		return m
	}
	m.Set = lookup(r.reader, inner, "ipset", "ipsets", r.names.ipsets)
	vlan, _ := r.integer(inner, "vlan", 1, 4094)
	m.VLAN = uint16(vlan)
	for _, it := range r.oneOrMore(inner, "oui") {
		if it.text == "" || len(it.text) > maxName {
			r.failAt(it.at, "oui", it.text, complain("is no maker", "write a maker's name, or the first three bytes of its addresses as 00:1a:2b"))
			continue
		}
		m.OUI = append(m.OUI, it.text)
	}
	if it, ok := r.word(inner, "dhcp"); ok {
		pattern, isVendor := strings.CutPrefix(it.text, "vendor~")
		bad := complain("is no pattern for what a device says by DHCP", `write "vendor~CT|MR", a regular expression for its vendor class`)
		if isVendor && pattern != "" {
			_, bad = r.pattern(pattern)
		}
		if bad != nil {
			r.failAt(it.at, "dhcp", it.text, bad)
		}
		m.Vendor = pattern
	}
	if !slices.ContainsFunc(inner, func(m member) bool { return !m.value.isEmpty() }) {
		r.fail(fields.member("match").at, "match", complain("matches every device", "name an ipset, a vlan, an oui or a dhcp pattern"))
	} else {
		r.said(inner, "ipset", "vlan", "oui", "dhcp")
	}
	return m
}

// Limits on regular expressions. A short one with counts in it can be large when
// it is compiled; steps are over the whole file.
const (
	maxPattern      = 256
	maxPatternSteps = 100_000
)

// pattern compiles a regular expression (RE2).
func (r *reader) pattern(text string) (*regexp.Regexp, *complaint) {
	if len(text) > maxPattern {
		return nil, complain(fmt.Sprintf("is longer than %d bytes", maxPattern), "shorten it")
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, complain("is no regular expression: "+err.Error(), "write it in the syntax RE2")
	}
	if r.patterns <= maxPatternSteps {
		program, err := syntax.Compile(tree.Simplify())
		if err != nil {
			return nil, complain("is no regular expression: "+err.Error(), "write it in the syntax RE2")
		}
		r.patterns += len(program.Inst)
	}
	if r.patterns > maxPatternSteps {
		return nil, complain("is too much: the regular expressions up to here are too large", "count fewer repetitions")
	}
	return regexp.MustCompile(text), nil
}
