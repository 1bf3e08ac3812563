package scim_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/scim"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	userURN  = `"urn:ietf:params:scim:schemas:core:2.0:User"`
	groupURN = `"urn:ietf:params:scim:schemas:core:2.0:Group"`
	patchURN = `"urn:ietf:params:scim:api:messages:2.0:PatchOp"`
)

// directory is one that provisions, and sees what becomes of it.
type directory struct {
	t        testing.TB
	h        http.Handler
	registry *registry.Registry
	secret   string
	kind     string // of bodies
}

// begin gives a directory whose token has the scope scim.
func begin(t testing.TB) *directory {
	t.Helper()
	return beginAt(t, time.Now)
}

func beginAt(t testing.TB, now func() time.Time) *directory {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, err := registry.New(ctx, storetest.NewMemory(), registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	d := &directory{t: t, registry: r, secret: "scim", kind: "application/scim+json"}
	d.do(registry.Init{Mesh: wire.MeshID{1}, Domain: "mesh.example",
		IPv4: netip.MustParsePrefix("100.64.0.0/10"), IPv6: netip.MustParsePrefix("fd12:3456:789a::/48")})
	for _, scope := range []string{"scim", "users"} {
		d.do(registry.CreateToken{ID: scope, Secret: registry.HashSecret(scope), Kind: registry.AdminToken, Scopes: []string{scope}, Lifetime: registry.MaxTokenLifetime})
	}
	d.h, err = scim.New(scim.Config{Registry: r, URL: "https://mesh.example:8443", Now: now, Log: slog.New(slog.DiscardHandler),
		Match: registry.Matching{Issuer: "https://id.example"}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *directory) do(c registry.Command) {
	d.t.Helper()
	if _, err := d.registry.Do(d.t.Context(), registry.System, c); err != nil {
		d.t.Fatal(err)
	}
}

// send gives the status and the body of an answer.
func (d *directory) send(method, path, body string) (int, map[string]any) {
	d.t.Helper()
	r := httptest.NewRequest(method, "https://mesh.example:8443/scim/v2"+path, strings.NewReader(body))
	r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	r.Header.Set("Content-Type", d.kind)
	if d.secret != "" {
		r.Header.Set("Authorization", "Bearer "+d.secret)
	}
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, r)
	var m map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
			d.t.Fatalf("%s %s is answered by %q", method, path, w.Body)
		}
	}
	d.says(w.Code, m)
	return w.Code, m
}

// says fails unless a refusal names what it is for, as RFC 7644 has it in table 9.
func (d *directory) says(status int, m map[string]any) {
	d.t.Helper()
	kinds := map[int][]any{
		400: {"invalidFilter", "tooMany", "mutability", "invalidSyntax", "invalidPath", "noTarget", "invalidValue"},
		409: {"uniqueness"},
	}[status]
	if kinds != nil && !slices.Contains(kinds, m["scimType"]) {
		d.t.Errorf("%d has the scimType %v: %v", status, m["scimType"], m["detail"])
	}
}

// wants sends what must be answered by a status.
func (d *directory) wants(status int, method, path, body string) map[string]any {
	d.t.Helper()
	got, m := d.send(method, path, body)
	if got != status {
		d.t.Fatalf("%s %s %.300s: %d %v, want %d", method, path, body, got, m, status)
	}
	return m
}

// user makes a record, and gives its id.
func (d *directory) user(name string) string {
	d.t.Helper()
	m := d.wants(201, "POST", "/Users", fmt.Sprintf(`{"schemas":[%s],"userName":"%s@clinic.example","externalId":"sub-%[2]s","active":true,"displayName":"%[2]s"}`, userURN, name))
	return m["id"].(string)
}

func (d *directory) patch(status int, path string, operations string) map[string]any {
	d.t.Helper()
	return d.wants(status, "PATCH", path, fmt.Sprintf(`{"schemas":[%s],"Operations":[%s]}`, patchURN, operations))
}

// found gives the ids that a filter finds.
func (d *directory) found(path, filter string) (ids []string) {
	d.t.Helper()
	m := d.wants(200, "GET", path+"?filter="+url.QueryEscape(filter), "")
	list, ok := m["Resources"].([]any)
	if !ok {
		d.t.Fatalf("%s: Resources is no list: %v", filter, m)
	}
	for _, one := range list {
		ids = append(ids, one.(map[string]any)["id"].(string))
	}
	return ids
}

// person gives what the mesh knows of a login.
func (d *directory) person(name string) *registry.User {
	d.t.Helper()
	u, ok := d.registry.Snapshot().UserByLogin(name + "@clinic.example")
	if !ok {
		d.t.Fatalf("nobody is %s", name)
	}
	return u
}
