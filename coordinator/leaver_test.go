package coordinator_test

import (
	"fmt"
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
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// receiver is a webhook that those who care for a mesh read.
type receiver struct {
	t      *testing.T
	posted chan string
	coordinator.Warnings
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, posted: make(chan string, 16)}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.posted <- string(body)
	}))
	t.Cleanup(hook.Close)
	r.Warnings = coordinator.Warnings{Webhook: hook.URL, SecretFile: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(r.SecretFile, []byte("a secret of the two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// hears waits for a message with all of these texts; others may come before.
func (r *receiver) hears(texts ...string) {
	r.t.Helper()
	for end := time.After(time.Minute); ; {
		select {
		case got := <-r.posted:
			missed := 0
			for _, text := range texts {
				if !strings.Contains(got, text) {
					missed++
				}
			}
			if missed == 0 {
				return
			}
		case <-end:
			r.t.Fatalf("nobody is told of %q", texts)
		}
	}
}

// The directory shuts out the last owner: who is on call hears of it before the owner's
// colleagues find that nobody can change anything.
func TestLastOwnersEndIsAnAlarm_A04_A18(t *testing.T) {
	t.Parallel()
	at := &clock{now: time.Now()}
	p, hook := newProvider(t, at), newReceiver(t)
	p.proved = at.Now()
	r := begin(t, func(c *coordinator.Config) {
		p.config(c)
		c.SCIM.On, c.Warnings = true, hook.Warnings
	})
	_, secret := r.token(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, User: "ana@clinic.example"})
	if out := r.byCode(r.enrol(secret), false)(); out.State != wire.AwaitLoginResponse_DONE {
		t.Fatal(out)
	}
	if _, err := r.root.GrantRole(t.Context(), connect.NewRequest(&admin.GrantRoleRequest{User: "ana@clinic.example", Role: "owner"})); err != nil {
		t.Fatal(err)
	}
	_, directory := r.token(adminToken("scim"))
	record := `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ana@clinic.example","externalId":"ana","active":false}`
	if got := r.provision("mesh.example", directory, "POST", "/Users", record); got != http.StatusCreated {
		t.Fatalf("the directory is answered %d", got)
	}
	hook.hears("owner none", "cordonctl role grant LOGIN owner")
}

// An admin makes a person to come back by, and is dismissed: the link opens nothing, and
// whoever dismisses them and whoever is on call are told of the person.
func TestWhatADismissedAdminMadeIsTold_A04_A14_A18(t *testing.T) {
	t.Parallel()
	at, hook := &clock{now: time.Now()}, newReceiver(t)
	r := begin(t, func(c *coordinator.Config) {
		ownPeople(at)(c)
		c.Warnings = hook.Warnings
	})
	b := r.browser(at)
	b.setUp(r.addAna().Link)
	if _, err := r.root.GrantRole(t.Context(), connect.NewRequest(&admin.GrantRoleRequest{User: "ana@clinic.example", Role: "owner"})); err != nil {
		t.Fatal(err)
	}
	r.operates(b)
	ana := admin.NewAdminServiceClient(r.operator(admin.ServerName), "https://"+r.address)
	req := connect.NewRequest(&admin.AddUserRequest{Login: "eve@clinic.example", Groups: []string{"Doctors"}})
	req.Header().Set("Authorization", "Bearer "+loginSecret)
	made, err := ana.AddUser(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if status := b.open(made.Msg.Link); status != http.StatusOK {
		t.Fatalf("the link, before: %d", status)
	}
	told, err := r.root.DisableUser(t.Context(), connect.NewRequest(&admin.DisableUserRequest{User: "ana@clinic.example", LastOwner: true}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range told.Msg.Made {
		got = append(got, fmt.Sprint(m.Kind, " ", m.Name, " ", m.Void))
	}
	if want := "link eve@clinic.example true, person eve@clinic.example false"; strings.Join(got, ", ") != want {
		t.Errorf("told %q", got)
	}
	if status := b.open(made.Msg.Link); status != http.StatusNotFound {
		t.Errorf("the link, after: %d\n%s", status, b.page)
	}
	hook.hears("leaver ana@clinic.example", "person eve@clinic.example")
}

// A directory whose token ended is told of: nobody hears from it any more who left.
func TestDirectoryWithoutATokenIsTold_A18(t *testing.T) {
	warned := func(r *running) (all []string) {
		t.Helper()
		resp, err := r.root.ListWarnings(t.Context(), connect.NewRequest(&admin.ListWarningsRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range resp.Msg.Warnings {
			if w.Kind == "directory" {
				all = append(all, w.Text)
			}
		}
		return all
	}
	r := begin(t, provisioned)
	if got := warned(r); len(got) > 0 {
		t.Errorf("before there was one: %q", got)
	}
	r.token(adminToken("read"))
	first, _ := r.token(adminToken("scim"))
	second, _ := r.token(adminToken("scim"))
	for _, id := range []string{first, second} {
		if got := warned(r); len(got) > 0 {
			t.Errorf("while it has one: %q", got)
		}
		if _, err := r.root.RevokeToken(t.Context(), connect.NewRequest(&admin.RevokeTokenRequest{Id: id})); err != nil {
			t.Fatal(err)
		}
	}
	if got := warned(r); len(got) != 1 || !strings.Contains(got[0], "--scope scim") {
		t.Errorf("warned of %q", got)
	}
	if got := warned(r.restarted(func(c *coordinator.Config) { c.SCIM.On = false })); len(got) > 0 {
		t.Errorf("where no directory provisions: %q", got)
	}
}
