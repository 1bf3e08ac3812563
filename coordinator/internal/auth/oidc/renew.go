package oidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ErrDoubtful: the provider refused a token of which an earlier process did not live to
// see the answer. It may have been spent by that question, and another be lost with the
// answer: the refusal says nothing of the person.
var ErrDoubtful = errors.New("a refresh token was refused that may have been spent when the coordinator ended")

// last is how long a question that is under way may go on when the coordinator stops:
// its answer may hold the only token that the provider still takes.
const last = 3 * time.Second

// Renew asks whether the provider still stands by somebody, by the refresh token that
// Identity.Standing names, and gives what it says of them now: nothing if it stands by
// them and says no more. It fails with ErrUnavailable, ErrUnproven, ErrDoubtful or a
// *Denied, of which "invalid_grant" alone says that it does not (RFC 6749 section 5.2).
// One at a time may ask by one name. It returns after ctx ended, by 3 s at most.
func (p *Provider) Renew(ctx context.Context, name string) (registry.Identity, error) {
	h, ok := p.vault.get(name)
	if !ok {
		return registry.Identity{}, unproven("there is no refresh token of that name")
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return registry.Identity{}, err
	}
	if err := p.vault.asking(ctx, name); err != nil {
		return registry.Identity{}, p.unavailable("refresh", err)
	}
	token, err := p.spend(ctx, m, name, h)
	if err != nil {
		return registry.Identity{}, err
	}
	if raw, _ := token.Extra("id_token").(string); raw == "" {
		return registry.Identity{}, nil
	}
	who, err := p.identify(ctx, m, token, demand{})
	if err != nil {
		return registry.Identity{}, err
	}
	// "its sub Claim Value MUST be the same" (OpenID Connect Core section 12.2).
	if who.Subject != h.subject {
		return registry.Identity{}, unproven("its answer to a refresh is about another person")
	}
	who.Standing = name
	return who, nil
}

// spend asks by a refresh token, which may count but once, and has written down what
// came of it before it returns.
func (p *Provider) spend(ctx context.Context, m *metadata, name string, h held) (*oauth2.Token, error) {
	longer, end := outlive(ctx, last)
	defer end()
	token, err := m.oauth.TokenSource(p.with(longer), &oauth2.Token{RefreshToken: h.refresh}).Token()
	if err == nil {
		p.vault.answered(longer, name, token.RefreshToken)
		return token, nil
	}
	err = p.refused("refresh", err, h.refresh)
	if denied := new(Denied); h.doubtful && errors.As(err, &denied) && denied.Code == "invalid_grant" {
		return nil, fmt.Errorf("%w: %s", ErrDoubtful, err) // it is no Denied
	}
	if !h.doubtful && longer.Err() == nil { // else nobody saw what became of the question
		p.vault.answered(longer, name, "")
	}
	return nil, err
}

// outlive gives a context that ends a while after another one did.
func outlive(ctx context.Context, by time.Duration) (longer context.Context, end context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(by):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}
