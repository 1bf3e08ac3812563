package coordinator_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// away is a provider that does not answer.
func away(c *coordinator.Config) {
	c.SignIn = coordinator.SignIn{Issuer: "http://127.0.0.1:1/", ClientID: "cordon"}
}

// A provider that is down stops no coordinator, and no sign-in is opened at a
// coordinator that has none; sign-in is required from the first start with one on,
// until an operator says otherwise, for good.
func TestProviderThatIsAwayStopsNothing(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	if _, err := m.BeginLogin(t.Context(), connect.NewRequest(&wire.BeginLoginRequest{})); connect.CodeOf(err) != connect.CodeFailedPrecondition || r.required() {
		t.Errorf("without a provider: %v, required %t", err, r.required())
	}
	restart := func() {
		t.Helper()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		config, founded := r.config, r.founded
		away(&config)
		r = serve(t, config)
		r.founded = founded
		m = r.again(m)
	}
	restart()
	opened, err := m.BeginLogin(t.Context(), connect.NewRequest(&wire.BeginLoginRequest{}))
	if err != nil || !strings.HasPrefix(opened.Msg.Url, "https://127.0.0.1:8443/login/") {
		t.Fatalf("with a provider: %v, %v", opened, err)
	}
	if _, err := m.BeginLogin(t.Context(), connect.NewRequest(&wire.BeginLoginRequest{DeviceCode: true})); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("a device grant of a provider that is away: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); !r.required(); {
		if time.Now().After(deadline) {
			t.Fatal("sign-in is not required")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := r.root.RequireSignIn(t.Context(), connect.NewRequest(&admin.RequireSignInRequest{})); err != nil {
		t.Fatal(err)
	}
	restart()
	if _, err := m.BeginLogin(t.Context(), connect.NewRequest(&wire.BeginLoginRequest{})); err != nil || r.required() {
		t.Errorf("started again: %v, required %t, which an operator ended", err, r.required())
	}
	if len(r.log.with("people can sign in and need not: a machine's key alone opens what its owner may; `cordonctl user require-sign-in on` ends that")) == 0 {
		t.Error("nobody is told that people need not sign in")
	}
}

func (r *running) required() bool {
	r.t.Helper()
	resp, err := r.root.ListUsers(r.t.Context(), connect.NewRequest(new(admin.ListUsersRequest)))
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Msg.SignInRequired
}

// again gives a machine its connection to a coordinator that started again.
func (r *running) again(m *machine) *machine {
	r.t.Helper()
	own, err := wire.SelfSigned(&m.key)
	if err != nil {
		r.t.Fatal(err)
	}
	next := &machine{key: m.key, id: m.id, http: r.client(wire.ClientTLS(own, r.founded.Fingerprint, time.Now))}
	next.NodeServiceClient = wire.NewNodeServiceClient(next.http, "https://"+r.address)
	return next
}

// The pages are for browsers: nodes and operators' tools find none, and a
// coordinator without a provider has none.
func TestPagesAreForBrowsersAlone_A07(t *testing.T) {
	r := begin(t, away)
	page := func(c *http.Client, path string) bool {
		t.Helper()
		resp, err := c.Get("https://" + r.address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "</html>") && resp.Header.Get("Content-Security-Policy") != ""
	}
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	for name, c := range map[string]struct {
		client *http.Client
		want   bool
	}{"browser": {r.operator("portal.example"), true}, "tool": {r.operator(admin.ServerName), false}, "node": {m.http, false}} {
		if got := page(c.client, "/login/nothing"); got != c.want {
			t.Errorf("%s: a page %t, want %t", name, got, c.want)
		}
		if page(c.client, "/") || page(c.client, "/loginx") {
			t.Errorf("%s: a page elsewhere", name)
		}
	}
	r = begin(t, nil)
	if page(r.operator("portal.example"), "/login/nothing") {
		t.Error("a page without a provider")
	}
}

func TestBadSignInSettingsAreNamed(t *testing.T) {
	r := begin(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const issuer = "https://id.example/"
	for _, c := range []struct {
		s     coordinator.SignIn
		parts []string
	}{
		{coordinator.SignIn{ClientID: "x"}, []string{"oidc-issuer"}},
		{coordinator.SignIn{Issuer: issuer}, []string{"oidc-client-id"}},
		{coordinator.SignIn{Local: true, PasswordMemory: 11}, []string{"password-memory", "11"}},
		{coordinator.SignIn{Local: true, PasswordMemory: 1025}, []string{"password-memory", "1025"}},
		{coordinator.SignIn{Local: true, Life: time.Second}, []string{"session-life", "1s"}},
		{coordinator.SignIn{Issuer: "ftp://id", ClientID: "x"}, []string{"ftp://id"}},
		{coordinator.SignIn{Issuer: issuer, ClientID: "x", Life: time.Second}, []string{"session-life", "1s"}},
		{coordinator.SignIn{Issuer: issuer, ClientID: "x", Life: 1000 * time.Hour}, []string{"session-life", "720h"}},
		{coordinator.SignIn{Local: true, AdminIdle: time.Second}, []string{"admin-idle", "1s"}},
		{coordinator.SignIn{Local: true, AdminIdle: 2 * time.Hour}, []string{"admin-idle", "2h"}},
		{coordinator.SignIn{Issuer: issuer, ClientID: "x", Check: time.Millisecond}, []string{"oidc-check", "1ms"}},
		{coordinator.SignIn{Issuer: issuer, ClientID: "x", SecretFile: "/nowhere/secret"}, []string{"oidc-client-secret-file", "/nowhere/secret"}},
		{coordinator.SignIn{Issuer: issuer, ClientID: "x", SecretFile: empty}, []string{"oidc-client-secret-file", "empty"}},
	} {
		config := r.config
		config.SignIn = c.s
		wants(t, coordinator.Run(t.Context(), config), c.parts...)
	}
}
