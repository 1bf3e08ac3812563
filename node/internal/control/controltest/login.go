package controltest

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

func noSignIn() error {
	return connect.NewError(connect.CodeFailedPrecondition, errors.New("nobody can sign in at this coordinator"))
}

func (s *service) BeginLogin(context.Context, *connect.Request[wire.BeginLoginRequest]) (*connect.Response[wire.BeginLoginResponse], error) {
	return nil, noSignIn()
}

func (s *service) AwaitLogin(context.Context, *connect.Request[wire.AwaitLoginRequest]) (*connect.Response[wire.AwaitLoginResponse], error) {
	return nil, noSignIn()
}

func (s *service) Logout(context.Context, *connect.Request[wire.LogoutRequest]) (*connect.Response[wire.LogoutResponse], error) {
	return nil, noSignIn()
}
