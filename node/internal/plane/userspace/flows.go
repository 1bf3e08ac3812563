package userspace

import (
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// Flows reads the flow log. See [plane.Plane].
func (p *Plane) Flows(from uint64) (all []plane.FlowRecord, next, lost uint64) {
	const step = 256
	buf := make([]filter.Record, step)
	next = from
	for {
		n, to, missed := p.filter.Records(next, buf)
		next, lost = to, lost+missed
		for i := range buf[:n] {
			all = append(all, flowRecord(&buf[i]))
		}
		if n < step {
			return all, next, lost
		}
	}
}

func flowRecord(r *filter.Record) plane.FlowRecord {
	return plane.FlowRecord{
		Event: flowEvent(r.Kind), Flow: r.Flow, At: r.At, Direction: direction(r.Direction), Src: r.Src, Dst: r.Dst, Protocol: r.Protocol,
		Peer: r.Peer, Revision: r.Revision, Verdict: r.Verdict, Packets: r.Packets, Bytes: r.Bytes, Started: r.Started,
		OnExceed: r.OnExceed, Until: r.Until,
	}
}

func flowEvent(k filter.RecordKind) plane.FlowEvent {
	switch k {
	case filter.FlowStart:
		return plane.FlowStart
	case filter.FlowEnd:
		return plane.FlowEnd
	case filter.LimitExceeded:
		return plane.FlowExceeded
	}
	return plane.FlowRefused
}

// Draining gives the flows that drain, for the plane that comes after this one.
func (p *Plane) Draining() []filter.Drain { return p.filter.Draining(p.now()) }

// DrainOn lets flows drain on that did in the plane before this one.
func (p *Plane) DrainOn(kept []filter.Drain) { p.filter.DrainOn(kept) }
