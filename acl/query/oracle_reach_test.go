package query_test

import (
	"net/netip"
	"slices"
)

// accepts says whether a node accepts the first packet of a flow. A source that
// two nodes claim has no rights at all: whose would they be?
func (w *world) accepts(src, dst netip.Addr, at *device, proto, port int) bool {
	if dst.Is6() && proto == protoICMP {
		proto = protoICMPv6
	}
	if at == nil || w.claims[src] > 1 || !w.answersFor(at, dst) || w.refuses(src, dst, proto, port) {
		return false
	}
	for _, q := range w.parts() {
		if !q.opens() || !w.lands(q, at) || !w.admits(q, at).has(src) || !w.reaches(q, at).has(dst) {
			continue
		}
		for _, s := range q.services {
			if isPing(proto, dst) || s.passes(proto, port) {
				return true
			}
		}
	}
	return false
}

// isPing says whether a protocol is the ICMP of a family, of which the first packet is
// an echo request. It asks for no service of its own.
func isPing(proto int, dst netip.Addr) bool {
	return proto == protoICMP && dst.Is4() || proto == protoICMPv6 && dst.Is6()
}

func (w *world) reach(a *askReach) string {
	out := ""
	for _, dst := range a.Dst {
		for _, src := range a.Src {
			for _, probe := range a.Probes {
				if src.IP.Is4() != dst.IP.Is4() {
					continue
				}
				if w.accepts(src.IP, dst.IP, w.node(dst.Node), probe[0], probe[1]) {
					out += "1"
				} else {
					out += "0"
				}
			}
		}
	}
	return out
}

// admitsNode says whether a part that lands at a node is for another: for one
// of its addresses or for its subnets.
func (w *world) admitsNode(q part, at, from *device) bool {
	if q.self() {
		return w.admits(q, at).overlaps(w.addrs(from))
	}
	return w.admits(q, at).overlaps(w.identity(from))
}

// reachedBy says whether some rule at a node is for another.
func (w *world) reachedBy(at, from *device) bool {
	for _, q := range w.parts() {
		if w.lands(q, at) && w.admitsNode(q, at, from) {
			return true
		}
	}
	return false
}

func (w *world) peers(names []string) map[string][]string {
	out := map[string][]string{}
	for _, name := range names {
		a := w.node(name)
		out[name] = []string{}
		for i := range w.Nodes {
			b := &w.Nodes[i]
			if a != nil && a != b && (w.reachedBy(a, b) || w.reachedBy(b, a)) {
				out[name] = append(out[name], b.Name)
			}
		}
		slices.Sort(out[name])
	}
	return out
}
