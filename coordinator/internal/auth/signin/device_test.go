package signin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// running starts the desk; the function that it gives stops it and waits.
func (h *hall) running() (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.desk.Run(ctx) }()
	return func() {
		cancel()
		start := time.Now()
		if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
			h.t.Errorf("the desk ends after %s with %v", time.Since(start), err)
		}
		if h.provider.count(0) != 0 {
			h.t.Errorf("%d wait at the provider yet", h.provider.count(0))
		}
	}
}

func device() signin.Request { return signin.Request{DeviceCode: true} }

func TestDeviceGrant(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.provider.agree = make(chan error)
		stop := h.running()
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		o, err := h.desk.Open(ctx, "n1", ward(), device())
		cancel() // the call that opened it is over; the grant goes on
		if err != nil || o.URL != "https://idp.example/device" || o.Code != "WDJB-MJHT" || !o.Until.Equal(time.Now().Add(signin.Life)) {
			t.Fatalf("%+v %v", o, err)
		}
		h.says(h.browser().get("/login/"+o.ID), http.StatusNotFound, "has ended") // it has no page
		told := make(chan signin.Outcome, 1)
		go func() { told <- h.outcome("n1", o.ID) }()
		time.Sleep(10 * time.Second)
		h.provider.agree <- nil
		if got := <-told; got.State != signin.Done || got.Session.User != "ana@clinic.example" {
			t.Errorf("the node is told %+v", got)
		}
	})
}

// Who shall prove afresh who they are does so after the sign-in began, or has proved
// nothing; else any proof counts that the provider gives.
func TestDeviceGrantAfresh_A22(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		defer h.running()()
		for _, afresh := range []bool{false, true} {
			if _, err := h.desk.Open(t.Context(), "n1", ward(), signin.Request{DeviceCode: true, Afresh: afresh}); err != nil {
				t.Fatal(err)
			}
		}
		if s := h.provider.since; len(s) != 2 || !s[0].IsZero() || !s[1].Equal(time.Now()) {
			t.Errorf("proofs are asked for since %v", s)
		}
	})
}

func TestDeviceGrantIsRefused(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.provider.agree = make(chan error, 1)
		stop := h.running()
		defer stop()
		o, err := h.desk.Open(t.Context(), "n1", ward(), device())
		if err != nil {
			t.Fatal(err)
		}
		h.provider.agree <- errors.New("declined\x1b[2J")
		if got := h.outcome("n1", o.ID); got.State != signin.Refused || got.Reason != "declined [2J" {
			t.Errorf("the node is told %+v", got)
		}
		h.refuse = errors.New("ana is disabled")
		if o, err = h.desk.Open(t.Context(), "n1", ward(), device()); err != nil {
			t.Fatal(err)
		}
		h.provider.agree <- nil
		if got := h.outcome("n1", o.ID); got.State != signin.Refused || got.Reason != "ana is disabled" {
			t.Errorf("the node is told %+v", got)
		}
	})
}

// A mesh that can't write ends a sign-in in time, whatever way it came.
func TestMeshThatHangs(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.provider.agree = make(chan error, 1)
		h.stall = true
		stop := h.running()
		defer stop()
		o, err := h.desk.Open(t.Context(), "n1", ward(), device())
		if err != nil {
			t.Fatal(err)
		}
		h.provider.agree <- nil
		time.Sleep(35 * time.Second)
		if got := h.outcome("n1", o.ID); got.State != signin.Refused {
			t.Errorf("the node is told %+v", got)
		}
		o, b := h.open("n1"), h.browser()
		h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "is not signed in")
	})
}

// The provider's own end counts if it is earlier; then the grant is let go.
func TestDeviceGrantExpires(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		stop := h.running()
		defer stop()
		for _, life := range []time.Duration{time.Minute, time.Hour} {
			h.provider.until = time.Now().Add(life)
			o, err := h.desk.Open(t.Context(), "n1", ward(), device())
			if want := min(life, signin.Life); err != nil || !o.Until.Equal(time.Now().Add(want)) {
				t.Fatalf("%+v %v", o, err)
			}
			time.Sleep(time.Until(o.Until))
			synctest.Wait()
			if got := h.outcome("n1", o.ID); got.State != signin.Expired {
				t.Errorf("the node is told %+v", got)
			}
			time.Sleep(2 * time.Second)
			if h.provider.count(0) != 0 {
				t.Error("the grant is not let go")
			}
		}
	})
}

// A desk that ends lets its grants go, and takes no more.
func TestDeskThatEnds(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		stop := h.running()
		for range 3 {
			if _, err := h.desk.Open(t.Context(), "n1", ward(), device()); err != nil {
				t.Fatal(err)
			}
		}
		stop() // the bubble fails if anything is left
		if _, err := h.desk.Open(t.Context(), "n1", ward(), device()); !errors.Is(err, signin.ErrStopped) {
			t.Errorf("opened after the end: %v", err)
		}
	})
}

func TestDeviceGrantThatCantBegin(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.desk.Open(ctx, "n1", ward(), device()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody redeems: %v", err)
		}
		h.provider.failing = errors.New("no such grant here")
		for range 30 { // none of them holds a place
			if _, err := h.desk.Open(t.Context(), "n1", ward(), device()); err == nil || !strings.Contains(err.Error(), "no such grant here") {
				t.Fatalf("%v", err)
			}
		}
		if h.desk.Kept() != 0 {
			t.Error("a grant that did not begin is kept")
		}
	})
}

// A grant for which somebody waits keeps its place, whatever else is asked for at
// that machine, by another person or by the same in a hurry.
func TestGrantUnderWayKeepsItsPlace_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		stop := h.running()
		defer stop()
		o, err := h.desk.Open(t.Context(), "n1", ward(), device())
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan signin.Outcome, 1)
		go func() {
			got := h.outcome("n1", o.ID)
			for ; got.State == signin.Pending; got = h.outcome("n1", o.ID) {
			}
			told <- got
		}()
		for range 6 {
			time.Sleep(50 * time.Second)
			h.flood("n1", ward(), 16)
			for range 10 {
				h.desk.Open(t.Context(), "n1", ward(), device())
			}
		}
		if got := <-told; got.State != signin.Expired || time.Now().Before(o.Until) {
			t.Errorf("the node is told %+v", got)
		}
	})
}

// Grants leave places for pages, and those that nobody waits for any more make place.
func TestGrantsOfANodeAreBounded_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		stop := h.running()
		defer stop()
		opened := func() (n int) {
			for range 12 {
				if _, err := h.desk.Open(t.Context(), "n1", ward(), device()); err == nil {
					n++
				} else if !errors.Is(err, signin.ErrBusy) {
					t.Fatal(err)
				}
			}
			return n
		}
		if n := opened(); n != 8 {
			t.Errorf("%d of 12 grants are under way", n)
		}
		for range 8 {
			h.browser().get("/login/" + h.open("n1").ID)
		}
		time.Sleep(time.Minute)
		if n := opened(); n != 8 {
			t.Errorf("%d of 12 grants, once those before were given up", n)
		}
	})
}

// A grant that was given up may lose its place. It is let go, and says so.
func TestDeviceGrantLosesItsPlace(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		stop := h.running()
		defer stop()
		o, err := h.desk.Open(t.Context(), "n1", ward(), device())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for range 16 {
			time.Sleep(time.Millisecond)
			h.open("n1")
		}
		if _, err := h.desk.Await(t.Context(), "n1", o.ID); !errors.Is(err, signin.ErrNotFound) {
			t.Errorf("the node is told %v", err)
		}
		time.Sleep(2 * time.Second)
		if h.provider.count(0) != 0 {
			t.Error("the grant is not let go")
		}
	})
}

// Nobody waits at the provider for a sign-in that lost its place while its grant
// was asked for.
func TestDeviceGrantThatComesTooLate(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		stop := h.running()
		defer stop()
		h.provider.meanwhile = func() {
			time.Sleep(time.Minute)
			h.flood("n1", ward(), 16)
		}
		o, err := h.desk.Open(t.Context(), "n1", ward(), device())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := h.desk.Await(t.Context(), "n1", o.ID); !errors.Is(err, signin.ErrNotFound) || h.provider.count(0) != 0 {
			t.Errorf("%v, and %d wait", err, h.provider.count(0))
		}
	})
}

// A person who agrees to a grant whose sign-in is over opens nothing.
func TestDeviceGrantThatIsAgreedToTooLate(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.provider.agree, h.provider.deaf = make(chan error), true
		stop := h.running()
		defer stop()
		if _, err := h.desk.Open(t.Context(), "n1", ward(), device()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.desk.Open(t.Context(), "n2", ward(), device()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		h.flood("n1", ward(), 16)    // one loses its place,
		time.Sleep(11 * time.Minute) // the other expires
		h.provider.agree <- nil
		h.provider.agree <- nil
		synctest.Wait()
		if h.sessions() != 0 {
			t.Errorf("%d sessions", h.sessions())
		}
	})
}
