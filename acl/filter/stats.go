package filter

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// reasons is how many reasons a verdict can have.
const reasons = int(acl.SeatCalled) + 1

// Stats is what a Filter did so far.
type Stats struct {
	Revision uint64 // of the table; 0: none, everything is denied
	Flows    int    // permitted flows in the table
	Revoked  int    // flows that are remembered without a right
	Records  uint64 // written so far
	Verdicts [2][reasons]uint64
}

// Stats gives counters by Direction and acl.Reason, and the size of the table.
func (f *Filter) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{Flows: f.flows.count - f.revoked, Revoked: f.revoked, Records: f.records.next, Verdicts: f.counts}
	if f.table != nil {
		s.Revision = f.table.revision
	}
	return s
}

// Sweep forgets the flows that were idle for too long, and ends those whose
// right ended, be it that no packet came to find out. Call it every few seconds.
// It lets packets pass in between.
func (f *Filter) Sweep(m Moment) {
	defer f.sweepMeters()
	const step = 256
	for n := int32(0); ; n += step {
		if !f.sweep(m, n, n+step) {
			return
		}
	}
}

func (f *Filter) sweepMeters() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.meters.sweep(f.now.Machine)
}

func (f *Filter) sweep(m Moment, from, to int32) (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set(m)
	for n := from; n < min(to, f.flows.used); n++ {
		fl := f.flows.at(n)
		switch {
		case fl.word == 0:
		case f.now.Boot >= fl.idle:
			f.finish(n, endIdle)
		case fl.state != revoked && (fl.version != f.version || f.now.Boot >= fl.end || f.overdrawn(fl)):
			f.again(fl, n)
		}
	}
	return to < f.flows.used
}

// Explain judges a flow that would begin now, and touches nothing. The port is
// that of the destination; for ICMP the flow is an echo request. If a limit is
// reached it gives the policy time until which it is; else the zero time.
func (f *Filter) Explain(m Moment, d Direction, src, dst netip.Addr, proto acl.Protocol, port uint16) (v acl.Verdict, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.table == nil {
		return acl.Verdict{Reason: acl.NoMap}, time.Time{}
	}
	known := f.past(nil)
	dec := f.table.explain(m, &known, d, src, dst, proto, port)
	if dec.reason == acl.LimitReached {
		until = clockTime(later(m.Machine, dec.end-m.Boot))
	}
	return f.table.verdict(dec), until
}

func (t *Table) explain(m Moment, known *past, d Direction, src, dst netip.Addr, proto acl.Protocol, port uint16) decision {
	if !src.IsValid() || !dst.IsValid() || src.Is4() != dst.Is4() || src.Is4In6() || dst.Is4In6() || d > Out {
		return refuse(acl.Malformed)
	}
	w := wish{proto: proto, port: port}
	switch {
	case proto.HasPorts():
	case proto == acl.ICMP && src.Is4() || proto == acl.ICMPv6 && src.Is6():
		w.kind = wishAny
	default:
		w.kind = wishWhole
	}
	return t.decide(d, packet.AddrFrom(src), packet.AddrFrom(dst), w, known, &m)
}

// verdict says what was decided of a flow that would begin.
func (t *Table) verdict(dec decision) acl.Verdict {
	v := acl.Verdict{Allow: dec.permits(), Reason: dec.reason}
	if dec.rule != noRule {
		v.Rule = t.rules[dec.rule].id
	}
	return v
}
