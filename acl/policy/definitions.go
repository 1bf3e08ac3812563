package policy

import (
	"fmt"
	"net/netip"
	"strings"
)

// groups reads {"group:x": [logins]}. A group of an identity provider ("scim:x",
// "idp:x") or of the coordinator's own people ("local:x") stands among them as it is written: who is in it is known elsewhere.
func (r *reader) groups(section member) map[string][]string {
	groups := make(map[string][]string)
	for _, m := range r.optional(section, "groups") {
		sound := r.sound(m, checkName(m.key, "group:"))
		logins := []string{}
		for _, it := range r.texts(m.value, "", m.key) {
			if bad := groupMember(m.key, it.text); bad != nil {
				r.fail(it.at, it.text, bad)
				continue
			}
			r.warnOfUnseen(it)
			logins = append(logins, it.text)
		}
		if sound {
			groups[m.key] = logins
		}
	}
	return groups
}

func groupMember(group, text string) *complaint {
	kind, _, _ := strings.Cut(text, ":")
	switch kind {
	case "group":
		return complainWhole(fmt.Sprintf("groups[%q]: %q: group members cannot be recursive", shorten(group), shorten(text)), "list the members themselves")
	case "scim", "idp", "local":
		if _, name, _ := strings.Cut(text, ":"); name == "" || len(text) > maxName || !printable(strings.ReplaceAll(name, " ", "")) {
			return complain("names no group of an identity provider, or of the coordinator's own", "write it as "+kind+":NAME")
		}
		return nil
	case "tag", "autogroup", "*":
		return complain("is no user", "a group holds logins only; name this one in the rules instead")
	}
	if !strings.Contains(text, "@") {
		return complain("is no user", "write the login as name@domain")
	}
	_, bad := login(text)
	return bad
}

// hosts reads {"name": "address or CIDR"}, perhaps at a site.
func (r *reader) hosts(section member, n *names) map[string]netip.Prefix {
	hosts := make(map[string]netip.Prefix)
	for _, m := range r.optional(section, "hosts") {
		sound := r.sound(m, checkHost(m.key))
		it, ok := r.text(m.value, m.key)
		if !ok {
			continue
		}
		prefix, ok, bad := n.network(it.text)
		if !ok {
			if bad == nil {
				bad = noAddress(it.text, `write an IPv4 or IPv6 address, or a CIDR; ranges stand in "ipsets"`)
			}
			r.fail(it.at, it.text, bad)
			continue
		}
		if sound {
			hosts[m.key] = prefix
		}
	}
	return hosts
}

// tagOwners reads {"tag:x": [owners]}. Tags may own each other, in a circle too. A
// policy that is in force from a time when letter case counted may have a tag in two
// spellings: both lists own it.
func (r *reader) tagOwners(section member, n *names) map[string][]Selector {
	owners := make(map[string][]Selector)
	all := r.optional(section, "tagOwners")
	first := make(map[string]int, len(all)) // where each stands
	for _, m := range all {
		tag := TagName(m.key)
		if at, twice := first[tag]; twice {
			r.fail(m.at, m.key, judge(`stands twice in "tagOwners", in another letter case, first in `+r.where(at), "keep one of them: they are one tag"))
		} else if r.sound(m, checkName(m.key, "tag:")) {
			owners[tag], first[tag] = []Selector{}, m.at
		}
	}
	n.tagOwners, n.tags = owners, make(map[string]bool, len(owners))
	for tag := range owners {
		n.tags[tag] = true
	}
	for _, m := range all {
		all, tag := r.people(m, n), TagName(m.key)
		if _, ok := owners[tag]; ok {
			owners[tag] = append(owners[tag], all...)
		}
	}
	return owners
}

// people reads a list of those who may own or approve: everything but addresses.
func (r *reader) people(m member, n *names) []Selector {
	all := []Selector{}
	seen := make(map[string]bool)
	for _, it := range r.texts(m.value, "", m.key) {
		name := TagName(it.text)
		if seen[name] {
			continue // whoever is asked for a hundred thousand times is asked for once
		}
		seen[name] = true
		s, bad := n.selector(it.text)
		if bad == nil && !s.isWho() {
			bad = complain("cannot own or approve", "name a user, a group or a tag")
		}
		if bad != nil {
			r.fail(it.at, it.text, bad)
			continue
		}
		all = append(all, s)
	}
	return all
}

// optional gives a section's members; an absent section has none.
func (r *reader) optional(section member, what string) []member {
	if section.value == nil {
		return nil
	}
	return r.members(section.value, `"`+what+`"`)
}

// sound reports what is wrong with a name that a section defines, if anything is, and
// tells whether it may be used. What stands under it is read all the same.
func (r *reader) sound(m member, bad *complaint) bool {
	if bad != nil {
		r.fail(m.at, m.key, bad)
	}
	return bad == nil || bad.judgement
}

// checkName checks a group's or a tag's name.
func checkName(name, prefix string) *complaint {
	rest, ok := strings.CutPrefix(name, prefix)
	switch {
	case !ok:
		if bad := lookalike(name); bad != nil && strings.HasPrefix(strings.ToLower(name), prefix) {
			return bad
		}
		if checkWord(name) == nil {
			return complain("is no name for this", fmt.Sprintf("write it as %s%s", prefix, name))
		}
		return complain("is no name for this", fmt.Sprintf("write it as %sNAME", prefix))
	case len(name) > maxName:
		return complain(fmt.Sprintf("is longer than %d bytes", maxName), "shorten it")
	case prefix == "tag:" && (rest == "" || !asciiLetter(rest[0])):
		return complain("must begin with a letter after "+prefix, "rename it")
	case rest == "" || !asciiLetter(rest[0]) && !strings.Contains(digits, rest[:1]):
		return complain("must begin with a letter or digit after "+prefix, "rename it")
	case strings.ContainsAny(rest, ":,*\"/ ") || !printable(rest):
		return complain("holds a character that names cannot have", "use letters, digits, - and _")
	case prefix == "tag:" && strings.Trim(rest, letters+digits+"-") != "":
		return judge("holds a character that no node's tag can have", "use letters, digits and -")
	}
	return nil
}

// checkHost checks a host alias. A name that reads as something else would
// never be found.
func checkHost(name string) *complaint {
	_, isNet, bad := address(name)
	switch {
	case name == "" || isNet || bad != nil:
		return complain("is no name for a host", "use letters, digits, dots, - and _")
	case len(name) > maxName:
		return complain(fmt.Sprintf("is longer than %d bytes", maxName), "shorten it")
	case strings.ContainsAny(name, ":,*@\"/[] ") || !printable(name):
		return complain("holds a character that host names cannot have", "use letters, digits, dots, - and _")
	case isDotted(name):
		return judge("is no name for a host: it looks like an address", "begin it with a letter")
	case strings.HasSuffix(name, "."):
		return judge("ends in a dot: beside the name without it, nobody could tell the two apart", "leave the dot out")
	}
	return nil
}

func asciiLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
