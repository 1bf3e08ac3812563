package nodeapi

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// BeginJoin opens a sign-in by which the caller's key becomes a node. A key that
// joined in this way before is given what it was given then, for whoever holds it is
// that node; what any other node or revoked key says changes nothing of it.
func (s *service) BeginJoin(ctx context.Context, req *connect.Request[wire.BeginJoinRequest]) (*connect.Response[wire.BeginJoinResponse], error) {
	who, err := s.joining(ctx)
	if err != nil {
		return nil, err
	}
	m := req.Msg
	if _, err := wire.CommonLevel(m.Level); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	if who.node != nil {
		return s.joined(who.node)
	}
	if _, err := s.find(who); errors.Is(err, errRemoved) {
		return nil, err
	}
	opened, err := s.Desk.OpenJoin(ctx, registry.Machine{Key: who.key, Name: m.Name, Statement: m.Statement, OS: m.Os, Version: m.Version, From: who.address})
	if err != nil {
		s.complain(who, "joining by a sign-in refused: "+err.Error())
		return nil, notJoining(err)
	}
	return connect.NewResponse(&wire.BeginJoinResponse{Login: &wire.BeginLoginResponse{
		Login: opened.ID, Url: opened.URL, Code: opened.Code, Until: opened.Until.Unix()}}), nil
}

func (s *service) joined(n *registry.Node) (*connect.Response[wire.BeginJoinResponse], error) {
	if n.Proof == nil {
		return nil, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("%w as %q: it joined with a token, and this machine's state directory has lost its identity", registry.ErrKnownKey, n.Name))
	}
	admission, err := s.admission(n)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&wire.BeginJoinResponse{Enrolled: admission}), nil
}

// AwaitJoin says what became of a sign-in by which the caller's key would join.
func (s *service) AwaitJoin(ctx context.Context, req *connect.Request[wire.AwaitJoinRequest]) (*connect.Response[wire.AwaitJoinResponse], error) {
	who, err := s.joining(ctx)
	if err != nil {
		return nil, err
	}
	outcome, err := s.Desk.Await(ctx, wire.NodeID(who.key), req.Msg.Login)
	if err != nil {
		return nil, notOpened(err)
	}
	out := &wire.AwaitJoinResponse{State: stateOf(outcome.State), Reason: outcome.Reason}
	if outcome.State == signin.Done {
		n, ok := s.Registry.Snapshot().NodeByKey(who.key)
		if !ok {
			return nil, connect.NewError(connect.CodePermissionDenied, errNotIn) // it joined, and was taken away since
		}
		if out.Enrolled, err = s.admission(n); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(out), nil
}

func (s *service) joining(ctx context.Context) (*caller, error) {
	who, ok := ctx.Value(callerKey{}).(*caller)
	switch {
	case !ok:
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("nobody asks"))
	case s.Desk == nil:
		return nil, connect.NewError(connect.CodeFailedPrecondition, signin.ErrNoJoin)
	}
	return who, nil
}

func stateOf(s signin.State) wire.AwaitLoginResponse_State {
	switch s {
	case signin.Done:
		return wire.AwaitLoginResponse_DONE
	case signin.Refused:
		return wire.AwaitLoginResponse_REFUSED
	case signin.Expired:
		return wire.AwaitLoginResponse_EXPIRED
	}
	return wire.AwaitLoginResponse_PENDING
}

func notJoining(err error) error {
	switch {
	case errors.Is(err, signin.ErrNoJoin):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, registry.ErrInvalid):
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return notOpened(err)
}
