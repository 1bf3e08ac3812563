package signin_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// What a proof brought besides is taken over by who begins a session, joins or
// operates, and let go at each other end of a sign-in, so that nothing is left over.
func TestNothingOfAProofIsLeftOver(t *testing.T) {
	operated := func(h *hall) (signin.Opened, string) {
		o, b := h.operate(), h.browser()
		return o, h.lastCode(b.back(b.leave(o.ID), "code-ana"))
	}
	for name, end := range map[string]func(h *hall){
		"signed in": func(h *hall) {
			o, b := h.open("n1"), h.browser()
			b.back(b.leave(o.ID), "code-ana")
			if h.sessions() != 1 {
				h.t.Error("nobody signed in")
			}
		},
		"refused": func(h *hall) {
			h.refuse = errors.New("no")
			o, b := h.open("n1"), h.browser()
			b.back(b.leave(o.ID), "code-ana")
		},
		"joined": func(h *hall) {
			m, _ := computer("ward-9", "192.0.2.1")
			o, b := h.openJoin(m), h.browser()
			b.back(b.leave(o.ID), "code-ana")
		},
		"operator without a role": func(h *hall) {
			h.refuse = errors.New("ana has no role")
			o, b := h.operate(), h.browser()
			h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "ana has no role")
		},
		"operator": func(h *hall) {
			o, code := operated(h)
			h.holds(1, 1)
			who, err := h.desk.Prove(o.ID, code, mine)
			if h.holds(1, 1); err != nil {
				h.t.Error(err)
			}
			h.take(who.Standing) // is the caller's
			if _, err := h.desk.Prove(o.ID, code, mine); !errors.Is(err, signin.ErrNotFound) {
				h.t.Error(err)
			}
			time.Sleep(signin.Life * 2)
		},
		"operator whose code is guessed": func(h *hall) {
			o, _ := operated(h)
			for range 4 {
				h.desk.Prove(o.ID, "", mine)
			}
			h.holds(1, 1)
			h.desk.Prove(o.ID, "", mine)
		},
		"operator whose program went away": func(h *hall) {
			operated(h)
			time.Sleep(signin.Life - time.Minute)
			h.holds(1, 1)
			time.Sleep(5 * time.Minute) // in which nobody comes
		},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, h *hall) {
				defer h.running()()
				end(h)
				h.holds(1, 0)
			})
		})
	}
}

// A device grant whose sign-in has lost its place, or its time, leaves nothing either.
func TestNothingOfALateGrantIsLeftOver(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.provider.agree, h.provider.deaf = make(chan error), true
		defer h.running()()
		for _, node := range []string{"n1", "n2"} {
			if _, err := h.desk.Open(t.Context(), node, ward(), device()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		h.flood("n1", ward(), 16)
		time.Sleep(11 * time.Minute)
		h.provider.agree <- nil
		h.provider.agree <- nil
		synctest.Wait()
		h.holds(2, 0)
	})
}
