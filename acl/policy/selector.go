package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Kind says how a [Selector] picks addresses.
type Kind uint8

// The zero Kind picks nothing.
const (
	None      Kind = iota
	Any            // *: its meaning differs between source and destination
	Member         // autogroup:member: nodes of people
	Tagged         // autogroup:tagged: nodes with any tag
	Self           // autogroup:self: the asking person's own nodes; a destination only
	Internet       // autogroup:internet: public addresses, at exit nodes; a destination only
	World          // autogroup:danger-all: every address there is; a source only
	Shared         // autogroup:shared: people of other meshes, of whom there are none
	Role           // autogroup:admin and its like: nodes of people with that role
	User           // nodes of the login Name, or, if that ends in @, of the person so named
	Domain         // user:*@DOMAIN: nodes of people whose login is of that domain
	Group          // nodes of the members of the group Name
	Tag            // nodes with the tag Name
	Net            // exactly Prefix, whoever owns it
	Set            // exactly the prefixes of the ipset Name, whoever owns them
	InSegment      // what the members of the segment Name pick
)

// Selector is one name in a rule, resolved as far as the file alone can.
type Selector struct {
	Kind   Kind
	Name   string       // as written, without blanks; of a Tag: as [TagName] has it
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
	case Member:
		return "autogroup:member"
	default:
		return s.Name
	}
}

// String gives the selector as the admin wrote it, but for a tag's letter case.
func (s Selector) String() string { return s.Name }

// isWho tells whether a selector picks nodes of the mesh by who they are, not by
// addresses, and without asking who asks.
func (s Selector) isWho() bool {
	switch s.Kind {
	case User, Domain, Group, Role, Tag, Member, Tagged:
		return true
	}
	return false
}

// mayStandBehind tells whether a selector may pick what stands behind a gateway: by an
// address, or by the tag of a device that the gateway vouches for.
func (s Selector) mayStandBehind() bool { return !s.isWho() || s.Kind == Tag }

// mayBeBehind is mayStandBehind of a selector as the file defines it: devices behind
// gateways have those tags alone that assets earn.
func (n *names) mayBeBehind(s Selector) bool {
	if s.Kind == InSegment {
		return slices.ContainsFunc(n.members(s), n.mayBeBehind)
	}
	return s.mayStandBehind() && (s.Kind != Tag || n.earned[s.Name])
}

// names is what the file's definitions say, for looking up what rules use.
type names struct {
	groups    map[string][]string
	roll      roll // of the groups
	tagOwners map[string][]Selector
	tags      map[string]bool // those of tagOwners, and those that assets earn, as TagName has them
	earned    map[string]bool // those that assets earn
	hosts     map[string]netip.Prefix
	ipsets    map[string][]netip.Prefix
	public    map[string]bool // ipsets that are built on autogroup:internet
	postures  map[string]Posture
	sites     map[string]Site
	services  func() map[string]Service // as [reader.services] gives them
	segments  map[string]Segment
	schedules map[string]Schedule
	oncall    map[string]OnCall
	approvals map[string]Approval
	glasses   map[string]bool
	lockdowns map[string]Lockdown

	autogroups map[string]Kind
	owned      map[string]bool // domains, as Options says; nil if nobody said
}

// selector reads one alias. The error is nil or says what is wrong and what to do.
func (n *names) selector(text string) (Selector, *complaint) {
	s, bad := n.named(text)
	if bad != nil && n.isWithPorts(text) {
		bad.guess, bad.fix = nil, `leave out the ports behind it: a grant has them under "ip", and a source has none`
	}
	return s, bad
}

func (n *names) named(text string) (Selector, *complaint) {
	kind, _, _ := strings.Cut(text, ":")
	switch {
	case text == "":
		return Selector{}, complain("is empty", "name a user, group, tag, host, address or *")
	case text == "*":
		return Selector{Kind: Any, Name: text}, nil
	case len(kind) == len(text):
	case kind == "autogroup":
		return n.autogroup(text)
	case kind == "group":
		return defined(Group, text, "unknown group", "groups", n.groups)
	case kind == "tag":
		return n.tag(text)
	case kind == "seg":
		return defined(InSegment, text, "unknown segment", "segments", n.segments)
	case kind == "ipset":
		return defined(Set, text, "unknown ipset", "ipsets", n.ipsets)
	case kind == "user":
		return n.everyoneOf(text)
	case kind == "host":
		return n.host(text, strings.TrimPrefix(text, "host:"))
	}
	if prefix, ok, bad := n.network(text); ok || bad != nil {
		return Selector{Kind: Net, Name: text, Prefix: prefix}, bad
	}
	return n.plain(text)
}

// tag reads the name of a tag, which "tagOwners" or "assets" must define.
func (n *names) tag(text string) (Selector, *complaint) {
	name := TagName(text)
	if !n.tags[name] {
		return Selector{}, complainOf(fmt.Sprintf("tag not found: %q", shorten(text)), name, n.tags, `define it under "tagOwners"`)
	}
	return Selector{Kind: Tag, Name: name}, nil
}

// plain reads an alias that no prefix and no address marks: a login or a host.
func (n *names) plain(text string) (Selector, *complaint) {
	if kind, rest, found := strings.Cut(text, ":"); found {
		switch kind {
		case "svc", "service", "posture", "localpart", "scim", "idp", "local", "asset":
			return Selector{}, notYet(kind + ": names are")
		}
		if strings.Contains(rest, "@") || strings.Contains(kind, "@") {
			return Selector{}, complain("is no login: it holds a colon", "write the login as name@domain")
		}
	}
	if strings.Contains(text, "@") {
		return login(text)
	}
	return n.host(text, text)
}

// host looks up a name of hosts, as the text has it.
func (n *names) host(text, name string) (Selector, *complaint) {
	if prefix, ok := n.hosts[name]; ok {
		return Selector{Kind: Net, Name: text, Prefix: prefix}, nil
	}
	return Selector{}, n.unknownHost(name)
}

// holds tells whether a literal or an ipset has a prefix that is so.
func (n *names) holds(s Selector, is func(netip.Prefix) bool) bool {
	switch s.Kind {
	case Net:
		return is(s.Prefix)
	case Set:
		return slices.ContainsFunc(n.ipsets[s.Name], is)
	}
	return false
}

// defined reads a name that must stand in a section of the file. A name that
// nobody defined would silently match nothing, and a typing error go unseen.
func defined[V any](kind Kind, text, unknown, section string, known map[string]V) (Selector, *complaint) {
	if _, ok := known[text]; !ok {
		return Selector{}, complainOf(unknown, text, known, `define it under "`+section+`"`)
	}
	return Selector{Kind: kind, Name: text}, nil
}

// autogroups gives what the dialect's own names pick.
func autogroups() map[string]Kind {
	return map[string]Kind{
		"autogroup:member": Member, "autogroup:members": Member, "autogroup:tagged": Tagged, "autogroup:self": Self,
		"autogroup:internet": Internet, "autogroup:danger-all": World, "autogroup:shared": Shared,
		"autogroup:admin": Role, "autogroup:owner": Role, "autogroup:it-admin": Role, "autogroup:network-admin": Role,
		"autogroup:billing-admin": Role, "autogroup:auditor": Role,
	}
}

func (n *names) autogroup(text string) (Selector, *complaint) {
	kind, ok := n.autogroups[text]
	if !ok {
		return Selector{}, complainOf("unknown autogroup", text, n.autogroups, "use autogroup:member, autogroup:tagged or autogroup:self")
	}
	return Selector{Kind: kind, Name: text}, nil
}

// everyoneOf reads user:*@DOMAIN.
func (n *names) everyoneOf(text string) (Selector, *complaint) {
	domain, ok := strings.CutPrefix(text, "user:*@")
	if !ok {
		return Selector{}, complain("is no pattern of logins", "write user:*@DOMAIN, or the login alone")
	}
	return Selector{Kind: Domain, Name: text}, n.checkDomain(domain)
}

// checkDomain refuses a domain that the mesh does not own: anybody could come
// with a login of a domain that anybody may register. Its letter case counts.
func (n *names) checkDomain(domain string) *complaint {
	switch {
	case domain == "" || strings.ContainsAny(domain, " *@:,/\"") || !printable(domain):
		return complain(fmt.Sprintf("%q is no domain", shorten(domain)), "write it as example.com")
	case strings.HasSuffix(domain, "."):
		return judge(fmt.Sprintf("the domain %q ends in a dot, and no login does: it would be nobody's", shorten(domain)), "leave the dot out")
	case n.owned != nil && !n.owned[domain]:
		return complainOf(fmt.Sprintf("the mesh does not own the domain %q", shorten(domain)), domain, n.owned, "name a domain of the mesh, in its own letter case")
	}
	return nil
}

// login reads a login name. Its letter case counts.
func login(text string) (Selector, *complaint) {
	local, domain, _ := strings.Cut(text, "@")
	switch {
	case local == "" || strings.ContainsAny(text, " \t\r\n\"*,/") || !printable(text):
		return Selector{}, complain("is no login", "write it as name@domain")
	case strings.Contains(domain, "@"):
		return Selector{}, complain("is no login: it holds two @", "write it as name@domain")
	case strings.HasSuffix(domain, "."):
		return Selector{}, judge("ends in a dot, and no login does: it would be nobody", "leave the dot out")
	}
	return Selector{Kind: User, Name: text}, nil
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
