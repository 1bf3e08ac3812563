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
// it could make nothing up for. Policies that name too many have a [Crowded] instead.
func Imagine(pols ...*policy.Policy) (nodes []compile.Node, ranges []netip.Prefix, err error) {
	ranges = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd7a:115c:a1e0::/48")}
	w := world{ranges: ranges, seen: make(map[string]bool), named: make(map[netip.Addr]bool), device: netip.MustParseAddr("198.18.0.0"), ways: waysOf(pols)}
	for _, r := range ranges {
		w.next = append(w.next, r.Addr().Next())
	}
	all := make([][]policy.Selector, len(pols))
	for i, pol := range pols {
		all[i] = selectors(pol)
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
		if fromAnywhere(pol) {
			w.elsewhere()
		}
	}
	if w.count > maxMadeUp {
		return nil, nil, &Crowded{w.count}
	}
	return w.nodes, ranges, nil
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

// selectors gives all by which a policy names anything, each once: a group of thousands
// may stand in thousands of rules, and so may a segment, which is given by its members.
func selectors(pol *policy.Policy) []policy.Selector {
	var all []policy.Selector
	seen := make(map[string]bool)
	note := func(more ...policy.Selector) {
		for _, s := range more {
			if key := s.Key(); s.Kind != policy.InSegment && !seen[key] {
				seen[key] = true
				all = append(all, s)
			}
		}
	}
	rule := func(r *policy.Rule) {
		note(r.Src...)
		for _, p := range r.Parts {
			note(p.Dst...)
		}
		for _, tag := range slices.Concat(r.Via, r.Devices) {
			note(policy.Selector{Kind: policy.Tag, Name: tag})
		}
	}
	for i := range pol.Rules() {
		rule(&pol.Rules()[i])
	}
	for r := range pol.Forbids() {
		rule(r)
	}
	for _, name := range pol.Segments() {
		s, _ := pol.Segment(name)
		note(s.Members...)
	}
	return all
}

// fromAnywhere tells whether a rule is from all that there is, whatever stands behind
// gateways with it. Of that a rule may ask for less than of machines, or forbid it alone.
func fromAnywhere(pol *policy.Policy) bool {
	anywhere := func(s policy.Selector) bool {
		return s.Kind == policy.Any || s.Kind == policy.World || s.Kind == policy.Net && s.Prefix.Bits() == 0
	}
	return slices.ContainsFunc(pol.Rules(), func(r policy.Rule) bool { return slices.ContainsFunc(r.Src, anywhere) })
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
	nodes  []compile.Node
	ranges []netip.Prefix
	next   []netip.Addr        // by range: the next address that may be free
	device netip.Addr          // the last address of a device without a daemon
	seen   map[string]bool     // names of nodes
	count  int                 // of nodes, with those beyond the bound
	named  map[netip.Addr]bool // addresses that a policy names
	ways   ways
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
	w.pair(login, n)
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
	w.pair(name, compile.Node{Tags: []string{tag}})
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
		w.add("gateway of "+prefixText(p), compile.Node{Routes: []netip.Prefix{p}, Tags: w.ways.to(p)})
	}
}

// elsewhere makes a gateway of networks that no policy names.
func (w *world) elsewhere() {
	w.add("a gateway", compile.Node{Tags: []string{"tag:any"}, Routes: []netip.Prefix{netip.MustParsePrefix("198.19.0.0/24"), netip.MustParsePrefix("2001:2::/64")}})
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
	n := compile.Node{Tags: slices.Compact(slices.Sorted(slices.Values(append(w.ways.toTag(a.Tag), a.Behind))))}
	w.device = w.device.Next()
	at := netip.PrefixFrom(w.device, 32)
	n.Routes, n.Devices = []netip.Prefix{at}, []compile.Device{{Prefix: at, Tags: []string{a.Tag}}}
	w.add("gateway of "+a.Tag+" behind "+a.Behind, n)
}

// pair adds two nodes of one kind, once.
func (w *world) pair(name string, n compile.Node) {
	if w.fresh(name, 2) {
		w.put(name, n)
		w.put(name+others, n)
	}
}

// add adds a node once.
func (w *world) add(name string, n compile.Node) {
	if w.fresh(name, 1) {
		w.put(name, n)
	}
}

// fresh tells whether machines are to be made under a name: not again, and not beyond the
// bound, where they are counted alone.
func (w *world) fresh(name string, machines int) bool {
	if w.seen[name] {
		return false
	}
	w.seen[name] = true
	w.count += machines
	return w.count <= maxMadeUp
}

// put gives a node an address of each range unless it has one there.
func (w *world) put(name string, n compile.Node) {
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
