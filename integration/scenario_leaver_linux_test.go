package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// directory is one that provisions people, on the coordinator's machine.
type directory struct {
	t      *testing.T
	client *http.Client
	url    string
	secret string
}

func (s *scene) directory() *directory {
	s.t.Helper()
	var made struct{ Text string }
	if err := json.Unmarshal([]byte(s.coordinator.Ctl("--json", "token", "create", "--admin", "--scope", "scim")), &made); err != nil {
		s.t.Fatal(err)
	}
	hub := s.Host("hub")
	return &directory{s.t, newBrowser(s.t, hub).Client(), "https://" + netip.AddrPortFrom(hub.Addr4(), 8443).String() + "/scim/v2", made.Text}
}

// offline are the flags of a coordinator that asks every second whether the provider
// stands by those who are signed in.
func offline() []string {
	return []string{"--oidc-check", "1s", "--oidc-scope", "profile", "--oidc-scope", "email", "--oidc-scope", "offline_access"}
}

// send sends a request, and gives the id of what is answered.
func (d *directory) send(method, path, body string) string {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.secret)
	r.Header.Set("Content-Type", "application/scim+json")
	resp, err := d.client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return ""
	}
	var m struct{ ID, Detail string }
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || resp.StatusCode >= 300 {
		d.t.Fatalf("%s %s: %s %s, %v", method, path, resp.Status, m.Detail, err)
	}
	return m.ID
}

func (d *directory) patch(path, op string) {
	d.t.Helper()
	d.send("PATCH", path, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`+op+`]}`)
}

// leaving is a provider that no longer stands by anybody once they left.
type leaving struct{ left atomic.Bool }

func (l *leaving) before(provider http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if l.left.Load() && strings.Contains(string(body), "grant_type=refresh_token") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":"invalid_grant"}`)
			return
		}
		provider.ServeHTTP(w, r)
	})
}

// What runs of a person ends within 5 s after the directory disabled them, or took
// them out of the group by which they may it, or the provider no longer stands by them.
func TestLeaversFlowsEnd_A18(t *testing.T) {
	t.Parallel()
	var provider leaving
	s := raiseDeskWith(t, nurses, append(offline(), "--scim"), provider.before)
	if s == nil {
		return
	}
	ehr := s.at("ehr", 443)[0].Addr()
	open := func() *streams {
		t.Helper()
		if _, told := s.login("ward", "nina"); told.State != local.LoginDone {
			t.Fatalf("signed in: %+v", told)
		}
		s.answered("ward", ehr)
		return startStreams(t, s.Host("ward"), s.Host("ehr"), ehr)
	}
	f := open()
	d := s.directory()
	nina := d.send("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"nina@hospital.example","externalId":"sub-nina","active":true}`)
	group := "/Groups/" + d.send("POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Nurses","members":[{"value":"`+nina+`"}]}`)
	lab.Eventually(t, patience, "the provider is asked for nina", func() (bool, string) {
		r, err := s.admin.Status(t.Context(), connect.NewRequest(&admin.StatusRequest{}))
		return err == nil && r.Msg.ProviderWatched == 1 && r.Msg.ProviderProblem == "", fmt.Sprint(r, err)
	})
	s.answered("ward", ehr) // she is a nurse by the directory's word

	d.patch(group, `{"op":"Remove","path":"members","value":[{"value":"`+nina+`"}]}`)
	f.ended(t, time.Now())
	f.stop()
	d.patch(group, `{"op":"Add","path":"members","value":[{"value":"`+nina+`"}]}`)

	f = open()
	d.patch("/Users/"+nina, `{"op":"Replace","path":"active","value":"False"}`)
	f.ended(t, time.Now())
	f.stop()
	if page, told := s.login("ward", "nina"); told.State != local.LoginRefused || !strings.Contains(page, "the directory disabled") {
		t.Errorf("who is disabled: %+v\n%s", told, page)
	}
	d.patch("/Users/"+nina, `{"op":"Replace","path":"active","value":"True"}`)

	f = open()
	provider.left.Store(true)
	f.ended(t, time.Now().Add(4*time.Second))
	f.stop()

	// She operates, and sits nowhere: the provider is asked for her all the same.
	ctl := s.operator(t.Context(), t, newBrowser(t, s.Host("hub")), "nina")
	lab.Eventually(t, patience, "who the provider no longer stands by operates no more", func() (bool, string) {
		out, err := ctl("whoami")
		return err != nil && strings.Contains(err.Error()+out, "no valid admin token"), out
	})
}
