package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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

// Who is signed in is asked for every checkEvery; more often than minCheck the
// coordinator would be the provider's burden.
const (
	checkEvery = 5 * time.Minute
	minCheck   = time.Second
	maxCheck   = 24 * time.Hour
)

// asking gives what is needed to ask the provider.
func (a *assembly) asking(p *oidc.Provider) standing.Asking {
	every := a.SignIn.Check
	if every == 0 {
		every = checkEvery
	}
	return standing.Asking{
		Every: every, Release: p.Release,
		Live: func(node, session string) bool {
			is := func(s *registry.Session) bool { return s.ID == session && s.Live(a.Now()) }
			return slices.ContainsFunc(a.registry.Snapshot().SessionsAt(node), is)
		},
		Ask: func(ctx context.Context, name string) (registry.Identity, error) {
			who, err := p.Renew(ctx, name)
			who.ByLogin = a.SCIM.Match == matchLogin
			return who, plain(err)
		},
	}
}

// plain tells the provider's clear word from what is none.
func plain(err error) error {
	denied := new(oidc.Denied)
	switch {
	case errors.Is(err, oidc.ErrDoubtful):
		return fmt.Errorf("%w: %w", standing.ErrDoubtful, err)
	case errors.As(err, &denied) && denied.Code == "invalid_grant":
		return fmt.Errorf("%w: %w", standing.ErrRefused, err)
	}
	return err
}

// providerStatus gives what the operators' status says of the provider.
func (a *assembly) providerStatus() (watched int, problem string) {
	if a.watching == nil {
		return 0, ""
	}
	s := a.watching.Stats()
	return s.Watched, s.Problem
}
