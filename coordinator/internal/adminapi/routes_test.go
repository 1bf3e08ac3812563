package adminapi_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

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
	r, err := registry.New(ctx, storetest.NewMemory(), registry.Config{RoleScopes: admin.RoleScopes})
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

// A02, A11, A53: every route that the contract has, with every role, with every
// scope, and with what is no admin token, held to the table that operators read.
func TestEveryRouteWithEveryRole_A02_A11_A53(t *testing.T) {
	tokens := []registry.CreateToken{
		{ID: "join", Kind: registry.EnrolToken, User: "ana@clinic.example"},
		{ID: "revoked", Kind: registry.AdminToken, Role: "owner"},
	}
	for _, r := range admin.Roles() {
		tokens = append(tokens, registry.CreateToken{ID: string(r), Kind: registry.AdminToken, Role: string(r)})
	}
	h, r := door(t, tokens...)
	if _, err := r.Do(t.Context(), registry.System, registry.RevokeToken{ID: "revoked"}); err != nil {
		t.Fatal(err)
	}
	table := documented(t)
	for _, procedure := range contract() {
		name := path.Base(procedure)
		row, told := table[name]
		if !told {
			t.Errorf("%s is not in the table of docs/OPERATIONS.md: say which roles may call it", name)
		}
		delete(table, name)
		for _, nobody := range []string{"", "join", "revoked", "unknown"} {
			want := connect.CodeUnauthenticated
			if name == "BeginLogin" || name == "FinishLogin" {
				want = connect.CodeInvalidArgument // by these one becomes somebody
			}
			if code := ask(h, procedure, nobody); code != want {
				t.Errorf("%s with %q answers %v", name, nobody, code)
			}
		}
		for _, role := range admin.Roles() {
			want := connect.CodePermissionDenied
			if row[string(role)] {
				want = connect.CodeInvalidArgument
			}
			if code := ask(h, procedure, string(role)); code != want {
				t.Errorf("%s with the role %s answers %v, and the table says %t", name, role, code, row[string(role)])
			}
		}
	}
	for name := range table {
		t.Errorf("the table of docs/OPERATIONS.md has %s, which is no route", name)
	}
}

// contract lists every procedure by the contract itself: one that nobody gave a
// scope must be found, and found closed.
func contract() (all []string) {
	service := admin.File_coordinator_admin_admin_proto.Services().ByName("AdminService")
	for i := range service.Methods().Len() {
		all = append(all, "/"+string(service.FullName())+"/"+string(service.Methods().Get(i).Name()))
	}
	return all
}

// documented reads the table of routes and roles.
func documented(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]map[string]bool{}
	var roles []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		switch {
		case cells[0] == "route":
			roles = cells[1:]
		case len(cells) != len(roles)+1 || roles == nil:
			roles = nil
		case !strings.HasPrefix(cells[0], "-"):
			row := map[string]bool{}
			for i, role := range roles {
				if row[role] = cells[i+1] == "yes"; !row[role] && cells[i+1] != "-" {
					t.Fatalf("the table says %q of %s and %s", cells[i+1], cells[0], role)
				}
			}
			table[cells[0]] = row
		}
	}
	return table
}

// ask sends what no procedure can read, whether or not it streams, and gives the
// code of the answer: whoever is let in is told that it cannot be read.
func ask(h http.Handler, procedure, secret string) connect.Code {
	req := httptest.NewRequest(http.MethodPost, procedure, strings.NewReader("\x00\x00\x00\x00\x01\xff"))
	req.TLS = &tls.ConnectionState{HandshakeComplete: true}
	req.Header.Set("Content-Type", "application/grpc-web+proto")
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	for _, text := range []string{w.Header().Get("Grpc-Status"), trailer(w.Body.String())} {
		if code, err := strconv.Atoi(text); err == nil {
			return connect.Code(code)
		}
	}
	return connect.CodeUnknown
}

// trailer gives the status within an answer of gRPC-Web.
func trailer(body string) string {
	_, rest, _ := strings.Cut(strings.ToLower(body), "grpc-status: ")
	code, _, _ := strings.Cut(rest, "\r\n")
	return code
}

// Each scope on its own opens what the table of scopes says, and a scope that
// nobody knows opens nothing.
func TestScopesOpenNoMoreThanTheySay_A02(t *testing.T) {
	opens := map[string][]string{
		"desk": {"desk"}, "sessions": {"sessions", "desk"}, "read": {"read", "desk"}, "nodes": {"nodes", "read", "desk"},
		"tokens": {"tokens", "read", "desk"}, "users": {"users", "sessions", "read", "desk"}, "policy": {"policy", "read", "desk"},
		"roles": {"roles", "read", "desk"}, "audit": {"audit"}, "backup": {"backup"}, "scim": {"scim"}, "people": {"people", "read", "desk"}, "root": nil, "": nil,
	}
	for _, s := range admin.Scopes() {
		if _, told := opens[string(s)]; !told {
			t.Errorf("nobody said what the scope %s opens", s)
		}
	}
	for held, want := range opens {
		for _, procedure := range contract() {
			asks, known := admin.ScopeOf(procedure)
			if asks == "any" || asks == "none" {
				continue // the table of routes and roles says who comes
			}
			if got := admin.Permits([]string{held}, procedure); !known || got != slices.Contains(want, string(asks)) {
				t.Errorf("%q at %s, which asks for %q: %t", held, procedure, asks, got)
			}
		}
	}
	if _, known := admin.ScopeOf("/cordon.admin.v1.AdminService/NewRoute"); known || admin.Permits([]string{"", "read"}, "/cordon.admin.v1.AdminService/NewRoute") {
		t.Error("a route without an entry is open")
	}
}

// A07: nothing else is behind the door, not even for whoever may everything.
func TestNothingElseIsServed_A07(t *testing.T) {
	h, _ := door(t, registry.CreateToken{ID: "all", Kind: registry.AdminToken, Role: "owner"})
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
