package oidc

import (
	"context"
	"errors"
	"strings"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// prove gives whom a token's answer proves, and holds what the provider can be asked
// with whether it still stands by them.
func (p *Provider) prove(ctx context.Context, m *metadata, token *oauth2.Token, d demand) (registry.Identity, error) {
	who, err := p.identify(ctx, m, token, d)
	if err == nil {
		who.Standing = p.vault.hold(held{subject: who.Subject, refresh: token.RefreshToken})
	}
	return who, err
}

// identify gives whom a token's answer proves.
func (p *Provider) identify(ctx context.Context, m *metadata, token *oauth2.Token, d demand) (registry.Identity, error) {
	c, err := p.verify(ctx, m, token)
	if err != nil {
		return registry.Identity{}, err
	}
	j := judge{issuer: p.config.Issuer, client: p.config.ClientID, now: p.config.Now(), demand: d}
	if err := j.check(c); err != nil {
		return registry.Identity{}, err
	}
	more, err := p.userinfo(ctx, m, token, c)
	if err != nil {
		return registry.Identity{}, err
	}
	return p.read(c, more, j)
}

// verify gives the claims of an ID token that the provider signed. It judges
// none of them but at_hash, which is about how the token was signed.
func (p *Provider) verify(ctx context.Context, m *metadata, token *oauth2.Token) (claims, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return nil, unproven("it answered without an ID token: configure this client there for OpenID Connect, with the scope openid")
	}
	signed, c, err := p.signed(ctx, m, raw)
	if err != nil {
		return nil, err
	}
	if c.has("at_hash") && signed.VerifyAccessToken(token.AccessToken) != nil {
		return nil, unproven("its ID token belongs to another access token (at_hash)")
	}
	return c, nil
}

// signed gives the claims of a token that the provider signed.
func (p *Provider) signed(ctx context.Context, m *metadata, raw string) (*goidc.IDToken, claims, error) {
	keys := &watched{KeySet: m.keys}
	verifier := goidc.NewVerifier(p.config.Issuer, keys, &goidc.Config{
		SupportedSigningAlgs: m.algorithms,
		// judge checks these, and more strictly.
		SkipIssuerCheck: true, SkipClientIDCheck: true, SkipExpiryCheck: true,
	})
	signed, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, nil, p.unsigned(keys, err, raw, m)
	}
	var c claims
	if err := signed.Claims(&c); err != nil {
		return nil, nil, unproven("its ID token holds no claims")
	}
	return signed, c, nil
}

// watched remembers why a key set verified nothing: the verifier above it
// flattens the reason into text.
type watched struct {
	goidc.KeySet
	failure  error
	verified bool
}

func (w *watched) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	payload, w.failure = w.KeySet.VerifySignature(ctx, token)
	w.verified = w.failure == nil
	return payload, w.failure
}

// unsigned tells a key set that cannot be had, whose error wraps a cause, from a
// token that none of its keys signed.
func (p *Provider) unsigned(keys *watched, err error, raw string, m *metadata) error {
	words := clip(strings.ReplaceAll(err.Error(), raw, "(hidden)"))
	switch {
	case keys.verified:
		return unproven("its ID token's claims cannot be read: %s", words)
	case keys.failure == nil:
		return unproven("its ID token cannot be read: %s (it must be signed by one of %s)", words, strings.Join(m.algorithms, ", "))
	case errors.Unwrap(keys.failure) != nil:
		return p.unavailable("fetch the keys", keys.failure)
	}
	return unproven("its ID token is signed by none of its keys")
}

// userinfo asks the provider for the login where its ID token has none, which
// OpenID Connect Core section 5.4 permits it; else it gives nil.
func (p *Provider) userinfo(ctx context.Context, m *metadata, token *oauth2.Token, c claims) (claims, error) {
	if c.has(p.config.LoginClaim) {
		return nil, nil
	}
	if m.provider.UserInfoEndpoint() == "" {
		return nil, unproven("its ID token has no claim %q: let the provider put it there, configure its scope, or choose another login claim", p.config.LoginClaim)
	}
	info, err := m.provider.UserInfo(p.with(ctx), oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, p.unavailable("ask for the userinfo", err)
	}
	var more claims
	if err := info.Claims(&more); err != nil {
		return nil, p.unavailable("read the userinfo", err)
	}
	// "The sub Claim in the UserInfo Response MUST be verified to exactly match the
	// sub Claim in the ID Token" (section 5.3.2): else it may be about somebody else.
	if mine, theirs := c.text("sub"), more.text("sub"); mine != theirs {
		return nil, unproven("its userinfo is about another person than its ID token")
	}
	return more, nil
}

// with gives the context in which both libraries find our client.
func (p *Provider) with(ctx context.Context) context.Context {
	return goidc.ClientContext(ctx, p.client)
}
