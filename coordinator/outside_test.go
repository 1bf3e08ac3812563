package coordinator_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// proves leads a sign-in's page to its end, by password and the code of now.
func (b *browser) proves(address string) {
	b.r.t.Helper()
	b.at.forward(time.Minute)
	b.open(address)
	b.send(address, url.Values{"step": {"password"}})
	b.send(address, url.Values{"step": {"proof"}, "login": {"ana@clinic.example"}, "password": {phrase}, "code": {b.code()}})
}

// A clinic without a provider is operated in its people's own names, and its people's
// machines join by their sign-in; where nobody wants that, they do not.
func TestLocalPeopleOperateAndJoin_A17_A22(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	b := r.browser(at)
	b.setUp(r.addAna().Link)
	if b.proves(r.beginsLogin().Url); !strings.Contains(b.page, "no role by which to operate") {
		t.Errorf("without a role:\n%s", b.page)
	}
	if _, err := r.root.GrantRole(t.Context(), connect.NewRequest(&admin.GrantRoleRequest{User: "ana@clinic.example", Role: "device-admin"})); err != nil {
		t.Fatal(err)
	}
	if done := r.operates(b); !slices.Equal(done.Roles, []string{"device-admin"}) || done.Token.Holder != "ana@clinic.example" {
		t.Fatalf("operates: %v", done)
	}
	box := r.machine()
	r.joins(b, box)
	nodes, err := r.root.ListNodes(t.Context(), connect.NewRequest(new(admin.ListNodesRequest)))
	if err != nil || len(nodes.Msg.Nodes) != 1 || nodes.Msg.Nodes[0].User != "ana@clinic.example" || nodes.Msg.Nodes[0].Approved || nodes.Msg.Nodes[0].Expires == 0 {
		t.Errorf("joined: %v, %v", nodes, err)
	}
	r = r.restarted(func(c *coordinator.Config) { c.SignIn.Join = coordinator.JoinOff })
	if err := second(r.machine().BeginJoin(t.Context(), connect.NewRequest(statementOf(r.machine())))); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("where no machine joins so: %v", err)
	}
}

// loginSecret is that of an admin session.
const loginSecret = "abcdefghijklmnopqrstuvwxyz"

func (r *running) beginsLogin() *admin.BeginLoginResponse {
	r.t.Helper()
	api, sum := admin.NewAdminServiceClient(r.operator(admin.ServerName), "https://"+r.address), sha256.Sum256([]byte(loginSecret))
	opened, err := api.BeginLogin(r.t.Context(), connect.NewRequest(&admin.BeginLoginRequest{Challenge: sum[:]}))
	if err != nil {
		r.t.Fatal(err)
	}
	return opened.Msg
}

// operates signs a person in to operate, by loginSecret.
func (r *running) operates(b *browser) *admin.FinishLoginResponse {
	r.t.Helper()
	opened := r.beginsLogin()
	b.proves(opened.Url)
	return r.finishesLogin(opened, b.page)
}

// finishesLogin takes the last code off a page.
func (r *running) finishesLogin(opened *admin.BeginLoginResponse, page string) *admin.FinishLoginResponse {
	r.t.Helper()
	m := regexp.MustCompile(`Last code</dt><dd class="code">([B-Z]{4}-[B-Z]{4})<`).FindStringSubmatch(page)
	if m == nil {
		r.t.Fatalf("no last code:\n%s", page)
	}
	api := admin.NewAdminServiceClient(r.operator(admin.ServerName), "https://"+r.address)
	done, err := api.FinishLogin(r.t.Context(), connect.NewRequest(&admin.FinishLoginRequest{Login: opened.Login, Code: m[1], Secret: loginSecret}))
	if err != nil {
		r.t.Fatal(err)
	}
	return done.Msg
}

// Whoever operates is known in their browser also after a restart, in which strangers have
// come to crowd the pages: nobody else could do anything about these.
func TestKnownBrowserOutlivesARestart_A10(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	b := r.browser(at)
	b.setUp(r.addAna().Link)
	if _, err := r.root.GrantRole(t.Context(), connect.NewRequest(&admin.GrantRoleRequest{User: "ana@clinic.example", Role: "owner"})); err != nil {
		t.Fatal(err)
	}
	r.operates(b)
	jar := b.http.Jar
	file := filepath.Join(r.config.StateDir, "marks.key")
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	r = r.restarted(nil)
	b = b.moved(r)
	for n := 0; r.browser(at).open(r.beginsLogin().Url) == http.StatusOK; n++ {
		if n > 1000 {
			t.Fatal("strangers have all the room that there is")
		}
	}
	if b.open(r.beginsLogin().Url) == http.StatusOK {
		t.Error("without a mark they have room")
	}
	if b.http.Jar = jar; b.open(r.beginsLogin().Url) != http.StatusOK {
		t.Errorf("who operates is a stranger:\n%s", b.page)
	}
	if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.restarted(nil)
	if key, err := os.ReadFile(file); err != nil || len(key) != sha256.Size {
		t.Errorf("a damaged key: %d bytes, %v", len(key), err)
	}
}

func statementOf(m *machine) *wire.BeginJoinRequest {
	tunnel, path := key.NewTunnel(), key.NewPath()
	return &wire.BeginJoinRequest{Name: "laptop", Level: wire.Level, Os: "linux", Version: "1", Statement: wire.SignStatement(&m.key, tunnel.Public(), path.Public(), 1)}
}

// joins has a machine join by its person's sign-in, which must work out.
func (r *running) joins(b *browser, box *machine) {
	r.t.Helper()
	opened, err := box.BeginJoin(r.t.Context(), connect.NewRequest(statementOf(box)))
	if err != nil {
		r.t.Fatal(err)
	}
	if b.proves(opened.Msg.Login.Url); !strings.Contains(b.page, "has joined") {
		r.t.Errorf("no machine joined:\n%s", b.page)
	}
	got, err := box.AwaitJoin(r.t.Context(), connect.NewRequest(&wire.AwaitJoinRequest{Login: opened.Msg.Login.Login}))
	if err != nil || got.Msg.State != wire.AwaitLoginResponse_DONE || got.Msg.Enrolled == nil {
		r.t.Errorf("the machine is told %v, %v", got, err)
	}
	root, err := r.operator("portal.example").Get("https://" + r.address + wire.RootPath)
	if err != nil || root.StatusCode != http.StatusOK {
		r.t.Errorf("the mesh's fingerprint: %v, %v", root, err)
	} else {
		root.Body.Close()
	}
}
