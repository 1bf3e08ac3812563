package adminapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// desk plays the desk: whoever begins and types "last" is who it says.
type desk struct {
	who       registry.Identity
	challenge [sha256.Size]byte
	from      netip.Addr
}

func (d *desk) OpenOperator(from netip.Addr, challenge [sha256.Size]byte) (signin.Opened, error) {
	d.from, d.challenge = from, challenge
	return signin.Opened{ID: "one", URL: "https://mesh.example/login/one", Code: "BCDF-GHJK", Until: time.Now().Add(time.Minute)}, nil
}

func (d *desk) Prove(id, code, secret string) (registry.Identity, error) {
	if id != "one" || d.challenge != sha256.Sum256([]byte(secret)) {
		return registry.Identity{}, signin.ErrNotFound
	}
	if code != "last" {
		return registry.Identity{}, signin.ErrCode
	}
	return d.who, nil
}

// withDesk is a door at which somebody with a login signs in to operate.
func withDesk(t *testing.T, login string) (http.Handler, *registry.Registry, *desk) {
	t.Helper()
	_, r := door(t)
	d := &desk{who: registry.Identity{Issuer: "https://id.clinic.example", Subject: login, Login: login, At: time.Now()}}
	return adminapi.New(adminapi.Config{Registry: r, Desk: d, Now: time.Now, Log: slog.New(slog.DiscardHandler)}).TLS(), r, d
}

const secret = "abcdefghijklmnopqrstuvwxyz"

func begin(h http.Handler) (int, map[string]any) {
	sum := sha256.Sum256([]byte(secret))
	return call(h, admin.AdminServiceBeginLoginProcedure, "", strings.NewReader(`{"challenge": "`+base64.StdEncoding.EncodeToString(sum[:])+`"}`))
}

func finish(h http.Handler, code, secret string) (int, map[string]any) {
	return call(h, admin.AdminServiceFinishLoginProcedure, "", strings.NewReader(`{"login": "one", "code": "`+code+`", "secret": "`+secret+`"}`))
}

func TestPersonSignsInToOperate(t *testing.T) {
	h, r, d := withDesk(t, "paul@clinic.example")
	person(t, r, "paul@clinic.example", "policy-admin")
	if code, answer := begin(h); code != http.StatusOK || answer["code"] != "BCDF-GHJK" || !d.from.IsValid() {
		t.Fatalf("begun: %d %v from %v", code, answer, d.from)
	}
	for _, c := range []struct{ code, secret, want string }{{"guess", secret, "invalid_argument"}, {"last", secret + "x", "not_found"}, {"last", "short", "invalid_argument"}} {
		if _, answer := finish(h, c.code, c.secret); answer["code"] != c.want {
			t.Errorf("%+v: %v", c, answer)
		}
	}
	code, answer := finish(h, "last", secret)
	if code != http.StatusOK || !strings.Contains(dump(answer), `"roles":["policy-admin"]`) || !strings.Contains(dump(answer), `"holder":"paul@clinic.example"`) {
		t.Fatalf("finished: %d %v", code, answer)
	}
	if _, me := call(h, admin.AdminServiceWhoAmIProcedure, secret, strings.NewReader("{}")); me["login"] != "paul@clinic.example" || !strings.HasPrefix(me["actor"].(string), "admin:paul@clinic.example/") {
		t.Errorf("who am I: %v", me)
	}
	if code, _ := call(h, admin.AdminServiceSetPolicyProcedure, secret, strings.NewReader(`{"text": "{}"}`)); code != http.StatusOK {
		t.Errorf("the policy is set: %d", code)
	}
	if code, _ := call(h, admin.AdminServiceEndLoginProcedure, secret, strings.NewReader("{}")); code != http.StatusOK {
		t.Errorf("signed out: %d", code)
	}
	if code, _ := call(h, admin.AdminServiceWhoAmIProcedure, secret, strings.NewReader("{}")); code != http.StatusUnauthorized {
		t.Errorf("after signing out: %d", code)
	}
}

// A11, A18: a session ends when its holder is shut out, and by time.
func TestSessionsOfOperatorsEnd_A11_A18(t *testing.T) {
	h, r, _ := withDesk(t, "paul@clinic.example")
	person(t, r, "paul@clinic.example", "policy-admin")
	begin(h)
	if code, answer := finish(h, "last", secret); code != http.StatusOK {
		t.Fatalf("finished: %d %v", code, answer)
	}
	token, _ := r.Snapshot().TokenBySecret(registry.HashSecret(secret))
	if life := token.Expires.Sub(token.Created); life != adminapi.AdminLife {
		t.Errorf("it lives %s", life)
	}
	late := adminapi.New(adminapi.Config{Registry: r, Now: func() time.Time { return time.Now().Add(adminapi.AdminLife) }, Log: slog.New(slog.DiscardHandler)}).TLS()
	if code, _ := call(late, admin.AdminServiceWhoAmIProcedure, secret, strings.NewReader("{}")); code != http.StatusUnauthorized {
		t.Errorf("an hour later: %d", code)
	}
	if _, err := r.Do(context.Background(), registry.Operator("root"), registry.DisableUser{User: "paul@clinic.example"}); err != nil {
		t.Fatal(err)
	}
	if code, _ := call(h, admin.AdminServiceWhoAmIProcedure, secret, strings.NewReader("{}")); code != http.StatusUnauthorized {
		t.Errorf("disabled: %d", code)
	}
	if _, answer := finish(h, "last", secret); answer["code"] == nil {
		t.Errorf("disabled, and signs in again: %v", answer)
	}
}

func TestWhoHasNoRoleDoesNotOperate(t *testing.T) {
	h, r, d := withDesk(t, "ana@clinic.example")
	if err := adminapi.MayOperate(r.Snapshot(), d.who); err == nil || !strings.Contains(err.Error(), "no role") {
		t.Errorf("somebody who never came: %v", err)
	}
	begin(h)
	if _, answer := finish(h, "last", secret); answer["code"] != "permission_denied" {
		t.Errorf("without a role: %v", answer)
	}
	person(t, r, "ana@clinic.example", "help-desk")
	if err := adminapi.MayOperate(r.Snapshot(), d.who); err != nil {
		t.Error(err)
	}
	other := d.who
	other.Subject = "another"
	if err := adminapi.MayOperate(r.Snapshot(), other); err == nil {
		t.Error("another person with her login operates")
	}
	if _, err := r.Do(t.Context(), registry.Operator("root"), registry.DisableUser{User: "ana@clinic.example"}); err != nil {
		t.Fatal(err)
	}
	if err := adminapi.MayOperate(r.Snapshot(), d.who); err == nil || !strings.Contains(err.Error(), "disabled") {
		t.Errorf("disabled: %v", err)
	}
	for _, c := range []registry.Command{
		registry.EnableUser{User: "ana@clinic.example"},
		registry.ProvisionUser{ID: "r-1", New: true, By: registry.Matching{Login: true}, UserName: &d.who.Login, Active: new(bool)},
	} {
		if _, err := r.Do(t.Context(), registry.Operator("root"), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := adminapi.MayOperate(r.Snapshot(), d.who); err == nil || !strings.Contains(err.Error(), "disabled") {
		t.Errorf("disabled by the directory: %v", err)
	}
	none, _ := door(t)
	if _, answer := begin(none); answer["code"] != "failed_precondition" {
		t.Errorf("without a provider: %v", answer)
	}
}

// A06: who has nothing yet sends little.
func TestStrangersBodiesAreSmall_A06(t *testing.T) {
	h, _, _ := withDesk(t, "ana@clinic.example")
	for _, procedure := range []string{admin.AdminServiceBeginLoginProcedure, admin.AdminServiceFinishLoginProcedure} {
		code, answer := call(h, procedure, "", strings.NewReader(`{"login": "`+strings.Repeat("x", 5<<10)+`"}`))
		if code == http.StatusOK || !strings.Contains(dump(answer), "too large") && answer["code"] != "resource_exhausted" {
			t.Errorf("%s: %d %s", procedure, code, dump(answer)[:min(200, len(dump(answer)))])
		}
	}
}

// A18: what came of a proof is told, whatever it was: the provider is asked again for
// whoever operates, and for nobody else.
func TestProvidersAreAskedForWhoOperates_A18(t *testing.T) {
	_, r, d := withDesk(t, "paul@clinic.example")
	d.who.Standing = "a refresh token's name"
	var told []string
	stand := func(who registry.Identity, r registry.Result, err error) {
		told = append(told, fmt.Sprint(who.Standing, " ", err == nil && r.Token.Holder != ""))
	}
	h := adminapi.New(adminapi.Config{Registry: r, Desk: d, Now: time.Now, Stand: stand, Log: slog.New(slog.DiscardHandler)}).TLS()
	begin(h)
	finish(h, "guess", secret)
	finish(h, "last", secret)
	person(t, r, "paul@clinic.example", "policy-admin")
	finish(h, "last", secret)
	if want := []string{"a refresh token's name false", "a refresh token's name true"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
