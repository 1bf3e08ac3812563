package nodeapi

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Active takes down when somebody last did something at the caller's machine.
func (s *service) Active(ctx context.Context, req *connect.Request[wire.ActiveRequest]) (*connect.Response[wire.ActiveResponse], error) {
	_, n, err := known(ctx)
	if err != nil {
		return nil, err
	}
	if s.Activity != nil {
		s.Activity.Note(n.ID, time.Duration(req.Msg.Ago)*time.Millisecond)
	}
	return connect.NewResponse(&wire.ActiveResponse{}), nil
}
