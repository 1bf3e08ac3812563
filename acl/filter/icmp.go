package filter

import (
	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// quoted judges an ICMP error. It passes only if it complains of a packet that
// went the other way in a permitted flow, goes back to that packet's sender,
// and comes from the party, or the seat, that the flow is with: a forged one could otherwise
// end the connections of others, or shrink their packets (RFC 5927). It keeps
// no flow alive.
func (f *Filter) quoted(d Direction, p *packet.Packet) decision {
	if p.Quoted.Shape == packet.Invalid || p.Quoted.Src != p.Dst {
		return refuse(acl.NoRule)
	}
	k := f.flows.seed.hashed(keyOf(d.reverse(), &p.Quoted))
	fl, n := f.living(&k)
	if fl == nil {
		return refuse(acl.NoRule)
	}
	if fl.version != f.version || f.now.Boot >= fl.end {
		if dec := f.again(fl, n); !dec.permits() {
			return dec
		}
	}
	e, why := f.table.locate(d, p.Src, p.Dst)
	if why != acl.Permitted {
		return refuse(why)
	}
	if e.peer(d).with() != f.table.home(fl.peer).with() || e.own(d).with() != f.table.home(fl.own).with() {
		return refuse(acl.NoRule)
	}
	if fl.fast&metered != 0 {
		if dec := f.spend(fl, n, p.Len); !passes(dec.reason) {
			return dec
		}
	}
	return decision{reason: acl.Established, rule: fl.rule}
}
