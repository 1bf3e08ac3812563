package adminapi

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ExpireNode ends the time of a person's machine.
func (a *API) ExpireNode(ctx context.Context, req *connect.Request[admin.ExpireNodeRequest]) (*connect.Response[admin.ExpireNodeResponse], error) {
	m, err := a.changed(ctx, registry.ExpireNode{Node: req.Msg.Node})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.ExpireNodeResponse{Node: m}), nil
}

// RenewNode gives a person's machine another span of time.
func (a *API) RenewNode(ctx context.Context, req *connect.Request[admin.RenewNodeRequest]) (*connect.Response[admin.RenewNodeResponse], error) {
	life := a.DeviceLife
	if req.Msg.Life != 0 {
		life = time.Duration(min(max(req.Msg.Life, -1), int64(registry.MaxDeviceLife/time.Second)+1)) * time.Second
	}
	m, err := a.changed(ctx, registry.RenewNode{Node: req.Msg.Node, Life: life})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.RenewNodeResponse{Node: m}), nil
}

// changed gives a node as a command left it.
func (a *API) changed(ctx context.Context, c registry.Command) (*admin.Node, error) {
	result, err := a.do(ctx, c)
	if err != nil {
		return nil, err
	}
	return a.describe(ctx, result.Node)
}
