package adminapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// CreateToken draws a secret, has its hash stored, and gives the secret this
// once, as the string in which it is handed on.
func (a *API) CreateToken(ctx context.Context, req *connect.Request[admin.CreateTokenRequest]) (*connect.Response[admin.CreateTokenResponse], error) {
	m := req.Msg
	if most := int64(registry.MaxTokenLifetime / time.Second); m.Lifetime < 0 || m.Lifetime > most {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("a lifetime of %d s: want at most %d, or 0 for an hour", m.Lifetime, most))
	}
	secret := strings.ToLower(rand.Text()) // at least 128 random bits
	c := registry.CreateToken{
		ID: strings.ToLower(rand.Text()[:8]), Secret: registry.HashSecret(secret), Kind: registry.EnrolToken,
		Lifetime: time.Duration(m.Lifetime) * time.Second, User: m.User, Tags: m.Tags, Uses: m.Uses, NeedsApproval: m.NeedsApproval,
	}
	text := wire.Enrolment{URL: a.URL, Fingerprint: a.Root, Secret: secret}.Reveal()
	if m.Kind == admin.TokenKind_TOKEN_KIND_ADMIN {
		if _, err := admin.ParseScopes(m.Scopes); err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		}
		c = registry.CreateToken{ID: c.ID, Secret: c.Secret, Kind: registry.AdminToken, Lifetime: c.Lifetime, Scopes: m.Scopes, Role: m.Role}
		text = admin.Credential{URL: a.URL, Fingerprint: a.Root, Secret: secret}.Reveal()
	}
	result, err := a.do(ctx, c)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.CreateTokenResponse{Token: a.tokenMessage(result.Token), Text: text}), nil
}

// ListTokens lists every token, without its secret, which nobody knows.
func (a *API) ListTokens(context.Context, *connect.Request[admin.ListTokensRequest]) (*connect.Response[admin.ListTokensResponse], error) {
	out := new(admin.ListTokensResponse)
	for _, t := range a.Registry.Snapshot().Tokens() {
		out.Tokens = append(out.Tokens, a.tokenMessage(t))
	}
	return connect.NewResponse(out), nil
}

// RevokeToken ends a token; nodes that it admitted stay.
func (a *API) RevokeToken(ctx context.Context, req *connect.Request[admin.RevokeTokenRequest]) (*connect.Response[admin.RevokeTokenResponse], error) {
	if _, err := a.do(ctx, registry.RevokeToken{ID: req.Msg.Id}); err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.RevokeTokenResponse{}), nil
}

func (a *API) tokenMessage(t *registry.Token) *admin.Token {
	kind := admin.TokenKind_TOKEN_KIND_ENROL
	if t.Kind == registry.AdminToken {
		kind = admin.TokenKind_TOKEN_KIND_ADMIN
	}
	state, holder := a.Registry.Snapshot(), t.Holder
	if u, ok := state.User(t.Holder); ok {
		holder = u.Login
	}
	return &admin.Token{
		Id: t.ID, Kind: kind, User: t.User, Tags: t.Tags, Created: seconds(t.Created), Expires: seconds(t.Expires),
		UsesLeft: t.UsesLeft, NeedsApproval: t.NeedsApproval, Scopes: state.TokenScopes(t, admin.RoleScopes), Role: t.Role, Holder: holder, Revoked: t.Revoked, Rests: state.TokenRests(t), CreatedBy: string(t.By),
	}
}
