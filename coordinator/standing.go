package coordinator

import (
	"context"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// standing gives what is needed to watch whether the provider stands by those whom
// it signed in.
func (a *assembly) standing(p *oidc.Provider) standing.Config {
	return standing.Config{
		Issuer: a.SignIn.Issuer, Now: a.Now, Log: a.Log,
		Read: func(ctx context.Context, token string) (standing.Logout, error) {
			out, err := p.ReadLogout(ctx, token)
			return standing.Logout(out), err
		},
		Do: func(ctx context.Context, c registry.Command) (registry.Result, error) {
			return a.registry.Do(ctx, registry.System, c)
		},
	}
}
