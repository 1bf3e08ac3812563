package coordinator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// An admin is warned of what lapses, in the tool and by a webhook that is signed, once
// over restarts; and a person's machine gets its end, and is out at it.
func TestAdminIsWarnedOfWhatLapses(t *testing.T) {
	posted := make(chan string, 16)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct{ Kind, Name string }
		if err := json.Unmarshal(body, &m); err != nil || r.Header.Get("Cordon-Signature") == "" {
			t.Errorf("posted %q, %v", body, err)
		}
		posted <- m.Kind + " " + m.Name
	}))
	defer hook.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of the two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &clock{now: time.Now()}
	r := begin(t, func(config *coordinator.Config) {
		config.Now = c.Now
		config.SignIn.DeviceLife = 60 * 24 * time.Hour
		config.Warnings = coordinator.Warnings{Webhook: hook.URL, SecretFile: secret}
	})
	_, string1 := r.token(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, User: "ana@clinic.example", Lifetime: 20 * 24 * 3600})
	m := r.enrol(string1)
	id, _ := r.token(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ADMIN, Scopes: []string{"read"}, Lifetime: 60 * 24 * 3600})
	restart := func() {
		t.Helper()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		config, founded := r.config, r.founded
		r = serve(t, config)
		r.founded = founded
	}
	node := func() *admin.Node {
		t.Helper()
		resp, err := r.root.GetNode(t.Context(), connect.NewRequest(&admin.GetNodeRequest{Node: m.id}))
		if err != nil {
			t.Fatal(err)
		}
		return resp.Msg.Node
	}
	until := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	standing := func() string {
		t.Helper()
		resp, err := r.root.ListWarnings(t.Context(), connect.NewRequest(&admin.ListWarningsRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, w := range resp.Msg.Warnings {
			all = append(all, w.Text)
		}
		if n := r.status().Warnings; int(n) != len(all) {
			t.Errorf("status counts %d of %d warnings", n, len(all))
		}
		return strings.Join(all, "\n")
	}
	if got := standing(); got != "" {
		t.Errorf("warned of what is far: %s", got)
	}
	restart()
	until("the machine gets no end", func() bool { return node().Expires != 0 })
	c.forward(31 * 24 * time.Hour)
	restart()
	if got := standing(); !strings.Contains(got, "token "+id) || !strings.Contains(got, "machine "+node().Name+" of ana@clinic.example ends in 28 days") {
		t.Errorf("warned: %s", got)
	}
	for range 2 {
		if got := <-posted; !strings.HasPrefix(got, "token "+id) && !strings.HasPrefix(got, "machine ") {
			t.Errorf("posted %s", got)
		}
	}
	restart()
	standing()
	if len(posted) != 0 {
		t.Errorf("posted again: %s", <-posted)
	}
	c.forward(30 * 24 * time.Hour)
	restart()
	until("the machine stays in after its end", func() bool { return node().Expired })
	if _, err := r.root.RenewNode(t.Context(), connect.NewRequest(&admin.RenewNodeRequest{Node: m.id})); err != nil || node().Expired ||
		node().Expires != c.Now().Add(60*24*time.Hour).Unix() {
		t.Errorf("renewed %v, %v", node(), err)
	}
	if _, err := r.root.RenewNode(t.Context(), connect.NewRequest(&admin.RenewNodeRequest{Node: m.id, Life: -1 << 63})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("renewed for ever: %v", err)
	}
	for flag, w := range map[string]coordinator.Warnings{
		"warn-webhook-secret-file": {Webhook: hook.URL, SecretFile: "/nowhere/secret"},
		"warn-webhook":             {Webhook: "http://198.51.100.1/", SecretFile: secret},
		"warn-syslog":              {Syslog: "http://log.example"},
	} {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		config := r.config
		config.Warnings = w
		wants(t, coordinator.Run(t.Context(), config), flag)
		r = serve(t, r.config)
	}
}
