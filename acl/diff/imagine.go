package diff

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Imagine makes up a directory in which every rule has something to say: two nodes
// for each tag that the policies name, two for each person and for one person of each
// group of an identity provider, one for each address, a gateway for each network and
// for each kind of device. It gives the ranges of such a mesh too. [Unseen] tells what
// it could make nothing up for.
func Imagine(pols ...*policy.Policy) (nodes []compile.Node, ranges []netip.Prefix) {
	ranges = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd7a:115c:a1e0::/48")}
	w := world{ranges: ranges, pols: pols, seen: make(map[string]bool), named: make(map[netip.Addr]bool), device: netip.MustParseAddr("198.18.0.0")}
	for _, r := range ranges {
		w.next = append(w.next, r.Addr().Next())
	}
	all := make([][]policy.Selector, len(pols))
	for i, pol := range pols {
		all[i] = once(selectors(pol))
		for _, s := range all[i] {
			for _, p := range pol.Prefixes(s) {
				w.named[p.Addr()] = true
			}
		}
	}
	for i, pol := range pols {
		for _, s := range all[i] {
			w.people(s, pol)
		}
	}
	for i, pol := range pols {
		for _, a := range pol.Assets() {
			w.devices(a)
		}
		for _, s := range all[i] {
			w.machines(s, pol)
		}
	}
	return w.nodes, ranges
}

// Unseen names the rules of which a mesh shows nothing, since nobody in it is their
// source or their destination, although somebody might be.
func Unseen(m *compile.Mesh) []string {
	var all []string
	for _, r := range m.Unmet() {
		somewhere := slices.ContainsFunc(r.Parts, func(p policy.Part) bool { return p.Self || someone(m.Policy(), p.Dst) })
		if someone(m.Policy(), r.Src) && somewhere {
			all = append(all, label(r))
		}
	}
	return all
}

// someone tells whether anybody can ever be what selectors pick: nobody is in a group
// without members, nor of another mesh.
func someone(pol *policy.Policy, all []policy.Selector) bool {
	return slices.ContainsFunc(flat(pol, all), func(s policy.Selector) bool {
		switch s.Kind {
		case policy.Group:
			members, _ := pol.Group(s.Name)
			return len(members) > 0
		case policy.Set:
			return len(pol.Prefixes(s)) > 0
		}
		return s.Kind != policy.Shared
	})
}

// once leaves out selectors that pick what one before them does: a group of thousands may
// stand in thousands of rules.
func once(all []policy.Selector) []policy.Selector {
	seen := make(map[string]bool)
	return slices.DeleteFunc(all, func(s policy.Selector) bool {
		key := s.Key()
		again := seen[key]
		seen[key] = true
		return again
	})
}

// selectors gives all by which the rules of a policy name anything.
func selectors(pol *policy.Policy) []policy.Selector {
	var all []policy.Selector
	tags := func(names []string) {
		for _, tag := range names {
			all = append(all, policy.Selector{Kind: policy.Tag, Name: tag})
		}
	}
	rule := func(r *policy.Rule) {
		all = append(all, flat(pol, r.Src)...)
		for _, p := range r.Parts {
			all = append(all, flat(pol, p.Dst)...)
		}
		tags(r.Via)
		tags(r.Devices)
	}
	for i := range pol.Rules() {
		rule(&pol.Rules()[i])
	}
	for r := range pol.Forbids() {
		rule(r)
	}
	for _, name := range pol.Segments() {
		s, _ := pol.Segment(name)
		all = append(all, s.Members...)
	}
	return all
}

// flat puts a segment's members in its place.
func flat(pol *policy.Policy, all []policy.Selector) []policy.Selector {
	var out []policy.Selector
	for _, s := range all {
		if s.Kind == policy.InSegment {
			segment, _ := pol.Segment(s.Name)
			out = append(out, segment.Members...)
			continue
		}
		out = append(out, s)
	}
	return out
}

// world is a made-up directory in the making.
type world struct {
	pols   []*policy.Policy
	nodes  []compile.Node
	ranges []netip.Prefix
	next   []netip.Addr // by range: the next address that may be free
	device netip.Addr   // the last address of a device without a daemon
	seen   map[string]bool
	named  map[netip.Addr]bool // addresses that a policy names
}

// people makes the nodes of those whom a selector means.
func (w *world) people(s policy.Selector, pol *policy.Policy) {
	switch s.Kind {
	case policy.User:
		w.person(s.Name, compile.Node{})
	case policy.Group:
		members, _ := pol.Group(s.Name)
		for _, member := range members {
			var n compile.Node
			if isExternal(member) {
				n.Groups = []string{member}
			}
			w.person(member, n)
		}
	case policy.Domain:
		w.person("somebody@"+s.Name[strings.IndexByte(s.Name, '@')+1:], compile.Node{})
	case policy.Role:
		role := strings.TrimPrefix(s.Name, "autogroup:")
		w.person("some-"+role+"@somewhere.example", compile.Node{Roles: []string{role}})
	case policy.Member, policy.Any, policy.World:
		w.person("somebody@somewhere.example", compile.Node{})
	}
}

// isExternal tells whether a member of a group is a group of its own elsewhere.
func isExternal(member string) bool {
	kind, _, _ := strings.Cut(member, ":")
	return kind == "idp" || kind == "scim" || kind == "local"
}

// others names the second of two nodes that nothing tells apart: what one of them
// sends to itself is not the mesh's business.
const others = "'s other node"

func (w *world) person(login string, n compile.Node) {
	n.User = login
	if name, found := strings.CutSuffix(login, "@"); found {
		n.User, n.UserName = login+"somewhere.example", name
	}
	w.add(login, n)
	w.add(login+others, n)
}

// machines makes the nodes with a selector's tag or addresses.
func (w *world) machines(s policy.Selector, pol *policy.Policy) {
	tag := s.Name
	switch s.Kind {
	case policy.Tag:
	case policy.Tagged, policy.Any, policy.World:
		tag = "tag:any"
	default:
		for _, p := range pol.Prefixes(s) {
			w.network(p)
		}
		return
	}
	name := tag
	if s.Kind != policy.Tag {
		name = "a tagged node"
	}
	w.add(name, compile.Node{Tags: []string{tag}})
	w.add(name+others, compile.Node{Tags: []string{tag}})
}

// network makes a node with an address of the mesh, and to any other a gateway:
// one with the tags that rules lead through.
func (w *world) network(p netip.Prefix) {
	inside := slices.ContainsFunc(w.ranges, func(r netip.Prefix) bool { return r.Contains(p.Addr()) && r.Bits() <= p.Bits() })
	switch {
	case p.Bits() == 0:
	case inside && p.IsSingleIP():
		w.add("the node with "+p.Addr().String(), compile.Node{Addrs: []netip.Addr{p.Addr()}})
	case inside:
		w.add("a node in "+p.String(), compile.Node{Addrs: []netip.Addr{w.free(p)}})
	default:
		w.add("gateway of "+prefixText(p), compile.Node{Routes: []netip.Prefix{p}, Tags: w.ways(func(s policy.Selector, pol *policy.Policy) bool {
			return slices.ContainsFunc(pol.Prefixes(s), func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
		})})
	}
}

// free gives an address of a network that no policy names.
func (w *world) free(p netip.Prefix) netip.Addr {
	for a := p.Addr().Next(); p.Contains(a); a = a.Next() {
		if !w.named[a] {
			w.named[a] = true
			return a
		}
	}
	return p.Addr()
}

// devices makes two of a kind behind a gateway that vouches for them.
func (w *world) devices(a policy.Asset) {
	tags := w.ways(func(s policy.Selector, _ *policy.Policy) bool { return s.Kind == policy.Tag && s.Name == a.Tag })
	n := compile.Node{Tags: slices.Compact(slices.Sorted(slices.Values(append(tags, a.Behind))))}
	w.device = w.device.Next()
	at := netip.PrefixFrom(w.device, 32)
	n.Routes, n.Devices = []netip.Prefix{at}, []compile.Device{{Prefix: at, Tags: []string{a.Tag}}}
	w.add("gateway of "+a.Tag+" behind "+a.Behind, n)
}

// ways gives the tags of the routers through which rules lead to what some selectors
// pick.
func (w *world) ways(picks func(policy.Selector, *policy.Policy) bool) []string {
	var tags []string
	for _, pol := range w.pols {
		for _, r := range pol.Rules() {
			if len(r.Via) > 0 && slices.ContainsFunc(r.Parts, func(part policy.Part) bool {
				return slices.ContainsFunc(flat(pol, part.Dst), func(s policy.Selector) bool { return picks(s, pol) })
			}) {
				tags = append(tags, r.Via...)
			}
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// add adds a node once, with an address of each range unless it has one there.
func (w *world) add(name string, n compile.Node) {
	if w.seen[name] {
		return
	}
	w.seen[name] = true
	n.ID, n.Name = fmt.Sprintf("%08d", len(w.nodes)), name
	for i, r := range w.ranges {
		if slices.ContainsFunc(n.Addrs, r.Contains) {
			continue
		}
		for w.named[w.next[i]] {
			w.next[i] = w.next[i].Next()
		}
		n.Addrs = append(n.Addrs, w.next[i])
		w.named[w.next[i]] = true
	}
	w.nodes = append(w.nodes, n)
}
