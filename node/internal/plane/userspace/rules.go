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
