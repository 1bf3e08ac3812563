package control_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

// Who signed out here is told until the coordinator has taken it, or knows of no such
// session, and then no more; what it does not take keeps nothing else waiting.
func TestSignedOutIsToldUntilItIsTaken(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		var mu sync.Mutex
		due, asked, refusing := []string{"s1", "s2", "s3"}, map[string]int{}, 3
		r.signedOut = func() (all []control.SignedOut) {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range due {
				all = append(all, control.SignedOut{Session: s, Told: func() {
					mu.Lock()
					defer mu.Unlock()
					due = slices.DeleteFunc(due, func(d string) bool { return d == s })
				}})
			}
			return all
		}
		r.c.SignIn(controltest.SignIns{Logout: func(_ key.NodePublic, session string) (uint32, error) {
			mu.Lock()
			defer mu.Unlock()
			asked[session]++
			switch {
			case session == "s2":
				return 0, connect.NewError(connect.CodeNotFound, errors.New("no session s2"))
			case session == "s1" && asked["s1"] <= refusing:
				return 0, connect.NewError(connect.CodeUnavailable, errors.New("starting"))
			}
			return 1, nil
		}})
		r.begin()
		s := r.c.Next()
		r.send(s, r.full(r.at(wire.Position{Incarnation: 1, Revision: 1})))
		for range 6 {
			time.Sleep(20 * time.Second)
			r.send(s, controltest.Heartbeat())
		}
		mu.Lock()
		due = append(due, "s4")
		mu.Unlock()
		r.follower.SignedOutChanged()
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if asked["s4"] != 1 {
			t.Error("who signs out while the stream stands is not told at once")
		}
		if len(due) > 0 || asked["s1"] != refusing+1 || asked["s2"] != 1 || asked["s3"] != 1 {
			t.Errorf("asked %v, and %q are not told", asked, due)
		}
		if len(r.c.Reports()) == 0 {
			t.Error("nothing else was reported")
		}
	})
}

// That the coordinator could not be asked is another thing than that it refused.
func TestLogoutTellsAwayFromRefused(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		for code, away := range map[connect.Code]bool{
			connect.CodeUnavailable: true, connect.CodeInternal: true, connect.CodePermissionDenied: false, connect.CodeNotFound: false,
		} {
			r.c.SignIn(controltest.SignIns{Logout: func(key.NodePublic, string) (uint32, error) { return 0, connect.NewError(code, errors.New("why")) }})
			if _, err := r.follower.Logout(t.Context(), "s1"); err == nil || errors.Is(err, control.ErrAway) != away {
				t.Errorf("%v: %v", code, err)
			}
		}
		r.c.Cut(true)
		if _, err := r.follower.Logout(t.Context(), "s1"); !errors.Is(err, control.ErrAway) {
			t.Errorf("cut off: %v", err)
		}
	})
}
