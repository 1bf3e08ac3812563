package adminapi

import (
	"context"
	"slices"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ListRoles lists every role, what it allows and who has it.
func (a *API) ListRoles(context.Context, *connect.Request[admin.ListRolesRequest]) (*connect.Response[admin.ListRolesResponse], error) {
	state, out := a.Registry.Snapshot(), new(admin.ListRolesResponse)
	for _, r := range admin.Roles() {
		m := &admin.RoleDescription{Name: string(r), Scopes: admin.RoleScopes(string(r))}
		for _, u := range state.Holders(string(r)) {
			m.Holders = append(m.Holders, u.Login)
		}
		for _, t := range state.Tokens() {
			if t.Role == string(r) && !t.Over(a.Now()) {
				m.Tokens = append(m.Tokens, t.ID)
			}
		}
		for _, g := range grantMessages(state, state.SortedGrants()) {
			if g.Role == m.Name {
				m.Grants = append(m.Grants, g)
			}
		}
		out.Roles = append(out.Roles, m)
	}
	return connect.NewResponse(out), nil
}

// GrantRole gives a role to a person.
func (a *API) GrantRole(ctx context.Context, req *connect.Request[admin.GrantRoleRequest]) (*connect.Response[admin.GrantRoleResponse], error) {
	r, err := a.do(ctx, registry.GrantRole{User: req.Msg.User, Role: req.Msg.Role})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.GrantRoleResponse{User: a.withRoles(r.User), Changed: r.Changed, Address: a.signInAddress()}), nil
}

// signInAddress gives with what people sign in to operate, if they can.
func (a *API) signInAddress() string {
	if a.Desk == nil {
		return ""
	}
	return admin.Address{URL: a.URL, Fingerprint: a.Root}.String()
}

// RevokeRole takes a role from a person.
func (a *API) RevokeRole(ctx context.Context, req *connect.Request[admin.RevokeRoleRequest]) (*connect.Response[admin.RevokeRoleResponse], error) {
	r, err := a.do(ctx, registry.RevokeRole{User: req.Msg.User, Role: req.Msg.Role, LastOwner: req.Msg.LastOwner, WithGrants: req.Msg.WithGrants})
	if err != nil {
		return nil, err
	}
	state := a.Registry.Snapshot()
	return connect.NewResponse(&admin.RevokeRoleResponse{User: a.withRoles(r.User), Changed: r.Changed, Revoked: uint32(r.Revoked),
		Granted: grantMessages(state, r.Granted), Withdrawn: grantMessages(state, r.Withdrawn), Made: madeMessages(r.Made)}), nil
}

func (a *API) withRoles(u *registry.User) *admin.User {
	m := userMessage(u)
	m.Roles = slices.Clone(a.Registry.Snapshot().RolesOf(u.ID))
	return m
}
