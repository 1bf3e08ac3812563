package userspace

import (
	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// compile says to the filter what cfg says to the plane.
func compile(cfg *plane.Config) (*filter.Table, error) {
	c := filter.Config{
		Revision: cfg.Revision, Rules: cfg.Rules, Mesh: cfg.Mesh, Lease: cfg.Lease,
		Self:  filter.Party{Prefixes: cfg.Self.Prefixes, Owner: cfg.Self.Owner, Facts: cfg.Self.Facts},
		Peers: make([]filter.Party, 0, len(cfg.Peers)),
	}
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		c.Peers = append(c.Peers, filter.Party{ID: p.ID, Name: p.Name, Prefixes: p.Prefixes, Owner: p.Owner, Facts: p.Facts, Fronted: p.Stock != nil})
	}
	return filter.Compile(c)
}

// Explain judges a made-up new flow without touching any state.
func (p *Plane) Explain(q plane.Question) acl.Verdict {
	d := filter.In
	if q.Direction == plane.Out {
		d = filter.Out
	}
	return p.filter.Explain(p.now(), d, q.Src, q.Dst, q.Protocol, q.Port)
}

// Stats tells what the plane did so far.
func (p *Plane) Stats() (plane.Stats, error) {
	f := p.filter.Stats()
	s := plane.Stats{Revision: f.Revision, Flows: f.Flows, Verdicts: make(map[acl.Reason][2]uint64)}
	for reason := range f.Verdicts[filter.In] {
		n := [2]uint64{plane.In: f.Verdicts[filter.In][reason], plane.Out: f.Verdicts[filter.Out][reason]}
		if n != [2]uint64{} {
			s.Verdicts[acl.Reason(reason)] = n
		}
	}
	for _, r := range p.filter.Refusals() {
		to := plane.Refusal{
			First: r.First, Last: r.Last, Count: r.Count, Direction: plane.In,
			Peer: r.Peer, Src: r.Src, Dst: r.Dst, Protocol: r.Protocol, Verdict: r.Verdict,
		}
		if r.Direction == filter.Out {
			to.Direction = plane.Out
		}
		s.Refusals = append(s.Refusals, to)
	}
	var err error
	s.Peers, s.Tunnels, err = p.peerStats()
	return s, err
}

// Records reads the flow log from entry number from on. See filter.Records.
func (p *Plane) Records(from uint64, buf []filter.Record) (n int, next, lost uint64) {
	return p.filter.Records(from, buf)
}
