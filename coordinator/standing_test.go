package coordinator_test

import (
	"net/url"
	"testing"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
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
