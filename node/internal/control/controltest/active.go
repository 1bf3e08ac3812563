package controltest

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Active takes down when somebody did something at a node.
func (s *service) Active(_ context.Context, r *connect.Request[wire.ActiveRequest]) (*connect.Response[wire.ActiveResponse], error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses = append(s.pauses, time.Duration(r.Msg.Pause)*time.Millisecond)
	s.busy = append(s.busy, r.Msg.Session)
	s.active = append(s.active, time.Now().Add(-time.Duration(r.Msg.Ago)*time.Millisecond))
	return connect.NewResponse(&wire.ActiveResponse{}), nil
}

// Actives gives when somebody did something, as often as it was told.
func (c *Coordinator) Actives() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.active)
}

// Pauses gives the pause that was told with each of Actives.
func (c *Coordinator) Pauses() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pauses)
}

// Busy gives the session that was told with each of Actives.
func (c *Coordinator) Busy() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.busy)
}
