package diff

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// place is where an address stands in both meshes: what the rules see of it.
type place struct {
	was, is acl.Class // 0: no rule knows it
	six     bool
}

// party is a node with its own addresses, or a network behind it.
type party struct {
	node    *compile.Node
	network netip.Prefix // not valid: the node itself
	kind    int
}

// kind is what parties have in common that neither policy can tell apart.
type kind struct {
	places  []int // indexes of places, ascending
	rules   rules
	parties []int // indexes of parties, ascending
}

// rules are the rule sets that a node enforces before and after.
type rules struct{ was, is int }

// surveyed is a directory as two policies see it.
type surveyed struct {
	nodes   []compile.Node
	parties []party
	kinds   []kind
	places  []place
	owned   map[acl.Owner][]int // persons' nodes, as parties; of those who have several

	wasSets, isSets sets
}

// sets numbers the rule sets of one mesh, of what comes in: nodes that the policy cannot
// tell apart share one.
type sets struct {
	numbers map[*compile.Inward]int
	all     []*compile.Inward // by number; 0: nothing
}

// number gives the number of a rule set. What permits nothing is nothing, whatever it
// forbids.
func (s *sets) number(set *compile.Inward) int {
	n, ok := s.numbers[set]
	if ok {
		return n
	}
	for range set.Permits() {
		n = len(s.all)
		s.all = append(s.all, set)
		break
	}
	s.numbers[set] = n
	return n
}

func newSets() sets {
	return sets{make(map[*compile.Inward]int), []*compile.Inward{new(compile.Inward)}}
}

// survey sorts everything that is in two meshes into kinds.
func survey(was, is *compile.Mesh) *surveyed {
	s := &surveyed{owned: make(map[acl.Owner][]int), wasSets: newSets(), isSets: newSets()}
	places, kinds := make(map[place]int), make(map[string]int)
	s.nodes = slices.Collect(was.Nodes())
	for i := range s.nodes {
		n := &s.nodes[i]
		r := rules{s.wasSets.number(was.Inward(n.ID)), s.isSets.number(is.Inward(n.ID))}
		if owner := is.Owner(n.ID); owner != 0 {
			s.owned[owner] = append(s.owned[owner], len(s.parties))
		}
		for network, at := range s.stand(n, was.Prefixes(n.ID), is.Prefixes(n.ID), places) {
			key := fmt.Sprint(r, at)
			k, ok := kinds[key]
			if !ok {
				k = len(s.kinds)
				kinds[key] = k
				s.kinds = append(s.kinds, kind{places: at, rules: r})
			}
			s.kinds[k].parties = append(s.kinds[k].parties, len(s.parties))
			s.parties = append(s.parties, party{n, network, k})
		}
	}
	for owner, nodes := range s.owned {
		if len(nodes) < 2 {
			delete(s.owned, owner)
		}
	}
	return s
}

// stand yields a node itself, and then each network behind it that either mesh
// tells apart, with their places.
func (s *surveyed) stand(n *compile.Node, was, is []acl.PrefixClass, known map[place]int) func(func(netip.Prefix, []int) bool) {
	number := func(p netip.Prefix) int {
		at := place{classIn(was, p), classIn(is, p), p.Addr().Is6()}
		i, ok := known[at]
		if !ok {
			i = len(s.places)
			known[at] = i
			s.places = append(s.places, at)
		}
		return i
	}
	return func(yield func(netip.Prefix, []int) bool) {
		var own []int
		for _, a := range n.Addrs {
			own = append(own, number(netip.PrefixFrom(a, a.BitLen())))
		}
		slices.Sort(own)
		if !yield(netip.Prefix{}, slices.Compact(own)) {
			return
		}
		for _, p := range networks(n, was, is) {
			if !yield(p, []int{number(p)}) {
				return
			}
		}
	}
}

// networks gives what is behind a node, as finely as either mesh tells it apart.
func networks(n *compile.Node, was, is []acl.PrefixClass) []netip.Prefix {
	var all []netip.Prefix
	for _, pc := range slices.Concat(was, is) {
		if !pc.Prefix.IsSingleIP() || !slices.Contains(n.Addrs, pc.Prefix.Addr()) {
			all = append(all, pc.Prefix)
		}
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(all)
}

// classIn gives the class of what is in p: of the longest prefix around it.
func classIn(all []acl.PrefixClass, p netip.Prefix) acl.Class {
	var class acl.Class
	bits := -1
	for _, pc := range all {
		if pc.Prefix.Bits() <= p.Bits() && pc.Prefix.Bits() > bits && pc.Prefix.Contains(p.Addr()) {
			class, bits = pc.Class, pc.Prefix.Bits()
		}
	}
	return class
}

// owner gives the login of a node's person; of what is behind a node and of a
// tagged one there is none.
func (p party) owner() string {
	if p.network.IsValid() || len(p.node.Tags) > 0 {
		return ""
	}
	return p.node.User
}

// label names a party for people.
func (p party) label() string {
	name := cmp.Or(p.node.Name, p.node.ID)
	if !p.network.IsValid() {
		return name
	}
	return prefixText(p.network) + " behind " + name
}

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
