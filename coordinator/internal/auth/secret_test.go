package auth_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth"
	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

func TestSecretFitsAnEnrolmentString(t *testing.T) {
	a, _, _ := create(t)
	s := auth.NewSecret()
	must(t, wire.Enrolment{URL: "https://coord.example:8443", Fingerprint: a.Fingerprint(), Secret: s.Reveal()}.Validate())
	id, other := auth.NewTokenID(), auth.NewTokenID()
	if s.Reveal() == auth.NewSecret().Reveal() || id == other {
		t.Error("two draws are equal")
	}
	if !auth.Same(s.Hash(), registry.HashSecret(s.Reveal())) || auth.Same(s.Hash(), auth.NewSecret().Hash()) {
		t.Error("hashes compare wrongly")
	}
}

func TestPermit(t *testing.T) {
	state := &registry.State{}
	now := noon
	do := func(c registry.Command) {
		t.Helper()
		d, err := registry.Decider{}.Decide(state, c, registry.System, now)
		must(t, err)
		state = d.Next
	}
	do(registry.Init{Mesh: wire.MeshID{1}, Domain: "m", IPv4: ipam.DefaultIPv4(), IPv6: netip.MustParsePrefix("fd00::/48")})
	admin, enrol, ended := auth.NewSecret(), auth.NewSecret(), auth.NewSecret()
	do(registry.CreateToken{ID: auth.NewTokenID(), Secret: admin.Hash(), Kind: registry.AdminToken, Scopes: []string{"read"}})
	do(registry.CreateToken{ID: auth.NewTokenID(), Secret: enrol.Hash(), Kind: registry.EnrolToken, User: "a@b"})
	do(registry.CreateToken{ID: "ended", Secret: ended.Hash(), Kind: registry.AdminToken, Scopes: []string{"read"}})
	do(registry.RevokeToken{ID: "ended"})
	for _, c := range []struct {
		presented, scope string
		at               time.Time
		want             bool
	}{
		{admin.Reveal(), "read", now, true},
		{admin.Reveal(), "write", now, false},
		{admin.Reveal(), "", now, false},
		{admin.Reveal(), "read", now.Add(time.Hour), false},
		{admin.Reveal() + "x", "read", now, false},
		{enrol.Reveal(), "read", now, false},
		{ended.Reveal(), "read", now, false},
		{"", "read", now, false},
	} {
		tok, err := auth.Permit(state, c.presented, c.scope, c.at)
		if (err == nil) != c.want || (tok != nil) != c.want {
			t.Errorf("%q for %q gives %v, %v", c.presented[:min(4, len(c.presented))], c.scope, tok, err)
		}
	}
}
