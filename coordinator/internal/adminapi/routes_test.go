package adminapi_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// door is the TLS side of an admin API over a registry with some tokens, each of
// which has its own name as its secret.
func door(t *testing.T, tokens ...registry.CreateToken) (http.Handler, *registry.Registry) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, err := registry.New(ctx, storetest.NewMemory(), registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	init := registry.Init{Mesh: wire.MeshID{1}, Domain: "mesh.example",
		IPv4: netip.MustParsePrefix("100.64.0.0/10"), IPv6: netip.MustParsePrefix("fd12:3456:789a::/48")}
	if _, err := r.Do(ctx, registry.System, init); err != nil {
		t.Fatal(err)
	}
	for _, c := range tokens {
		c.Secret = registry.HashSecret(c.ID)
		if _, err := r.Do(ctx, registry.System, c); err != nil {
			t.Fatal(err)
		}
	}
	return adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)}).TLS(), r
}

// knock sends what no procedure can read: whoever is let in is told so, and
// nothing happens.
func knock(h http.Handler, path, secret string) int {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader("{"))
	req.TLS = &tls.ConnectionState{HandshakeComplete: true}
	req.Header.Set("Content-Type", "application/json")
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Code
}

// unary tells of the procedures whose refusal is an HTTP status; a stream's is
// within its answer.
func unary(procedure string) bool {
	return procedure != admin.AdminServiceExportAuditProcedure && procedure != admin.AdminServiceBackupProcedure
}

// A02, A11: every route with every scope, and with what is no admin token.
func TestEveryRouteWithEveryRole_A02_A11(t *testing.T) {
	tokens := []registry.CreateToken{
		{ID: "join", Kind: registry.EnrolToken, User: "ana@clinic.example"},
		{ID: "revoked", Kind: registry.AdminToken, Scopes: []string{"read", "nodes", "tokens", "policy", "audit", "backup"}},
	}
	for _, s := range admin.Scopes() {
		tokens = append(tokens, registry.CreateToken{ID: string(s), Kind: registry.AdminToken, Scopes: []string{string(s)}})
	}
	h, r := door(t, tokens...)
	if _, err := r.Do(t.Context(), registry.System, registry.RevokeToken{ID: "revoked"}); err != nil {
		t.Fatal(err)
	}
	for _, procedure := range admin.Procedures() {
		if !unary(procedure) {
			continue
		}
		for _, nobody := range []string{"", "join", "revoked", "unknown"} {
			if code := knock(h, procedure, nobody); code != http.StatusUnauthorized {
				t.Errorf("%s with %q answers %d", procedure, nobody, code)
			}
		}
		want, _ := admin.ScopeOf(procedure)
		for _, s := range admin.Scopes() {
			code, reads := knock(h, procedure, string(s)), want == admin.ScopeRead && s != admin.ScopeAudit && s != admin.ScopeBackup && s != admin.ScopeSCIM
			if open := s == want || reads; open != (code == http.StatusBadRequest) || !open && code != http.StatusForbidden {
				t.Errorf("%s with scope %s answers %d, wants %s", procedure, s, code, want)
			}
		}
	}
}

// A07: nothing else is behind the door, not even for whoever may everything.
func TestNothingElseIsServed_A07(t *testing.T) {
	h, _ := door(t, registry.CreateToken{ID: "all", Kind: registry.AdminToken, Scopes: []string{"read", "nodes", "tokens", "policy", "audit", "backup"}})
	for _, path := range []string{"/", "/metrics", "/debug/pprof/", "/debug/vars", "/shutdown", "/healthz", "/admin.sock",
		wire.NodeServiceFollowProcedure, wire.NodeServiceEnrolProcedure, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		admin.AdminServiceStatusProcedure + "/", strings.ToLower(admin.AdminServiceStatusProcedure), "/." + admin.AdminServiceStatusProcedure} {
		for _, secret := range []string{"", "all"} {
			if code := knock(h, path, secret); code != http.StatusNotFound {
				t.Errorf("%s with %q answers %d", path, secret, code)
			}
		}
	}
}

// A token on a connection in clear counts for nothing.
func TestTokenInClearIsNone_A11(t *testing.T) {
	h, _ := door(t, registry.CreateToken{ID: "all", Kind: registry.AdminToken, Scopes: []string{"read"}})
	req := httptest.NewRequest(http.MethodPost, admin.AdminServiceStatusProcedure, strings.NewReader("{"))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer all")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("answered %d", w.Code)
	}
}
