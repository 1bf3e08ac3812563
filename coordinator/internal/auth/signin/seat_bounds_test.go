package signin_test

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// seated opens sign-ins of accounts of the shared machine, each so many times, and gives
// those that opened.
func (h *hall) seated(first, accounts, times int, asked signin.Request) (all []signin.Opened) {
	for i := range accounts {
		asked.Seat = fmt.Sprint(first + i)
		for range times {
			if o, err := h.desk.Open(h.t.Context(), "n2", ward(), asked); err == nil {
				all = append(all, o)
			} else if !errors.Is(err, signin.ErrBusy) {
				h.t.Fatal(err)
			}
		}
	}
	return all
}

// One account of a machine leaves the others there their sign-ins: neither the places
// that it holds are theirs, nor its pace, nor what it is refused.
func TestAccountLeavesOthersTheirSignins_A06_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		mine := h.seated(1000, 1, 1, signin.Request{})
		for _, o := range h.seated(1007, 1, 16, signin.Request{}) {
			h.browser().get("/login/" + o.ID)
		}
		if n := len(h.seated(1007, 1, 500, signin.Request{})); n != 0 {
			t.Errorf("%d more of who is at 16 pages", n)
		}
		if n := len(h.seated(1000, 1, 15, signin.Request{})); n != 15 || h.alive("n2", mine) != 1 {
			t.Errorf("beside them another account opened %d, and of its first has %d", n, h.alive("n2", mine))
		}
	})
	within(t, func(t *testing.T, h *hall) {
		defer h.running()()
		h.provider.agree = make(chan error)
		asked := signin.Request{DeviceCode: true}
		if n, others := len(h.seated(1007, 1, 16, asked)), len(h.seated(1000, 1, 1, asked)); n != 8 || others != 1 {
			t.Errorf("one account has %d device grants, and another %d", n, others)
		}
		if n := len(h.seated(2000, 10, 8, asked)); n != 64-9 {
			t.Errorf("many accounts have %d more", n)
		}
		if n := len(h.seated(3000, 1, 1, signin.Request{})); n != 1 {
			t.Error("device grants leave no page")
		}
	})
}

// However many accounts a machine says that it has, it is one machine.
func TestAccountsOfAMachineAreBounded_A06_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		all := h.seated(2000, 300, 1, signin.Request{})
		if len(all) != 128 || h.alive("n2", all) != 128 {
			t.Errorf("300 accounts opened %d sign-ins at once, of which %d are left", len(all), h.alive("n2", all))
		}
		h.open("n1")
		time.Sleep(time.Minute)
		if n := len(h.seated(4000, 300, 1, signin.Request{})); n < 40 || n > 80 {
			t.Errorf("they opened %d within the next minute", n)
		}
	})
}

// A person is known at the seat at which they proved themselves, not at another's.
func TestProofIsOfItsSeat_A22(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, people *book) {
		b := h.browser()
		secret := b.setUp()
		o := h.seated(1007, 1, 1, signin.Request{})[0]
		b.prove(o.ID, url.Values{"step": {"password"}})
		b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {codeOf(t, secret)}})
		l, _ := people.Snapshot().Local(registry.LocalID("s"))
		since := time.Now().Add(-time.Hour)
		if !l.ProvedAt("n2", "1007", since) || l.ProvedAt("n2", "1000", since) || l.ProvedAt("n2", "", since) {
			t.Errorf("known at %+v", l.Places)
		}
	})
}
