package oidc

import (
	"context"
	"crypto/rand"
	"sync"

	"golang.org/x/oauth2"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// maxHeld bounds how many refresh tokens are held.
const maxHeld = 50_000

// vault holds refresh tokens (RFC 6749 section 1.5), in memory alone: with one, and the
// client's secret, anybody could go on as the person. A coordinator that starts anew
// has none, and asks again from each person's next sign-in.
type vault struct {
	mu   sync.Mutex
	held map[string]held
}

type held struct{ subject, refresh string }

// hold keeps a refresh token, and gives the name by which it is asked for; empty if
// there is none, or too many are held.
func (v *vault) hold(subject, refresh string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if refresh == "" || len(v.held) >= maxHeld {
		return ""
	}
	name := rand.Text()
	v.held[name] = held{subject, refresh}
	return name
}

func (v *vault) get(name string) (held, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	h, ok := v.held[name]
	return h, ok
}

// rotate puts a token in the place of the one before, unless that was let go.
func (v *vault) rotate(name, refresh string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if h, ok := v.held[name]; ok && refresh != "" {
		v.held[name] = held{h.subject, refresh}
	}
}

// Release forgets the refresh token that has the name.
func (p *Provider) Release(name string) {
	p.vault.mu.Lock()
	defer p.vault.mu.Unlock()
	delete(p.vault.held, name)
}

// Renew asks whether the provider still stands by somebody, by the refresh token that
// Identity.Standing names, and gives what it says of them now: nothing if it stands by
// them and says no more. It fails with ErrUnavailable, ErrUnproven or a *Denied, of
// which "invalid_grant" alone says that it does not (RFC 6749 section 5.2). One at a
// time may ask by one name.
func (p *Provider) Renew(ctx context.Context, name string) (registry.Identity, error) {
	h, ok := p.vault.get(name)
	if !ok {
		return registry.Identity{}, unproven("there is no refresh token of that name")
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return registry.Identity{}, err
	}
	token, err := m.oauth.TokenSource(p.with(ctx), &oauth2.Token{RefreshToken: h.refresh}).Token()
	if err != nil {
		return registry.Identity{}, p.refused("refresh", err, h.refresh)
	}
	p.vault.rotate(name, token.RefreshToken)
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
