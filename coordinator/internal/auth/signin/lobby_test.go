package signin_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// crowd runs a test in virtual time, with a hall in which there is much to do.
func crowd(t *testing.T, test func(t *testing.T, h *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		h.unjudged = true
		h.joiner, _ = computer("x", ward().String())
		test(t, h)
	})
}

// outside begins a sign-in at an address, of an operator or of a machine that would join.
func (h *hall) outside(from netip.Addr, joins bool) signin.Opened {
	h.t.Helper()
	if joins {
		h.joiner.From = from
		return h.openJoin(h.joiner)
	}
	o, err := h.desk.OpenOperator(from, sha256.Sum256([]byte(mine)))
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}

// visit begins a sign-in at an address and opens its page in a browser; it tells
// whether there was a place.
func (b *browser) visit(from netip.Addr, joins bool) (o signin.Opened, placed bool) {
	b.h.t.Helper()
	o = b.h.outside(from, joins)
	return o, b.get("/login/"+o.ID).Code == http.StatusOK
}

// familiar gives a browser in which ana has signed in at a machine of the mesh.
func (h *hall) familiar() *browser {
	h.t.Helper()
	b := h.browser()
	h.says(b.back(b.leave(h.open("n1").ID), "code-ana"), http.StatusOK, "is signed in as")
	return b
}

// Whoever sits in a clinic's waiting room and begins without end, opens every page and
// goes on from it, keeps nobody who has signed in there before from operating, and from
// letting a machine join, at any time; and a newcomer of elsewhere neither.
func TestNeighbourLeavesKnownBrowsersTheirPlaces_A10(t *testing.T) {
	for _, joins := range []bool{false, true} {
		crowd(t, func(t *testing.T, h *hall) {
			known, stranger, refused := h.familiar(), h.browser(), 0
			for minute := range 6 {
				for range []int{42, 14}[min(minute, 1)] { // more than the pace of an address
					if o, placed := stranger.visit(ward(), joins); !placed {
						refused++
					} else if minute > 3 {
						stranger.leave(o.ID)
					}
				}
				if end := known.back(known.leave(h.outside(ward(), joins).ID), "code-ana"); end.Code != http.StatusOK {
					t.Fatalf("in minute %d the known browser is answered %d", minute, end.Code)
				}
				time.Sleep(time.Minute)
			}
			if refused == 0 {
				t.Error("one address has places without end")
			}
			if _, placed := h.browser().visit(netip.MustParseAddr("192.0.2.200"), joins); !placed {
				t.Error("a newcomer of elsewhere finds no place")
			}
		})
	}
}

// Without a browser that is known a newcomer behind the address of somebody who opened as
// many pages as there may be waits for the pace, and not for ten minutes.
func TestNewcomerBehindAStrangersAddress_A10(t *testing.T) {
	for _, joins := range []bool{false, true} {
		crowd(t, func(t *testing.T, h *hall) {
			opened := 0
			for placed := true; placed && opened < 100; opened++ {
				_, placed = h.browser().visit(ward(), joins)
			}
			if opened > 50 {
				t.Errorf("one address has %d pages at once", opened)
			}
			b := h.browser()
			o := h.outside(ward(), joins)
			h.says(b.get("/login/"+o.ID), http.StatusTooManyRequests, "Too many people are signing in")
			time.Sleep(5 * time.Second)
			h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "")
		})
	}
}

// invade takes all places of strangers by many addresses, equally many each, some of
// whom go on.
func (h *hall) invade(first byte, addresses, each int, goOn bool) {
	h.t.Helper()
	for i := range addresses {
		for range each {
			b := h.browser()
			o := h.outside(netip.AddrFrom4([4]byte{203, 0, first, byte(i)}), false)
			if goOn {
				b.leave(o.ID)
			} else if a := b.get("/login/" + o.ID); a.Code != http.StatusOK {
				h.t.Fatalf("a stranger is answered %d", a.Code)
			}
		}
	}
}

// When many addresses have taken all places, who comes from another gets one of an
// address that has more, before long; whoever is about to prove themselves keeps theirs
// longer than who only looks at the page, and a known browser waits for nothing.
func TestPlacesOfStrangers_A10(t *testing.T) {
	crowd(t, func(t *testing.T, h *hall) {
		h.desk.Narrow(2048, 65)
		known, typist, idle := h.familiar(), h.browser(), h.browser()
		begun := h.outside(netip.MustParseAddr("192.0.2.1"), false)
		state := typist.leave(begun.ID)
		alone, _ := idle.visit(netip.MustParseAddr("192.0.2.3"), false)
		h.invade(1, 9, 7, false)
		newcomer, o := h.browser(), h.outside(netip.MustParseAddr("192.0.2.2"), false)
		h.says(newcomer.get("/login/"+o.ID), http.StatusTooManyRequests, "In a browser in which you have signed in here before")
		known.leave(h.operate().ID)
		time.Sleep(20 * time.Second)
		h.says(newcomer.get("/login/"+o.ID), http.StatusOK, "Continue only if")
		time.Sleep(2 * time.Minute)
		end := typist.back(state, "code-ana")
		h.invade(2, 6, 7, true)
		h.says(idle.get("/login/"+alone.ID), http.StatusOK, "Continue only if")
		if who, err := h.desk.Prove(begun.ID, h.lastCode(end), mine); err != nil || who.Login == "" {
			t.Errorf("a flood took a proof that was waited for: %v", err)
		}
	})
	crowd(t, func(t *testing.T, h *hall) { // going to and fro holds no place
		h.desk.Narrow(2048, 1)
		b, o := h.browser(), h.outside(netip.MustParseAddr("192.0.2.1"), false)
		for range 4 {
			b.leave(o.ID)
			time.Sleep(61 * time.Second)
		}
		if _, placed := h.browser().visit(ward(), false); !placed {
			t.Error("a place is held by going on again and again")
		}
	})
	crowd(t, func(t *testing.T, h *hall) { // all at the provider: for a minute against who has fewer, for four against others
		h.desk.Narrow(2048, 64)
		h.invade(1, 8, 8, true)
		newcomer, o := h.browser(), h.outside(netip.MustParseAddr("192.0.2.2"), false)
		time.Sleep(59 * time.Second)
		h.says(newcomer.get("/login/"+o.ID), http.StatusTooManyRequests, "")
		time.Sleep(2 * time.Second)
		h.says(newcomer.get("/login/"+o.ID), http.StatusOK, "")
		equal := netip.MustParseAddr("203.0.1.7")
		if _, placed := h.browser().visit(equal, false); placed {
			t.Error("who has as many takes a place within a minute")
		}
		time.Sleep(3 * time.Minute)
		if _, placed := h.browser().visit(equal, false); !placed {
			t.Error("a place is held for longer than four minutes")
		}
	})
}

// Those who wait for a browser are many, and bounded; a flood of one address is of those
// there, and throws nobody else out.
func TestWaitingRoom_A10(t *testing.T) {
	for _, joins := range []bool{false, true} {
		crowd(t, func(t *testing.T, h *hall) {
			h.desk.Narrow(200, 64)
			first := h.outside(netip.MustParseAddr("192.0.2.1"), joins)
			for range 80 {
				h.outside(ward(), joins)
			}
			one := h.desk.Kept()
			for i := range 400 {
				time.Sleep(time.Millisecond)
				h.outside(netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::1", i/4)), joins)
			}
			if kept := h.desk.Kept(); one > 3*51+4 || kept > 4*200 {
				t.Errorf("%d and %d things are kept", one, kept)
			}
			if a := h.browser().get("/login/" + first.ID); a.Code != http.StatusOK {
				t.Errorf("who waited first is answered %d", a.Code)
			}
			time.Sleep(signin.Life + 2*time.Minute)
			h.desk.Await(t.Context(), "n1", first.ID)
			if kept := h.desk.Kept(); kept != 0 {
				t.Errorf("%d things are kept of what is over", kept)
			}
		})
	}
}
