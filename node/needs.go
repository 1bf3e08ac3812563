package node

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// needed gives the facts for want of which the plane would refuse, now, a flow to
// where a refused packet was going. The packet may have been an answer in a flow that
// a peer began and whose right has ended: where that was going nothing was wanted.
// The caller holds m.mu.
func (m *mesh) needed(r plane.Refusal) []string {
	p := m.plane.now.Load()
	if p == nil || r.Verdict.Reason != acl.FactEnded {
		return nil
	}
	q := plane.Question{Direction: r.Direction, Src: r.Src.Addr(), Dst: r.Dst.Addr(), Protocol: r.Protocol, Port: r.Dst.Port()}
	v, _ := p.Explain(q)
	return lacking(m.state, q.Direction == plane.Out, v, q.Src, q.Dst, m.node.clock.Human())
}

// lacking gives the facts that a flow's source does not have at a moment, and that
// the rule needs which would else permit the flow. The verdict's rule may be many
// in the map, one for each segment that asks for more: the flow's classes tell
// which of them it was.
func lacking(m wire.Map, outbound bool, v acl.Verdict, src, dst netip.Addr, now time.Time) []string {
	if v.Reason != acl.FactEnded {
		return nil
	}
	rules, facts := m.Rules.In, []acl.FactEnd(nil)
	if outbound {
		rules, facts = m.Rules.Out, factsAt(m.Self.Facts, m.Self.Seats, src)
	} else if peer, ok := peerAt(m, src); ok {
		facts = factsAt(peer.Facts, peer.Seats, src)
	}
	from, to := classAt(m, src), classAt(m, dst)
	for _, r := range rules {
		if r.ID != v.Rule || !slices.Contains(r.Src, from) || !slices.Contains(r.Dst, to) {
			continue
		}
		if out := ended(r.Needs, facts, now); len(out) > 0 {
			return out
		}
	}
	return nil
}

func ended(needs []acl.Fact, facts []acl.FactEnd, now time.Time) (out []string) {
	for _, need := range needs {
		holds := slices.ContainsFunc(facts, func(f acl.FactEnd) bool { return f.Fact == need && f.Until.After(now) })
		if !holds {
			out = append(out, string(need))
		}
	}
	return out
}

// classAt gives the class of an address: of the longest prefix that holds it.
func classAt(m wire.Map, a netip.Addr) acl.Class {
	best := acl.PrefixClass{}
	longest := func(prefixes []acl.PrefixClass) {
		for _, p := range prefixes {
			if p.Prefix.Contains(a) && (best.Class == 0 || p.Prefix.Bits() > best.Prefix.Bits()) {
				best = p
			}
		}
	}
	longest(m.Self.Prefixes)
	if s := seatAt(m.Self.Seats, a); s != nil {
		longest(s.Prefixes)
	}
	for _, p := range m.Peers {
		longest(p.Prefixes)
		if s := seatAt(p.Seats, a); s != nil {
			longest(s.Prefixes)
		}
	}
	return best.Class
}

// peerAt gives the peer that owns an address, by itself or by a seat, or has it behind it.
func peerAt(m wire.Map, a netip.Addr) (wire.PeerRecord, bool) {
	best, bits := wire.PeerRecord{}, -1
	for _, p := range m.Peers {
		if slices.Contains(p.Addresses, a) || seatAt(p.Seats, a) != nil {
			return p, true
		}
		for _, route := range p.Routes {
			if route.Contains(a) && route.Bits() > bits {
				best, bits = p, route.Bits()
			}
		}
	}
	return best, bits >= 0
}
