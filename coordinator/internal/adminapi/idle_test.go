package adminapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

const paul = "paul@clinic.example"

// idling runs a test in virtual time, with an API that ends admin sessions that rest, and
// on which a look at the warnings takes twenty minutes. Paul has a session of an hour.
func idling(t *testing.T, limit time.Duration, test func(t *testing.T, api *adminapi.API, r *registry.Registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		_, r := door(t, registry.CreateToken{ID: "program", Kind: registry.AdminToken, Scopes: []string{"read"}, Lifetime: 24 * time.Hour})
		person(t, r, paul, "policy-admin")
		test(t, idleAPI(r, limit), r)
	})
}

func idleAPI(r *registry.Registry, limit time.Duration) *adminapi.API {
	slow := func(context.Context) []warn.Lapse { time.Sleep(20 * time.Minute); return nil }
	return adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler), AdminIdle: limit, Lapses: slow})
}

// asks calls in somebody's name.
func asks(api *adminapi.API, procedure, secret string) (int, string) {
	code, answer := call(api.TLS(), procedure, secret, strings.NewReader("{}"))
	return code, dump(answer)
}

// A11: an admin session ends when nobody called for a while, for good, and says so; each
// call puts that off, a program's token rests as long as it likes, and so does everybody
// where that is switched off.
func TestIdleAdminSessionEnds_A11(t *testing.T) {
	idling(t, adminapi.AdminIdle, func(t *testing.T, api *adminapi.API, r *registry.Registry) {
		for range 3 {
			time.Sleep(adminapi.AdminIdle - time.Second)
			api.EndIdle(t.Context())
			if code, answer := asks(api, admin.AdminServiceWhoAmIProcedure, paul); code != http.StatusOK {
				t.Fatalf("a second before: %d %s", code, answer)
			}
		}
		time.Sleep(adminapi.AdminIdle)
		if code, answer := asks(api, admin.AdminServiceWhoAmIProcedure, paul); code != http.StatusUnauthorized || !strings.Contains(answer, "nobody called for 10m0s") {
			t.Errorf("after a rest: %d %s", code, answer)
		}
		if code, _ := asks(api, admin.AdminServiceBeginLoginProcedure, paul); code == http.StatusUnauthorized {
			t.Error("who comes with a session that rested cannot sign in anew")
		}
		api.EndIdle(t.Context())
		if token, _ := r.Snapshot().TokenBySecret(registry.HashSecret(paul)); !token.Revoked {
			t.Error("it is not ended in the journal, for a restart to know of")
		}
		if code, _ := asks(api, admin.AdminServiceWhoAmIProcedure, "program"); code != http.StatusOK {
			t.Errorf("a program that rests: %d", code)
		}
	})
	idling(t, 0, func(t *testing.T, api *adminapi.API, _ *registry.Registry) {
		time.Sleep(time.Hour - time.Second)
		api.EndIdle(t.Context())
		if code, _ := asks(api, admin.AdminServiceWhoAmIProcedure, paul); code != http.StatusOK {
			t.Errorf("where that is switched off: %d", code)
		}
	})
}

// Who waits for an answer does not rest; and after a restart a session has its span again,
// for nobody knows when it last called.
func TestSessionAtWorkIsNotIdle(t *testing.T) {
	idling(t, adminapi.AdminIdle, func(t *testing.T, api *adminapi.API, r *registry.Registry) {
		var long sync.WaitGroup
		long.Go(func() { asks(api, admin.AdminServiceListWarningsProcedure, paul) })
		time.Sleep(18 * time.Minute)
		api.EndIdle(t.Context())
		long.Wait()
		time.Sleep(adminapi.AdminIdle - time.Second)
		api.EndIdle(t.Context())
		if code, answer := asks(api, admin.AdminServiceWhoAmIProcedure, paul); code != http.StatusOK {
			t.Errorf("less than the limit after a long call: %d %s", code, answer)
		}
		time.Sleep(adminapi.AdminIdle * 2 / 3)
		next := idleAPI(r, adminapi.AdminIdle)
		time.Sleep(adminapi.AdminIdle * 2 / 3)
		next.EndIdle(t.Context())
		if code, answer := asks(next, admin.AdminServiceWhoAmIProcedure, paul); code != http.StatusOK {
			t.Errorf("after a restart: %d %s", code, answer)
		}
	})
}
