package diff

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Imagine makes up a directory in which rules have something to say: a node for
// each tag that they name, two for each person, one for each address, and a
// gateway for each network. It gives the ranges of such a mesh too.
func Imagine(pols ...*policy.Policy) (nodes []compile.Node, ranges []netip.Prefix) {
	w := world{range4: netip.MustParsePrefix("100.64.0.0/10"), seen: make(map[string]bool), named: make(map[netip.Addr]bool)}
	w.next = w.range4.Addr().Next()
	var all []policy.Selector
	for _, pol := range pols {
		for _, r := range pol.Rules() {
			all = append(all, r.Src...)
			for _, p := range r.Parts {
				all = append(all, p.Dst...)
			}
			for _, tag := range r.Via {
				all = append(all, policy.Selector{Kind: policy.Tag, Name: tag})
			}
		}
	}
	for _, s := range all {
		if s.Kind == policy.Net {
			w.named[s.Prefix.Addr()] = true
		}
	}
	for _, pol := range pols {
		for _, s := range all {
			w.people(s, pol)
		}
	}
	for _, s := range all {
		w.machines(s, pols)
	}
	return w.nodes, []netip.Prefix{w.range4, netip.MustParsePrefix("fd7a:115c:a1e0::/48")}
}

// world is a made-up directory in the making.
type world struct {
	nodes  []compile.Node
	range4 netip.Prefix
	next   netip.Addr
	seen   map[string]bool     // names of nodes
	named  map[netip.Addr]bool // addresses that a policy names
}

// people makes the nodes of those whom a selector means.
func (w *world) people(s policy.Selector, pol *policy.Policy) {
	switch s.Kind {
	case policy.User:
		w.person(s.Name, "")
	case policy.Group:
		logins, _ := pol.Group(s.Name)
		for _, login := range logins {
			w.person(login, "")
		}
	case policy.Domain:
		w.person("somebody@"+s.Name[strings.IndexByte(s.Name, '@')+1:], "")
	case policy.Role:
		role := strings.TrimPrefix(s.Name, "autogroup:")
		w.person("some-"+role+"@somewhere.example", role)
	case policy.Member, policy.Any:
		w.person("somebody@somewhere.example", "")
	}
}

func (w *world) person(login, role string) {
	var roles []string
	if role != "" {
		roles = []string{role}
	}
	for _, machine := range []string{"", "'s other node"} {
		n := compile.Node{User: login, Roles: roles}
		if name, found := strings.CutSuffix(login, "@"); found {
			n.User, n.UserName = login+"somewhere.example", name
		}
		w.add(login+machine, n)
	}
}

// machines makes the nodes with a selector's tag or addresses.
func (w *world) machines(s policy.Selector, pols []*policy.Policy) {
	switch s.Kind {
	case policy.Tag:
		w.add(s.Name, compile.Node{Tags: []string{s.Name}})
	case policy.Tagged, policy.Any:
		w.add("a tagged node", compile.Node{Tags: []string{"tag:any"}})
	case policy.Net:
		w.network(s.Prefix, pols)
	case policy.Set:
		for _, pol := range pols {
			prefixes, _ := pol.IPSet(s.Name)
			for _, p := range prefixes {
				w.network(p, pols)
			}
		}
	}
}

// network makes a node with an address of the mesh, and to any other a gateway:
// one with the tags that rules lead through.
func (w *world) network(p netip.Prefix, pols []*policy.Policy) {
	switch {
	case p.Bits() == 0 || w.range4.Contains(p.Addr()) && !p.IsSingleIP():
	case w.range4.Contains(p.Addr()):
		w.add("the node with "+p.Addr().String(), compile.Node{Addrs: []netip.Addr{p.Addr()}})
	default:
		w.add("gateway of "+prefixText(p), compile.Node{Routes: []netip.Prefix{p}, Tags: w.ways(p, pols)})
	}
}

// ways gives the tags of the routers through which rules lead to a network.
func (w *world) ways(p netip.Prefix, pols []*policy.Policy) []string {
	var tags []string
	for _, pol := range pols {
		for _, r := range pol.Rules() {
			if len(r.Via) > 0 && slices.ContainsFunc(r.Parts, func(part policy.Part) bool { return names(part.Dst, p, pol) }) {
				tags = append(tags, r.Via...)
			}
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// names tells whether a list of destinations holds all of a network.
func names(dst []policy.Selector, p netip.Prefix, pol *policy.Policy) bool {
	return slices.ContainsFunc(dst, func(s policy.Selector) bool {
		prefixes, _ := pol.IPSet(s.Name)
		if s.Kind == policy.Net {
			prefixes = []netip.Prefix{s.Prefix}
		}
		return slices.ContainsFunc(prefixes, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
	})
}

// add adds a node once, with an address of its own unless it has one.
func (w *world) add(name string, n compile.Node) {
	if w.seen[name] {
		return
	}
	w.seen[name] = true
	n.ID, n.Name = fmt.Sprintf("%08d", len(w.nodes)), name
	if len(n.Addrs) == 0 {
		for w.named[w.next] {
			w.next = w.next.Next()
		}
		n.Addrs = []netip.Addr{w.next}
		w.next = w.next.Next()
	}
	w.nodes = append(w.nodes, n)
}
