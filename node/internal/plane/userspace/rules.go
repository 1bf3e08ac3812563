package userspace

import (
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// compile says to the filter what cfg says to the plane.
func compile(cfg *plane.Config) (*filter.Table, error) {
	c := filter.Config{
		Revision: cfg.Revision, Rules: cfg.Rules, Mesh: cfg.Mesh, Lease: cfg.Lease,
		Self:  filter.Party{Prefixes: cfg.Self.Prefixes, Owner: cfg.Self.Owner, Facts: cfg.Self.Facts, Seats: cfg.Self.Seats},
		Peers: make([]filter.Party, 0, len(cfg.Peers)),
	}
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		c.Peers = append(c.Peers, filter.Party{
			ID: p.ID, Name: p.Name, Prefixes: p.Prefixes, Owner: p.Owner, Facts: p.Facts, Seats: p.Seats, Fronted: p.Stock != nil,
		})
	}
	return filter.Compile(c)
}

// Explain judges a made-up new flow without touching any state. See [plane.Plane].
func (p *Plane) Explain(q plane.Question) (v acl.Verdict, until time.Time) {
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
		s.Refusals = append(s.Refusals, plane.Refusal{
			First: r.First, Last: r.Last, Count: r.Count, Direction: direction(r.Direction),
			Peer: r.Peer, Src: r.Src, Dst: r.Dst, Protocol: r.Protocol, Verdict: r.Verdict, Until: r.Until,
		})
	}
	for _, e := range p.filter.Ending(p.now(), soon, maxEndings) {
		s.Endings = append(s.Endings, ending(e))
	}
	var err error
	s.Peers, s.Tunnels, err = p.peerStats()
	return s, err
}

// What is told of flows that lose their right: how long before, and how many kinds.
const (
	soon       = 15 * time.Minute
	maxEndings = 20
)

func ending(e filter.Ending) plane.Ending {
	return plane.Ending{
		Direction: direction(e.Direction), Peer: e.Peer, Src: e.Src, Dst: e.Dst, Protocol: e.Protocol,
		Flows: e.Flows, End: e.End, Cut: e.Cut, Verdict: e.Verdict,
	}
}

func direction(d filter.Direction) plane.Direction {
	if d == filter.Out {
		return plane.Out
	}
	return plane.In
}

// tellDrains notes once of each flow that its right ended while it is open.
func (p *Plane) tellDrains() {
	began, more := p.filter.Drained()
	for _, e := range began {
		p.log.Warn("a right has ended (a login, an approval or a rule's time): what is open goes on for a while, nothing new begins",
			"until", e.Cut, "to", e.Dst, "protocol", int(e.Protocol), "peer", e.Peer, "flows", e.Flows, "rule", e.Verdict.Rule, "why", e.Verdict.Reason)
	}
	if more > 0 {
		p.log.Warn("more flows lost their right, and go on for a while", "flows", more)
	}
}

// tellExcesses notes once of each limit in each of its windows who has exceeded it.
func (p *Plane) tellExcesses() {
	told, more := p.filter.Exceeded()
	for _, e := range told {
		p.log.Warn("a rule's limit is exceeded", "rule", e.Rule, "onExceed", e.OnExceed, "until", e.Until, "src", e.Src, "dst", e.Dst, "peer", e.Peer)
	}
	if more > 0 {
		p.log.Warn("more have exceeded a rule's limit", "sources", more)
	}
}
