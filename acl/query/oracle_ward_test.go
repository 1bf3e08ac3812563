package query_test

import (
	"net/netip"
	"slices"
	"strings"
)

// segment is what a policy protects. No person of a question has proved anything, so
// that one which asks for proof is closed to people.
type segment struct {
	Members  []string       `json:"members"`
	Owner    string         `json:"owner"`
	Requires map[string]any `json:"requires,omitempty"`
}

// forbid is what a policy refuses, whatever permits it.
type forbid struct {
	Src []string `json:"src"`
	Dst []string `json:"dst"`
	IP  []string `json:"ip,omitempty"`
}

// spelled puts the members of segments in their place.
func (w *world) spelled(aliases []string) []string {
	var all []string
	for _, alias := range aliases {
		if s, ok := w.policy.Segments[alias]; ok {
			all = append(all, trim(s.Members)...)
			continue
		}
		all = append(all, alias)
	}
	return all
}

// owner is the node that alone has an address.
func (w *world) owner(a netip.Addr) *device {
	for i := range w.Nodes {
		if w.addrs(&w.Nodes[i]).has(a) {
			return &w.Nodes[i]
		}
	}
	return nil
}

// concerns says whether an alias names an address, or by any address that it claims the
// machine that has it.
func (w *world) concerns(alias string, a netip.Addr, asSource bool) bool {
	named := w.destination(alias)
	if asSource {
		named = w.source(alias)
	}
	if named.has(a) {
		return true
	}
	at, byAddress := w.owner(a), w.literalOf(alias)
	return at != nil && slices.ContainsFunc(at.written(), byAddress.has)
}

func (w *world) literalOf(alias string) space {
	s, _ := w.literal(alias)
	return s
}

// asksProof says whether an address is in a segment that asks people for proof.
func (w *world) asksProof(a netip.Addr) bool {
	for _, s := range w.policy.Segments {
		within := func(member string) bool { return w.concerns(member, a, false) }
		if len(s.Requires) > 0 && slices.ContainsFunc(trim(s.Members), within) {
			return true
		}
	}
	return false
}

// isPerson says whether an address is one of somebody's own nodes.
func (w *world) isPerson(a netip.Addr) bool {
	at := w.owner(a)
	return at != nil && !at.tagged() && at.User != ""
}

// refuses says whether a flow is refused whatever permits it. A ping is forbidden by
// its protocol alone.
func (w *world) refuses(src, dst netip.Addr, proto, port int) bool {
	if w.isPerson(src) && w.asksProof(dst) {
		return true
	}
	return slices.ContainsFunc(w.policy.Forbid, func(f forbid) bool {
		from := slices.ContainsFunc(w.spelled(trim(f.Src)), func(alias string) bool { return w.concerns(alias, src, true) })
		to := slices.ContainsFunc(w.spelled(trim(f.Dst)), func(alias string) bool { return w.concerns(alias, dst, false) })
		return from && to && f.shuts(proto, port, isPing(proto, dst))
	})
}

func (f *forbid) shuts(proto, port int, ping bool) bool {
	if len(f.IP) == 0 || slices.Contains(f.IP, "*") {
		return true
	}
	return slices.ContainsFunc(f.IP, func(text string) bool {
		if ping {
			return strings.HasPrefix(text, map[int]string{protoICMP: "icmp:", protoICMPv6: "icmpv6:"}[proto])
		}
		all, _ := parseIP(text)
		return slices.ContainsFunc(all, func(s service) bool { return s.passes(proto, port) })
	})
}
