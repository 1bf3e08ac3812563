package coordinator_test

import (
	"net/url"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
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
