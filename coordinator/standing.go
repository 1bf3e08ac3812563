package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
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
		Live: a.liveSession,
		Ask: func(ctx context.Context, name string) (registry.Identity, error) {
			who, err := p.Renew(ctx, name)
			who.ByLogin = a.SCIM.Match == matchLogin
			return who, plain(err)
		},
	}
}

// plain tells the provider's clear word, and what cannot be read, from what says nothing.
func plain(err error) error {
	denied := new(oidc.Denied)
	switch {
	case errors.Is(err, oidc.ErrDoubtful):
		return fmt.Errorf("%w: %w", standing.ErrDoubtful, err)
	case errors.As(err, &denied) && denied.Code == "invalid_grant":
		return fmt.Errorf("%w: %w", standing.ErrRefused, err)
	case errors.Is(err, oidc.ErrUnproven):
		return fmt.Errorf("%w: %w", standing.ErrUnreadable, err)
	}
	return err
}

// liveSession tells whether a session goes on for which the provider is asked.
func (a *assembly) liveSession(node, session string) bool {
	state := a.registry.Snapshot()
	if id, operates := strings.CutPrefix(session, adminWatched); operates {
		t, known := state.Token(id)
		return known && !t.Over(a.Now())
	}
	is := func(s *registry.Session) bool { return s.ID == session && s.Live(a.Now()) }
	return slices.ContainsFunc(state.SessionsAt(node), is)
}

// providerStatus gives what the operators' status says of the provider.
func (a *assembly) providerStatus() (watched int, problem string) {
	if a.watching == nil {
		return 0, ""
	}
	s := a.watching.Stats()
	return s.Watched, s.Problem
}

// maxUnread bounds how many people are named of whom the provider's answers cannot be
// taken: where it is everybody, it is the provider.
const maxUnread = 20

// unreadLapses name those whose groups stay as they were, for what the provider says of
// them now cannot be taken.
func (a *assembly) unreadLapses() (all []warn.Lapse) {
	if a.watching == nil {
		return nil
	}
	for _, u := range a.watching.Unread() {
		if len(all) == maxUnread {
			return append(all, warn.Lapse{Kind: "person", Name: "and others", Advice: "see the log: it is the provider's settings, or this coordinator's"})
		}
		name := u.Subject
		if known, ok := a.registry.Snapshot().UserBySubject(a.SignIn.Issuer, u.Subject); ok {
			name = known.Login
		}
		all = append(all, warn.Lapse{Kind: "person", Name: name, Since: u.Since, Advice: fmt.Sprintf(
			"since %s, what the provider says of them is not taken; their groups may be those of before until their session ends, so end it if somebody left one (`cordonctl session list`): %s", u.Since.UTC().Format(time.RFC3339), u.Reason)})
	}
	return all
}
