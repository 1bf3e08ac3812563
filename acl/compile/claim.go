package compile

import (
	"net/netip"
	"slices"
)

// claim is one prefix that a node has, as what, and all by which the policy knows it
// there. Of what a node claims as it did, nothing is to be found out anew.
type claim struct {
	prefix netip.Prefix
	as     standsFor
	rights string
}

// standsFor is what a node is to a prefix.
type standsFor int

const (
	hostOf    standsFor = iota // it is the node's address, or a seat's there
	routerOf                   // it is a route of the node
	voucherOf                  // it is a device behind the node
	exitOf                     // it is a default route of the node
)

// claims gives what a node claims. What it claims twice is nobody's.
func (b *book) claims(s *said) []claim {
	all := make([]claim, 0, len(s.Addrs)+len(s.Routes)+len(s.tagged))
	rights := signKey(s.selectors)
	for _, a := range s.Addrs {
		all = append(all, claim{single(a), hostOf, rights})
	}
	for _, seat := range s.Seats {
		rights := rights + " " + signKey(sortedSet(b.named(seat.Addrs)))
		for _, a := range seat.Addrs {
			all = append(all, claim{single(a), hostOf, rights})
		}
	}
	for _, route := range s.Routes {
		all = append(all, claim{route, routerOf, ""})
	}
	for device, tags := range s.tagged {
		all = append(all, claim{device, voucherOf, signKey(tags)})
	}
	for _, route := range s.defaults {
		all = append(all, claim{route, exitOf, ""})
	}
	return all
}

// reclaim takes out of the table what a node claims no more, and puts in what it claims
// besides.
func (t *turn) reclaim(n *node, was, is []claim) {
	changes := make(map[claim]int, len(was)+len(is))
	for _, c := range was {
		changes[c]--
	}
	for _, c := range is {
		changes[c]++
	}
	for c, times := range changes {
		for range -times {
			t.leave(n, c)
		}
		for range times {
			t.claim(n, c)
		}
	}
}

func (t *turn) leave(n *node, c claim) {
	t.dirty = append(t.dirty, c.prefix)
	e := t.m.entry(c.prefix)
	t.touch(c.prefix, e)
	nodes := e.nodes(c.as)
	if i := slices.Index(*nodes, n); i >= 0 {
		*nodes = slices.Delete(*nodes, i, i+1)
	}
	if e.needless() {
		t.reclass(e, nil)
		t.m.table.Delete(c.prefix)
	}
}

func (t *turn) claim(n *node, c claim) {
	t.dirty = append(t.dirty, c.prefix)
	nodes := t.m.entry(c.prefix).nodes(c.as)
	*nodes = append(*nodes, n)
}
