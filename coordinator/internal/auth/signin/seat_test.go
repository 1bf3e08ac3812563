package signin_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// At a machine of several people the page says whose account will be its reader's, and
// the session is that account's: by the pages and by a device grant.
func TestSeatIsShownAndCarried(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, err := h.desk.Open(t.Context(), "n2", ward(), signin.Request{Seat: "1007"})
		if err != nil {
			t.Fatal(err)
		}
		h.hide(o.ID)
		b := h.browser()
		h.says(b.get("/login/"+o.ID), http.StatusOK, "<dt>Account there</dt><dd>number 1007, and no other</dd>")
		h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "Account number 1007 at <strong>kiosk</strong> is signed in as <strong>ana@clinic.example</strong>")
		if got := h.outcome("n2", o.ID); got.Session.Seat != "1007" {
			t.Errorf("the node is told %+v", got)
		}
		h.provider.agree = make(chan error, 1)
		stop := h.running()
		defer stop()
		grant, err := h.desk.Open(t.Context(), "n2", ward(), signin.Request{Seat: "1008", DeviceCode: true})
		if err != nil {
			t.Fatal(err)
		}
		h.provider.agree <- nil
		time.Sleep(time.Second)
		if got := h.outcome("n2", grant.ID); got.Session.Seat != "1008" {
			t.Errorf("by a device grant the node is told %+v", got)
		}
		if want := []string{"n2 ana 1007", "n2 ana 1008"}; !slices.Equal(h.begun, want) {
			t.Errorf("sessions begun: %q, want %q", h.begun, want)
		}
		whole := h.open("n2")
		if page := h.browser().get("/login/" + whole.ID); strings.Contains(page.body, "Account there") {
			t.Errorf("a sign-in at the whole machine names an account:\n%s", main(page.body))
		}
	})
}
