package adminapi

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ListUsers lists everybody who signed in once, or was shut out.
func (a *API) ListUsers(context.Context, *connect.Request[admin.ListUsersRequest]) (*connect.Response[admin.ListUsersResponse], error) {
	state := a.Registry.Snapshot()
	out := &admin.ListUsersResponse{SignInRequired: state.SignIn}
	live := map[string]uint32{}
	for s := range state.Sessions() {
		if s.Live(a.Now()) {
			live[s.User]++
		}
	}
	for _, u := range state.SortedUsers() {
		m := a.withRoles(u)
		m.Sessions, m.Proves = live[u.ID], a.proves(state, u)
		out.Users = append(out.Users, m)
	}
	return connect.NewResponse(out), nil
}

// DisableUser shuts a person out: sessions end, tokens are revoked, machines have
// no peers.
func (a *API) DisableUser(ctx context.Context, req *connect.Request[admin.DisableUserRequest]) (*connect.Response[admin.DisableUserResponse], error) {
	r, err := a.do(ctx, registry.DisableUser{User: req.Msg.User, LastOwner: req.Msg.LastOwner, WithGrants: req.Msg.WithGrants})
	if err != nil {
		return nil, err
	}
	state := a.Registry.Snapshot()
	return connect.NewResponse(&admin.DisableUserResponse{User: userMessage(r.User), Ended: uint32(r.Ended),
		Granted: grantMessages(state, r.Granted), Withdrawn: grantMessages(state, r.Withdrawn), Made: madeMessages(r.Made)}), nil
}

// EnableUser takes that back.
func (a *API) EnableUser(ctx context.Context, req *connect.Request[admin.EnableUserRequest]) (*connect.Response[admin.EnableUserResponse], error) {
	r, err := a.do(ctx, registry.EnableUser{User: req.Msg.User})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.EnableUserResponse{User: userMessage(r.User)}), nil
}

// ForgetUser drops all that is known of a person.
func (a *API) ForgetUser(ctx context.Context, req *connect.Request[admin.ForgetUserRequest]) (*connect.Response[admin.ForgetUserResponse], error) {
	r, err := a.do(ctx, registry.ForgetUser{User: req.Msg.User, LastOwner: req.Msg.LastOwner})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.ForgetUserResponse{User: userMessage(r.User), Ended: uint32(r.Ended), Made: madeMessages(r.Made)}), nil
}

// ListSessions lists who is signed in where.
func (a *API) ListSessions(_ context.Context, req *connect.Request[admin.ListSessionsRequest]) (*connect.Response[admin.ListSessionsResponse], error) {
	state, out := a.Registry.Snapshot(), new(admin.ListSessionsResponse)
	of := ""
	if req.Msg.User != "" {
		u, ok := state.FindUser(req.Msg.User)
		if !ok {
			return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("user %.255q: %w; list the users for their logins", req.Msg.User, registry.ErrNotFound))
		}
		of = u.ID
	}
	for _, s := range state.SortedSessions() {
		live := s.Live(a.Now())
		if of != "" && s.User != of || !live && !req.Msg.All {
			continue
		}
		w := s.Wire()
		m := &admin.Session{Id: s.ID, Node: s.Node, User: s.Login, Begun: seconds(s.Begun), Proved: seconds(w.At), Until: seconds(s.Until),
			Amr: w.AMR, Acr: w.ACR, Live: live, Seat: s.Seat}
		for _, addr := range s.Addresses {
			m.Addresses = append(m.Addresses, addr.String())
		}
		if n, ok := state.Node(s.Node); ok {
			m.NodeName = n.Name
		}
		out.Sessions = append(out.Sessions, m)
	}
	return connect.NewResponse(out), nil
}

// EndSession signs a person out at a node.
func (a *API) EndSession(ctx context.Context, req *connect.Request[admin.EndSessionRequest]) (*connect.Response[admin.EndSessionResponse], error) {
	if req.Msg.Id == "" {
		return nil, connect.NewError(connect.CodeInvalidArgument, registry.ErrInvalid)
	}
	if _, err := a.do(ctx, registry.EndSessions{ID: req.Msg.Id}); err != nil {
		return nil, err
	}
	return connect.NewResponse(new(admin.EndSessionResponse)), nil
}

// RequireSignIn says whether people must be signed in for what the policy lets
// them do.
func (a *API) RequireSignIn(ctx context.Context, req *connect.Request[admin.RequireSignInRequest]) (*connect.Response[admin.RequireSignInResponse], error) {
	r, err := a.do(ctx, registry.RequireSignIn{Required: req.Msg.Required})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.RequireSignInResponse{Changed: r.Changed}), nil
}

func userMessage(u *registry.User) *admin.User {
	m := &admin.User{Id: u.ID, Login: u.Login, Name: u.Name, Issuer: u.Issuer, Subject: u.Subject, Groups: u.Groups,
		Former: u.Former, Disabled: u.ShutOut(), Created: seconds(u.Created)}
	if p := u.Provision; p != nil {
		m.Record, m.ExternalId, m.DirectoryDisabled = p.ID, p.External, !p.Active
	}
	return m
}
