package adminapi

import (
	"context"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ApproveNode lets a waiting node have peers.
func (a *API) ApproveNode(ctx context.Context, req *connect.Request[admin.ApproveNodeRequest]) (*connect.Response[admin.ApproveNodeResponse], error) {
	m, err := a.changed(ctx, registry.ApproveNode{Node: req.Msg.Node, Fingerprint: req.Msg.Fingerprint})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.ApproveNodeResponse{Node: m}), nil
}

// HoldNode has a node that is in wait for approval again.
func (a *API) HoldNode(ctx context.Context, req *connect.Request[admin.HoldNodeRequest]) (*connect.Response[admin.HoldNodeResponse], error) {
	m, err := a.changed(ctx, registry.HoldNode{Node: req.Msg.Node})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.HoldNodeResponse{Node: m}), nil
}

// RejectNode turns a waiting node away for good.
func (a *API) RejectNode(ctx context.Context, req *connect.Request[admin.RejectNodeRequest]) (*connect.Response[admin.RejectNodeResponse], error) {
	if _, err := a.do(ctx, registry.RejectNode{Node: req.Msg.Node}); err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.RejectNodeResponse{Epoch: a.Registry.Snapshot().Epoch}), nil
}
