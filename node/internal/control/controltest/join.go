package controltest

import (
	"context"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// BeginJoin answers as the test says.
func (s *service) BeginJoin(ctx context.Context, r *connect.Request[wire.BeginJoinRequest]) (*connect.Response[wire.BeginJoinResponse], error) {
	join := s.answers().Join
	if join == nil {
		return nil, noSignIn()
	}
	m, err := join(caller(ctx), r.Msg)
	if err != nil {
		return nil, err
	}
	if m.Login == nil && m.Enrolled == nil {
		m.Enrolled = s.admission(caller(ctx))
	}
	return connect.NewResponse(m), nil
}

// AwaitJoin answers as the test says.
func (s *service) AwaitJoin(ctx context.Context, r *connect.Request[wire.AwaitJoinRequest]) (*connect.Response[wire.AwaitJoinResponse], error) {
	await := s.answers().AwaitJoin
	if await == nil {
		return nil, noSignIn()
	}
	m, err := await(ctx, caller(ctx), r.Msg.Login)
	if err != nil {
		return nil, err
	}
	if m.State == wire.AwaitLoginResponse_DONE && m.Enrolled == nil {
		m.Enrolled = s.admission(caller(ctx))
	}
	return connect.NewResponse(m), nil
}

// admission is what a machine is given that has become a node.
func (s *service) admission(k key.NodePublic) *wire.EnrolResponse {
	mesh := s.Mesh.ID()
	return &wire.EnrolResponse{
		Mesh: mesh[:], Node: wire.NodeID(k), RootKey: s.Mesh.Root.Public().Bytes(), Chain: s.certify(k),
		MapKeys: []*wire.MapKeyCertificate{s.Mesh.MapKeyCertificate()},
	}
}
