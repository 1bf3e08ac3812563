package coordinator_test

import (
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// A provider tells at a path of its own that it ended a session, where there is one.
func TestProvidersDoor(t *testing.T) {
	r := begin(t, away)
	tell := func(sni string) (int, string) {
		t.Helper()
		resp, err := r.operator(sni).PostForm("https://"+r.address+"/login/backchannel", url.Values{"logout_token": {"x"}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Content-Type")
	}
	if code, kind := tell("mesh.example"); code != 400 || kind != "application/json" {
		t.Errorf("%d, %s", code, kind)
	}
	if code, _ := tell(admin.ServerName); code != 404 {
		t.Errorf("by the name for operators' tools: %d", code)
	}
	r = begin(t, nil)
	if code, _ := tell("mesh.example"); code != 404 {
		t.Errorf("without a provider: %d", code)
	}
}

// A proof is asked about again for the session that it began alone; one that began
// none, for its machine had joined already, is let go.
func TestProofThatBeganNothingIsLetGo(t *testing.T) {
	p, err := oidc.New(oidc.Config{Issuer: "https://id.clinic.example", ClientID: "cordon", RedirectURL: "https://mesh.clinic.example/login/callback"})
	if err != nil {
		t.Fatal(err)
	}
	who := registry.Identity{Login: "ana@clinic.example", Subject: "ana", Standing: "a refresh token's name"}
	operates := registry.Result{Token: &registry.Token{ID: "t-1", Holder: "u-1"}}
	begun := registry.Result{Session: &registry.Session{ID: "s-1", Node: "n"}}
	for name, c := range map[string]struct {
		r    registry.Result
		err  error
		want int
	}{"began a session": {begun, nil, 1}, "operates": {operates, nil, 1}, "does not operate": {operates, registry.ErrForbidden, 0}, "began none": {registry.Result{}, nil, 0}, "was refused": {registry.Result{}, registry.ErrUser, 0}} {
		if n := coordinator.Stand(p, who, c.r, c.err); n != c.want {
			t.Errorf("%s: asked for %d", name, n)
		}
	}
}

// What the provider answers is its clear word, or about nobody, or nothing at all.
func TestAnswersOfTheProvider(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{&oidc.Denied{Code: "invalid_grant"}, standing.ErrRefused}, {&oidc.Denied{Code: "invalid_client"}, nil},
		{oidc.ErrUnproven, standing.ErrUnreadable}, {oidc.ErrUnavailable, nil}, {nil, nil},
	} {
		got := coordinator.Plain(c.err)
		for _, kind := range []error{standing.ErrRefused, standing.ErrUnreadable} {
			if errors.Is(got, kind) != (c.want == kind) {
				t.Errorf("%v is taken for %v", c.err, got)
			}
		}
	}
}

// Those who care for a mesh hear of a person whose claims cannot be read, by name, and
// that the directory left no owner.
func TestWarnedOfPeople(t *testing.T) {
	c := coordinator.Config{StateDir: filepath.Join(t.TempDir(), "state"), Now: time.Now, Log: slog.New(slog.DiscardHandler), SignIn: coordinator.SignIn{Issuer: "https://id.clinic.example"}}
	if _, err := coordinator.Init(t.Context(), coordinator.Setup{StateDir: c.StateDir, URL: "https://127.0.0.1:8443"}); err != nil {
		t.Fatal(err)
	}
	node, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
	who := registry.Identity{Issuer: c.SignIn.Issuer, Subject: "ana", External: "ana", Login: "ana@clinic.example", At: time.Now()}
	commands := []registry.Command{
		registry.CreateToken{ID: "t", Secret: registry.HashSecret("t"), Kind: registry.EnrolToken, User: who.Login},
		registry.Enrol{Secret: registry.HashSecret("t"), Key: node.Public(), Name: "laptop", Statement: wire.SignStatement(&node, tunnel.Public(), path.Public(), 1)},
		registry.BeginSession{ID: "s", Node: wire.NodeID(node.Public()), Who: who, Life: time.Hour},
		registry.GrantRole{User: who.Login, Role: "owner"},
		registry.ProvisionUser{ID: "r-1", New: true, By: registry.Matching{Issuer: who.Issuer}, External: &who.External, UserName: &who.Login, Active: new(bool)},
	}
	all, err := coordinator.Lapses(t.Context(), c, "ana", oidc.ErrUnproven, commands...)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, l := range all {
		told = append(told, l.Kind+" "+l.Name)
	}
	if want := []string{"owner none", "person ana@clinic.example"}; !slices.Equal(told[max(0, len(told)-2):], want) {
		t.Errorf("warned of %q", told)
	}
}

// The provider stands by the last owner no longer. It says so also of whoever went home;
// after a week somebody should look.
func TestWarnedOfAnOwnerByWhomNobodyStands_A04_A18(t *testing.T) {
	for away, want := range map[time.Duration]bool{6 * 24 * time.Hour: false, 7*24*time.Hour + time.Minute: true} {
		var later time.Duration
		now := func() time.Time { return time.Now().Add(later) }
		c := coordinator.Config{StateDir: filepath.Join(t.TempDir(), "state"), Now: now, Log: slog.New(slog.DiscardHandler), SignIn: coordinator.SignIn{Issuer: "https://id.clinic.example"}}
		if _, err := coordinator.Init(t.Context(), coordinator.Setup{StateDir: c.StateDir, URL: "https://127.0.0.1:8443"}); err != nil {
			t.Fatal(err)
		}
		node, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
		who := registry.Identity{Issuer: c.SignIn.Issuer, Subject: "ana", Login: "ana@clinic.example", At: now()}
		if _, err := coordinator.Lapses(t.Context(), c, "ana", oidc.ErrUnproven,
			registry.CreateToken{ID: "t", Secret: registry.HashSecret("t"), Kind: registry.EnrolToken, User: who.Login},
			registry.Enrol{Secret: registry.HashSecret("t"), Key: node.Public(), Name: "laptop", Statement: wire.SignStatement(&node, tunnel.Public(), path.Public(), 1)},
			registry.BeginSession{ID: "s", Node: wire.NodeID(node.Public()), Who: who, Life: time.Hour},
			registry.GrantRole{User: who.Login, Role: "owner"},
			registry.SignOut{Issuer: who.Issuer, Subject: who.Subject}); err != nil {
			t.Fatal(err)
		}
		later = away
		all, err := coordinator.Lapses(t.Context(), c, "ana", oidc.ErrUnproven)
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(all, func(l warn.Lapse) bool { return l.Kind == "owner" && strings.HasPrefix(l.Name, "none by whom") })
		if told != want {
			t.Errorf("after %v, told is %t: %v", away, told, all)
		}
	}
}
