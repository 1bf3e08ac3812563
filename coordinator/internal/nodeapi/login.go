package nodeapi

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// BeginLogin opens a sign-in at the caller's machine.
func (s *service) BeginLogin(ctx context.Context, req *connect.Request[wire.BeginLoginRequest]) (*connect.Response[wire.BeginLoginResponse], error) {
	who, n, err := s.atDesk(ctx)
	if err != nil {
		return nil, err
	}
	if err := registry.CheckSeat(n, req.Msg.Seat); err != nil { // before somebody proves for nothing who they are
		return nil, refusal(err)
	}
	opened, err := s.Desk.Open(ctx, n.ID, who.address, signin.Request{
		DeviceCode: req.Msg.DeviceCode, Afresh: req.Msg.Afresh || n.Over(s.Now()), ACR: req.Msg.Acr, Seat: req.Msg.Seat})
	if err != nil {
		s.complain(who, "sign-in not opened: "+err.Error())
		return nil, notOpened(err)
	}
	return connect.NewResponse(&wire.BeginLoginResponse{Login: opened.ID, Url: opened.URL, Code: opened.Code, Until: opened.Until.Unix()}), nil
}

// AwaitLogin says what became of a sign-in at the caller's machine.
func (s *service) AwaitLogin(ctx context.Context, req *connect.Request[wire.AwaitLoginRequest]) (*connect.Response[wire.AwaitLoginResponse], error) {
	_, n, err := s.atDesk(ctx)
	if err != nil {
		return nil, err
	}
	outcome, err := s.Desk.Await(ctx, n.ID, req.Msg.Login)
	if err != nil {
		return nil, notOpened(err)
	}
	out := &wire.AwaitLoginResponse{State: stateOf(outcome.State), Reason: outcome.Reason, Below: outcome.Below}
	if outcome.State == signin.Done {
		out.Session = outcome.Session.Proto()
	}
	return connect.NewResponse(out), nil
}

// Logout ends sessions at the caller's machine, and nowhere else.
func (s *service) Logout(ctx context.Context, req *connect.Request[wire.LogoutRequest]) (*connect.Response[wire.LogoutResponse], error) {
	_, n, err := known(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.Registry.Do(ctx, registry.NodeActor(n.ID), registry.EndSessions{ID: req.Msg.Session, Node: n.ID})
	if err != nil {
		return nil, refusal(err)
	}
	return connect.NewResponse(&wire.LogoutResponse{Ended: uint32(r.Ended)}), nil
}

func (s *service) atDesk(ctx context.Context) (*caller, *registry.Node, error) {
	who, n, err := known(ctx)
	if err == nil && s.Desk == nil {
		err = connect.NewError(connect.CodeFailedPrecondition, errors.New("nobody can sign in here: this mesh's coordinator has no provider of identities; ask its admin"))
	}
	return who, n, err
}

func notOpened(err error) error {
	switch {
	case errors.Is(err, signin.ErrBusy):
		return connect.NewError(connect.CodeResourceExhausted, err)
	case errors.Is(err, signin.ErrNotFound), errors.Is(err, signin.ErrNode):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, signin.ErrNoLevel):
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return connect.NewError(connect.CodeUnavailable, err)
}
