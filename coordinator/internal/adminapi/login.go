package adminapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// AdminLife is how long an admin session lasts. It ends by itself, for a console
// that somebody left open on a ward must not stay one for the night.
const AdminLife = time.Hour

// Desk is where people sign in to operate.
type Desk interface {
	OpenOperator(from netip.Addr, challenge [sha256.Size]byte) (signin.Opened, error)
	Prove(id, code, secret string) (registry.Identity, error)
}

// MayOperate judges whether somebody who proved who they are has a role. Whether
// it is so is asked again where the session begins.
func MayOperate(state *registry.State, who registry.Identity) error {
	u, ok := state.UserBySubject(who.Issuer, who.Subject)
	switch {
	case ok && u.ShutOut():
		return fmt.Errorf("%s is disabled", u.Login)
	case !ok || len(state.RolesOf(u.ID)) == 0:
		return fmt.Errorf("%s has no role by which to operate this mesh; an owner gives one by `cordonctl role grant`", who.Login)
	}
	return nil
}

// BeginLogin opens a sign-in of a person who wants to operate.
func (a *API) BeginLogin(_ context.Context, req *connect.Request[admin.BeginLoginRequest]) (*connect.Response[admin.BeginLoginResponse], error) {
	if a.Desk == nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("nobody can sign in here: this coordinator has neither a provider of identities nor people of its own; operate with a token"))
	}
	if len(req.Msg.Challenge) != sha256.Size {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("a challenge of %d bytes: want the SHA-256 of a secret", len(req.Msg.Challenge)))
	}
	var from netip.Addr
	if at, err := netip.ParseAddrPort(req.Peer().Addr); err == nil {
		from = at.Addr()
	}
	o, err := a.Desk.OpenOperator(from, [sha256.Size]byte(req.Msg.Challenge))
	if err != nil {
		return nil, notSignedIn(err)
	}
	return connect.NewResponse(&admin.BeginLoginResponse{Login: o.ID, Url: o.URL, Code: o.Code, Until: seconds(o.Until)}), nil
}

// FinishLogin makes an admin session of a sign-in that came to its end.
func (a *API) FinishLogin(ctx context.Context, req *connect.Request[admin.FinishLoginRequest]) (*connect.Response[admin.FinishLoginResponse], error) {
	if a.Desk == nil {
		return nil, notSignedIn(signin.ErrNotFound)
	}
	if len(req.Msg.Secret) < 26 || len(req.Msg.Secret) > 128 {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("a secret of 26 to 128 letters and digits is wanted"))
	}
	who, err := a.Desk.Prove(req.Msg.Login, req.Msg.Code, req.Msg.Secret)
	if err != nil {
		return nil, notSignedIn(err)
	}
	r, err := a.Registry.Do(ctx, registry.UserActor(who.Login), registry.BeginAdmin{
		ID: strings.ToLower(rand.Text()[:8]), Secret: registry.HashSecret(req.Msg.Secret), Who: who, Life: AdminLife,
	})
	if a.Stand != nil {
		a.Stand(who, r, err)
	}
	if err != nil {
		return nil, refusal(err)
	}
	roles := a.Registry.Snapshot().RolesOf(r.Token.Holder)
	return connect.NewResponse(&admin.FinishLoginResponse{Token: a.tokenMessage(r.Token), Roles: roles}), nil
}

// WhoAmI says as whom the caller operates.
func (a *API) WhoAmI(ctx context.Context, _ *connect.Request[admin.WhoAmIRequest]) (*connect.Response[admin.WhoAmIResponse], error) {
	who, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("nobody asks"))
	}
	out := &admin.WhoAmIResponse{Actor: string(who.actor), Scopes: who.scopes}
	state := a.Registry.Snapshot()
	if t, came := state.Token(who.token); came {
		out.Until = seconds(t.Expires)
		if t.Role != "" {
			out.Roles = []string{t.Role}
		}
		if u, ok := state.User(t.Holder); ok {
			out.Login, out.Roles = u.Login, state.RolesOf(u.ID)
		}
	}
	return connect.NewResponse(out), nil
}

// EndLogin ends the token with which the caller came: nobody needs a right for that.
func (a *API) EndLogin(ctx context.Context, _ *connect.Request[admin.EndLoginRequest]) (*connect.Response[admin.EndLoginResponse], error) {
	who, ok := ctx.Value(callerKey{}).(*caller)
	if !ok || who.token == "" {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("an operator at the coordinator came with no token"))
	}
	if _, err := a.Registry.Do(ctx, who.actor, registry.RevokeToken{ID: who.token}); err != nil {
		return nil, refusal(err)
	}
	return connect.NewResponse(new(admin.EndLoginResponse)), nil
}

func notSignedIn(err error) error {
	code := connect.CodePermissionDenied
	switch {
	case errors.Is(err, signin.ErrBusy):
		code = connect.CodeResourceExhausted
	case errors.Is(err, signin.ErrNotFound):
		code = connect.CodeNotFound
	case errors.Is(err, signin.ErrPending), errors.Is(err, signin.ErrNoOperators):
		code = connect.CodeFailedPrecondition
	case errors.Is(err, signin.ErrCode):
		code = connect.CodeInvalidArgument
	}
	return connect.NewError(code, err)
}
