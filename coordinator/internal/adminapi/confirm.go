package adminapi

import (
	"context"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ConfirmPolicy lets a policy that awaits confirmation stay.
func (a *API) ConfirmPolicy(ctx context.Context, req *connect.Request[admin.ConfirmPolicyRequest]) (*connect.Response[admin.ConfirmPolicyResponse], error) {
	result, err := a.do(ctx, registry.ConfirmPolicy{Revision: req.Msg.Revision})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.ConfirmPolicyResponse{Revision: result.Policy.Revision}), nil
}

// RollBackPolicy puts the policy before one that awaits confirmation back at once.
func (a *API) RollBackPolicy(ctx context.Context, _ *connect.Request[admin.RollBackPolicyRequest]) (*connect.Response[admin.RollBackPolicyResponse], error) {
	result, err := a.do(ctx, registry.RollBackPolicy{})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.RollBackPolicyResponse{Revision: result.Policy.Revision}), nil
}

// untilOf gives when a policy goes unless confirmed; 0: it stays.
func untilOf(v *registry.PolicyVersion) int64 {
	if v.Awaits() {
		return seconds(v.Until)
	}
	return 0
}
