package browser

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/integration/idp"
)

// provider is an organisation's sign-in page.
type provider struct {
	t    *testing.T
	base string
	busy atomic.Bool // whoever is led here is sent nothing, once, and stays where they were
}

func (o *provider) answer(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth" && o.busy.CompareAndSwap(true, false) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// flags serve it, for a coordinator at a URL.
func (o *provider) flags(coordinator string) []string {
	o.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.t.Fatal(err)
	}
	o.base = "http://" + l.Addr().String() + "/"
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: o.answer(idp.Serve(o.base, coordinator, "ana@clinic.example"))}}
	s.Start()
	o.t.Cleanup(s.Close)
	secret := filepath.Join(o.t.TempDir(), "client")
	if err := os.WriteFile(secret, []byte(idp.ClientSecret+"\n"), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return []string{"--oidc-issuer", o.base, "--oidc-client-id", idp.ClientID, "--oidc-client-secret-file", secret}
}

// A person is led to their organisation's page and back. The page between them shows
// where it leads, and goes on by itself; where that fails, by its link.
func TestOrganisationsPageInABrowser(t *testing.T) {
	o := &provider{t: t}
	o.busy.Store(true)
	c := found(t, o.flags)
	p := sit(c)
	p.led = o.base
	opened := c.opened()
	p.open(opened.Url, "Sign in at ward-3?")
	if !strings.Contains(p.text(), opened.Code) {
		t.Errorf("the page does not show the code %s:\n%s", opened.Code, p.text())
	}
	p.picture("confirm")
	p.press(`button[value="continue"]`)
	p.sees("On to your organisation’s sign-in page")
	for deadline := time.Now().Add(patience); o.busy.Load(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the page does not go on by itself")
		}
	}
	if at := strings.Trim(strings.TrimPrefix(o.base, "http:"), "/"); !strings.Contains(p.text(), "You are being led to "+at) {
		t.Errorf("the page does not show that it leads to %s:\n%s", at, p.text())
	}
	p.picture("leave")
	p.press("a.button")
	p.finds("#username")
	p.write("#username", "ana")
	p.write("#password", idp.Password)
	p.press(`button[type="submit"]`)
	p.sees("ward-3 is signed in")
	p.picture("done")
	if s := c.session(opened.Login); s.User != "ana@clinic.example" {
		t.Errorf("the session is %v", s)
	}
	p.satisfied(c.url, "status of 404") // the provider has no icon
}

// Whoever was sent a link, for a machine of the mesh or for one that wants in, says no; and
// the machine hears why.
func TestSomebodyElsesSignInIsDeclinedInABrowser_A17(t *testing.T) {
	o := &provider{t: t}
	c := found(t, o.flags)
	p := sit(c)
	opened := c.opened()
	p.open(opened.Url, "Sign in at ward-3?")
	p.press(`button[value="decline"]`)
	p.sees("ward-3 is not signed in")
	p.picture("refused")
	if resp, err := c.machine.AwaitLogin(t.Context(), connect.NewRequest(&wire.AwaitLoginRequest{Login: opened.Login})); err != nil ||
		resp.Msg.State != wire.AwaitLoginResponse_REFUSED || !strings.Contains(resp.Msg.Reason, "declined") {
		t.Errorf("the machine is told %v, %v", resp, err)
	}

	box, statement := c.box()
	join, err := box.BeginJoin(t.Context(), connect.NewRequest(&wire.BeginJoinRequest{Name: "ana-laptop", Level: wire.Level, Os: "linux", Version: "1", Statement: statement}))
	if err != nil {
		t.Fatal(err)
	}
	p.open(join.Msg.Login.Url, "Let ana-laptop join as your computer?")
	if !strings.Contains(p.text(), join.Msg.Login.Code) {
		t.Errorf("the page does not show the code %s:\n%s", join.Msg.Login.Code, p.text())
	}
	p.picture("join")
	p.press(`button[value="decline"]`)
	p.sees("ana-laptop has not joined")
	if resp, err := box.AwaitJoin(t.Context(), connect.NewRequest(&wire.AwaitJoinRequest{Login: join.Msg.Login.Login})); err != nil ||
		resp.Msg.State != wire.AwaitLoginResponse_REFUSED || resp.Msg.Enrolled != nil {
		t.Errorf("the computer is told %v, %v", resp, err)
	}
	p.satisfied(c.url)
}
