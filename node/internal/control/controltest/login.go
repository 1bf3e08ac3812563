package controltest

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// SignIns is how a coordinator answers nodes at which people sign in. Each
// function is called once for each question, by several goroutines; nil refuses.
type SignIns struct {
	Begin  func(node key.NodePublic, r *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error)
	Await  func(ctx context.Context, node key.NodePublic, login string) (*wire.AwaitLoginResponse, error)
	Logout func(node key.NodePublic, session string) (ended uint32, err error)

	// Of machines that are in no mesh yet. An empty answer of
	// Join, and one of AwaitJoin that is done, make the machine a node.
	Join      func(machine key.NodePublic, r *wire.BeginJoinRequest) (*wire.BeginJoinResponse, error)
	AwaitJoin func(ctx context.Context, machine key.NodePublic, login string) (*wire.AwaitJoinResponse, error)
}

// SignIn changes how sign-ins are answered. Until then nobody can sign in.
func (c *Coordinator) SignIn(s SignIns) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signIns = s
}

func (s *service) answers() SignIns {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signIns
}

func noSignIn() error {
	return connect.NewError(connect.CodeFailedPrecondition, errors.New("nobody can sign in at this coordinator"))
}

// BeginLogin answers as the test says.
func (s *service) BeginLogin(ctx context.Context, r *connect.Request[wire.BeginLoginRequest]) (*connect.Response[wire.BeginLoginResponse], error) {
	begin := s.answers().Begin
	if begin == nil {
		return nil, noSignIn()
	}
	m, err := begin(caller(ctx), r.Msg)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(m), nil
}

// AwaitLogin answers as the test says.
func (s *service) AwaitLogin(ctx context.Context, r *connect.Request[wire.AwaitLoginRequest]) (*connect.Response[wire.AwaitLoginResponse], error) {
	await := s.answers().Await
	if await == nil {
		return nil, noSignIn()
	}
	m, err := await(ctx, caller(ctx), r.Msg.Login)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(m), nil
}

// Logout answers as the test says.
func (s *service) Logout(ctx context.Context, r *connect.Request[wire.LogoutRequest]) (*connect.Response[wire.LogoutResponse], error) {
	logout := s.answers().Logout
	if logout == nil {
		return nil, noSignIn()
	}
	ended, err := logout(caller(ctx), r.Msg.Session)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&wire.LogoutResponse{Ended: ended}), nil
}
