package signin

import (
	"context"
	"fmt"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// OpenJoin begins a sign-in by which a machine joins that is not in the mesh yet.
// Its person proves anew who they are, for a browser that the provider remembers is
// no proof that anybody wants a machine in; and by the pages alone, for a device
// grant shows nobody which machine it is. It fails with [ErrNoJoin], [ErrBusy], or
// with what is wrong with the machine's words.
func (d *Desk) OpenJoin(_ context.Context, m registry.Machine) (Opened, error) {
	if d.cfg.Join == nil {
		return Opened{}, ErrNoJoin
	}
	if err := m.Check(); err != nil {
		return Opened{}, err
	}
	s := &signin{id: drawSecret(), node: wire.NodeID(m.Key), code: drawCode(), from: m.From.Unmap(), asked: Request{Afresh: true}, machine: &m,
		over: make(chan struct{}), cancel: func() {}}
	if err := d.add(s); err != nil {
		return Opened{}, fmt.Errorf("join by a sign-in: %w", err)
	}
	d.cfg.Log.Debug("a machine wants to join by a sign-in", "node", s.node, "from", s.from)
	return Opened{ID: s.id, URL: d.url + Prefix + s.id, Code: s.code, Until: s.until}, nil
}

// join makes a machine a node of who somebody proved to be, and ends the sign-in.
func (d *Desk) join(ctx context.Context, s *signin, who registry.Identity) {
	joined, err := d.cfg.Join(ctx, *s.machine, who)
	if err != nil {
		d.refuse(s, plain(err.Error()))
		return
	}
	d.cfg.Log.Info("a machine joined by a sign-in", "node", s.node, "login", joined.Login, "from", s.from, "waits", joined.Waits)
	d.locked(func(time.Time) { s.conclude(Outcome{State: Done, Joined: joined}) })
}
