package nodeapi

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Active takes down when somebody last did something at the caller's machine.
func (s *service) Active(ctx context.Context, req *connect.Request[wire.ActiveRequest]) (*connect.Response[wire.ActiveResponse], error) {
	_, n, err := known(ctx)
	if err != nil {
		return nil, err
	}
	if s.Activity != nil {
		s.Activity.Note(registry.Sitting{Node: n.ID, Session: req.Msg.Session}, milliseconds(req.Msg.Ago), milliseconds(req.Msg.Pause))
	}
	return connect.NewResponse(&wire.ActiveResponse{}), nil
}

func milliseconds(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
