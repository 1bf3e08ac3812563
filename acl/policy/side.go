package policy

import (
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// side is one side of a rule, for asking whether it surely picks all that a name picks:
// whoever has joined, and whatever is routed. What is not sure counts as no.
type side struct {
	names  *names
	source bool

	keys           map[string]bool
	all            bool // * or, as a source, all addresses
	world          bool // those
	member, tagged bool
	groups         []string
	domains        []string // "@h.example"
	prefixes       []netip.Prefix
	addrs          *netipx.IPSet   // of the prefixes; nil until somebody asks
	whole          map[string]bool // of a group: whether all of its people are picked; empty until somebody asks
}

func (n *names) side(selectors []Selector, source bool) *side {
	s := &side{names: n, source: source, keys: make(map[string]bool), whole: make(map[string]bool)}
	for _, x := range selectors {
		s.add(x)
		for _, m := range n.members(x) {
			s.add(m)
		}
	}
	return s
}

// members gives what is in a segment.
func (n *names) members(x Selector) []Selector {
	if x.Kind != InSegment {
		return nil
	}
	return n.segments[x.Name].Members
}

func (s *side) add(x Selector) {
	s.keys[x.Key()] = true
	switch x.Kind {
	case Any, World:
		s.all, s.world = true, s.world || x.Kind == World
	case Member:
		s.member = true
	case Tagged:
		s.tagged = true
	case Group:
		s.groups = append(s.groups, x.Name)
	case Domain:
		s.domains = append(s.domains, strings.TrimPrefix(x.Name, "user:*"))
	case Net:
		s.prefixes = append(s.prefixes, x.Prefix)
	case Set:
		s.prefixes = append(s.prefixes, s.names.ipsets[x.Name]...)
	}
}

// picks tells whether the side surely picks all that a name picks.
func (s *side) picks(x Selector, steps *int) bool {
	*steps++
	if s.world || s.keys[x.Key()] {
		return true
	}
	switch x.Kind {
	case InSegment:
		members := s.names.members(x)
		return len(members) > 0 && !slices.ContainsFunc(members, func(m Selector) bool { return !s.picks(m, steps) })
	case User:
		return s.all || s.member || s.login(x.Name, steps)
	case Group:
		return s.all || s.member || s.people(x.Name, steps)
	case Domain, Role, Member:
		return s.all || s.member
	case Tag:
		return s.all || s.tagged && s.names.isOfNodes(x.Name)
	case Tagged:
		return s.all
	case Net:
		return s.covers([]netip.Prefix{x.Prefix}, steps)
	case Set:
		return !s.names.public[x.Name] && s.covers(s.names.ipsets[x.Name], steps)
	}
	return false
}

// isOfNodes tells whether nodes alone have a tag, and no devices behind a gateway.
func (n *names) isOfNodes(tag string) bool {
	_, owned := n.tagOwners[tag]
	return owned && !n.earned[tag]
}

// people tells whether the side picks all that are in a group.
func (s *side) people(group string, steps *int) bool {
	all, known := s.whole[group]
	if !known {
		all = !slices.ContainsFunc(s.names.groups[group], func(login string) bool { return !s.login(login, steps) })
		s.whole[group] = all
	}
	return all
}

// login tells whether the side picks a person by a login, or by a group of a provider.
func (s *side) login(name string, steps *int) bool {
	if s.keys[Selector{Kind: User, Name: name}.Key()] {
		return true
	}
	for _, group := range s.groups {
		*steps++
		if s.names.roll.has(group, name) {
			return true
		}
	}
	provided := strings.Contains(name, ":")
	return !provided && slices.ContainsFunc(s.domains, func(domain string) bool { return strings.HasSuffix(name, domain) })
}

// covers tells whether all of some addresses are the side's. As a source * is the
// mesh's own addresses and what it routes, which nobody knows here.
func (s *side) covers(prefixes []netip.Prefix, steps *int) bool {
	if s.all && !s.source {
		return true
	}
	if len(s.prefixes) == 0 || len(prefixes) == 0 {
		return false
	}
	if s.addrs == nil {
		*steps += len(s.prefixes)
		var b netipx.IPSetBuilder
		for _, p := range s.prefixes {
			b.AddPrefix(p)
		}
		s.addrs, _ = b.IPSet()
	}
	*steps += len(prefixes)
	return !slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return !s.addrs.ContainsPrefix(p) })
}
