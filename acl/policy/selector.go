package policy

import (
	"net/netip"
	"strings"
)

// Kind says how a [Selector] picks addresses.
type Kind uint8

// The zero Kind picks nothing.
const (
	None     Kind = iota
	Any           // *: its meaning differs between source and destination
	Member        // autogroup:member: nodes of people
	Tagged        // autogroup:tagged: nodes with any tag
	Self          // autogroup:self: the asking person's own nodes; a destination only
	Internet      // autogroup:internet: public addresses, at exit nodes; a destination only
	World         // autogroup:danger-all: every address there is; a source only
	Shared        // autogroup:shared: people of other meshes, of whom there are none
	Role          // autogroup:admin and its like: nodes of people with that role
	User          // nodes of the login Name, or, if that ends in @, of the person so named
	Domain        // user:*@DOMAIN: nodes of people whose login is of that domain
	Group         // nodes of the members of the group Name
	Tag           // nodes with the tag Name
	Net           // exactly Prefix, whoever owns it
	Set           // exactly the prefixes of the ipset Name, whoever owns them
)

// Selector is one name in a rule, resolved as far as the file alone can.
type Selector struct {
	Kind   Kind
	Name   string       // as written, without blanks
	Prefix netip.Prefix // of a Net: masked
}

// Key gives one text for all selectors that pick the same, however written. It
// holds no blanks.
func (s Selector) Key() string {
	switch s.Kind {
	case Net:
		return "net:" + s.Prefix.String()
	case User:
		return "user:" + s.Name
	default:
		return s.Name
	}
}

// String gives the selector as the admin wrote it.
func (s Selector) String() string { return s.Name }

// names is what the file's definitions say, for looking up what rules use.
type names struct {
	groups    map[string][]string
	tagOwners map[string][]Selector
	hosts     map[string]netip.Prefix
}

// selector reads one alias. The error is nil or says what is wrong and what to do.
func (n *names) selector(text string) (Selector, *complaint) {
	switch {
	case text == "":
		return Selector{}, complain("is empty", "name a user, group, tag, host, address or *")
	case text == "*":
		return Selector{Kind: Any, Name: text}, nil
	case strings.HasPrefix(text, "autogroup:"):
		return autogroup(text)
	case strings.HasPrefix(text, "group:"):
		return defined(Group, text, "group", "groups", n.groups)
	case strings.HasPrefix(text, "tag:"):
		return defined(Tag, text, "tag", "tagOwners", n.tagOwners)
	}
	if prefix, ok, bad := address(text); ok || bad != nil {
		return Selector{Kind: Net, Name: text, Prefix: prefix}, bad
	}
	return n.plain(text)
}

// plain reads an alias that no prefix and no address marks: a login or a host.
func (n *names) plain(text string) (Selector, *complaint) {
	if kind, rest, found := strings.Cut(text, ":"); found {
		switch kind {
		case "ipset", "svc", "service", "seg", "host", "posture", "user", "localpart", "scim", "idp", "asset":
			return Selector{}, notYet(kind + ": names are")
		}
		if strings.Contains(rest, "@") || strings.Contains(kind, "@") {
			return Selector{}, complain("is no login: it holds a colon", "write the login as name@domain")
		}
	}
	if left, _, found := strings.Cut(text, "@"); found {
		if _, isNet, bad := address(left); isNet || bad != nil {
			return Selector{}, notYet("addresses at a site are")
		}
		return login(text)
	}
	if prefix, ok := n.hosts[text]; ok {
		return Selector{Kind: Net, Name: text, Prefix: prefix}, nil
	}
	return Selector{}, complainOf("unknown host", text, n.hosts, `define it under "hosts", or write a login with its @`)
}

// defined reads a name that must stand in a section of the file. A name that
// nobody defined would silently match nothing, and a typing error go unseen.
func defined[V any](kind Kind, text, word, section string, known map[string]V) (Selector, *complaint) {
	if _, ok := known[text]; !ok {
		return Selector{}, complainOf("unknown "+word, text, known, `define it under "`+section+`"`)
	}
	return Selector{Kind: kind, Name: text}, nil
}

func autogroup(text string) (Selector, *complaint) {
	switch text {
	case "autogroup:member":
		return Selector{Kind: Member, Name: text}, nil
	case "autogroup:tagged":
		return Selector{Kind: Tagged, Name: text}, nil
	case "autogroup:self":
		return Selector{Kind: Self, Name: text}, nil
	case "autogroup:internet", "autogroup:danger-all", "autogroup:shared", "autogroup:members":
		return Selector{}, notYet(text + " is")
	}
	if isRole(text) {
		return Selector{}, notYet(text + " is")
	}
	known := map[string]bool{"autogroup:member": true, "autogroup:tagged": true, "autogroup:self": true}
	return Selector{}, complainOf("unknown autogroup", text, known, "use autogroup:member, autogroup:tagged or autogroup:self")
}

// isRole tells whether an autogroup picks people by their role in the mesh's
// administration.
func isRole(text string) bool {
	switch text {
	case "autogroup:admin", "autogroup:owner", "autogroup:it-admin", "autogroup:network-admin",
		"autogroup:billing-admin", "autogroup:auditor":
		return true
	}
	return false
}

// login reads a login name. Its letter case counts.
func login(text string) (Selector, *complaint) {
	local, domain, _ := strings.Cut(text, "@")
	switch {
	case local == "" || strings.ContainsAny(text, " \t\r\n\"*,/") || !printable(text):
		return Selector{}, complain("is no login", "write it as name@domain")
	case strings.Contains(domain, "@"):
		return Selector{}, complain("is no login: it holds two @", "write it as name@domain")
	}
	return Selector{Kind: User, Name: text}, nil
}

// address reads an address or a CIDR. ok is false when text is neither.
func address(text string) (prefix netip.Prefix, ok bool, bad *complaint) {
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return prefix, false, complain("is no CIDR", "write it as 10.20.0.0/16 or fd00::/48")
		}
		return checkPrefix(prefix)
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return prefix, false, nil
	}
	if addr.Zone() != "" {
		return prefix, false, complain("has a zone", "a zone has no meaning in a mesh; leave it out")
	}
	return checkPrefix(netip.PrefixFrom(addr, addr.BitLen()))
}

// checkPrefix refuses IPv4 addresses in IPv6's clothes: the same machine under
// two names would be two different things to the rules.
func checkPrefix(prefix netip.Prefix) (netip.Prefix, bool, *complaint) {
	if prefix.Addr().Is4In6() {
		return prefix, false, complain("is an IPv4 address mapped into IPv6", "write the IPv4 address itself")
	}
	if prefix != prefix.Masked() {
		return prefix, false, complain("has bits behind its prefix length", "write "+prefix.Masked().String())
	}
	return prefix, true, nil
}

// printable tells whether text has no control characters nor odd blanks, which
// could make two names look alike or break a line of a log.
func printable(text string) bool {
	for _, r := range text {
		if r < 0x21 || r == 0x7f || (r >= 0x80 && r <= 0xa0) || r == 0xfffd || r == 0x2028 || r == 0x2029 || r == 0xfeff ||
			(r >= 0x200b && r <= 0x200f) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return false
		}
	}
	return true
}
