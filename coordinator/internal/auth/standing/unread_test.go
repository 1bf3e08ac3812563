package standing_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Of whom the answers cannot be taken, again and again, somebody hears, by name; no
// session ends by it, and a provider that is away is another thing.
func TestWhoCannotBeReadIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.Add(one("ana"))
			told := func(want string) {
				t.Helper()
				got := ""
				for _, u := range a.Unread() {
					got += u.Subject + ": " + u.Reason
				}
				if got != want || len(a.done()) > 0 || a.Stats().Watched != 1 {
					t.Errorf("told %q, want %q; done %v", got, want, a.done())
				}
			}
			span := func() { time.Sleep(every*5/4 + 2*time.Second) }
			a.says(registry.Identity{}, errors.New("away"), nil)
			span()
			span()
			told("")
			a.says(registry.Identity{}, fmt.Errorf("%w: not verified", standing.ErrUnreadable), nil)
			span()
			span()
			span()
			told("sub-ana: what the provider says of this person cannot be read: not verified")
			a.says(registry.Identity{}, nil, nil)
			span()
			told("")
			a.says(registry.Identity{Subject: "sub-ana"}, nil, registry.ErrInvalid)
			span()
			span()
			span()
			if got := a.Unread(); len(got) != 1 || len(a.done()) < 2 {
				t.Errorf("what the mesh does not take: %v", got)
			}
			a.locked(func() { a.ended["s-ana"] = true })
			span()
			if got := a.Unread(); len(got) > 0 {
				t.Errorf("who has gone is named: %v", got)
			}
		})
	})
}
