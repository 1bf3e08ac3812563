package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/local"
)

// Flows gives this node's flow log.
func (d *daemon) Flows(ctx context.Context, r local.FlowsRequest) (*local.FlowsResponse, error) {
	if r.Verdict != "" && !slices.Contains(local.Verdicts(), r.Verdict) {
		return nil, fmt.Errorf("verdict %q is not allowed: want one of %v", r.Verdict, local.Verdicts())
	}
	_, m := (*Node)(d).current()
	if m == nil {
		return nil, errDown
	}
	p := m.plane.now.Load()
	if p == nil {
		return nil, errNoPlane
	}
	records, next, lost := p.Flows(r.From)
	out := &local.FlowsResponse{Flows: []local.Flow{}, Next: next, Lost: lost}
	names, mine := m.peerNames(), m.concern((*Node)(d).asks(ctx))
	for i := range records {
		began := records[i].At
		if records[i].Event == plane.FlowEnd {
			began = records[i].Started
		}
		if !mine(records[i].Src.Addr(), records[i].Dst.Addr(), began) {
			continue
		}
		f := flow(&records[i], names)
		if (r.Rule == "" || r.Rule == f.Rule) && (r.Verdict == "" || r.Verdict == f.Verdict) {
			out.Flows = append(out.Flows, f)
		}
	}
	if r.Limit > 0 && len(out.Flows) > r.Limit {
		out.Flows = out.Flows[len(out.Flows)-r.Limit:]
	}
	return out, nil
}

// peerNames gives the names of the peers in the map by their ids.
func (m *mesh) peerNames() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[string]string, len(m.state.Peers))
	for id, p := range m.state.Peers {
		names[id] = p.Name
	}
	return names
}

func flow(r *plane.FlowRecord, names map[string]string) local.Flow {
	f := local.Flow{
		Event: local.FlowRefused, Flow: r.Flow, Time: r.At, Outbound: r.Direction == plane.Out, Peer: r.Peer, Src: r.Src, Dst: r.Dst,
		Protocol: protocolText(r.Protocol), Verdict: verdictOf(r), Rule: string(r.Verdict.Rule), Reason: r.Verdict.Reason.String(), Revision: r.Revision,
	}
	if name, ok := names[r.Peer]; ok {
		f.Peer = name
	}
	switch r.Event {
	case plane.FlowStart:
		f.Event, f.Reason = local.FlowStart, ""
	case plane.FlowEnd:
		f.Event, f.Started = local.FlowEnd, r.Started
		f.Packets, f.Bytes = &local.Traffic{Sent: r.Packets[0], Answered: r.Packets[1]}, &local.Traffic{Sent: r.Bytes[0], Answered: r.Bytes[1]}
		if ownEnd(r.Verdict.Reason) {
			f.Reason = "by itself"
		}
	case plane.FlowExceeded:
		f.Event, f.OnExceed, f.Until = local.FlowLimit, r.OnExceed.String(), r.Until
	}
	return f
}

// ownEnd tells whether a flow ended without having lost its right.
func ownEnd(why acl.Reason) bool { return why == acl.Established || why == acl.Monitored }

// verdictOf says in a word how the flow fared that a record tells of.
func verdictOf(r *plane.FlowRecord) local.Verdict {
	switch why := r.Verdict.Reason; {
	case why == acl.Monitored:
		return local.VerdictMonitored
	case why == acl.LimitReached || why == acl.Throttled:
		return local.VerdictLimited
	case r.Event == plane.FlowStart, r.Event == plane.FlowEnd && (ownEnd(why) || why == acl.TableFull):
		return local.VerdictPermitted
	}
	return local.VerdictRefused
}
