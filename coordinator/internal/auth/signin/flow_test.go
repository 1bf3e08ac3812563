package signin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

func TestSignIn(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		if o.URL != "https://mesh.example:443/login/"+o.ID || len(o.ID) < 26 || !o.Until.Equal(time.Now().Add(signin.Life)) {
			t.Errorf("opened %+v", o)
		}
		waiting := make(chan signin.Outcome, 1)
		go func() { waiting <- h.outcome("n1", o.ID) }()
		b := h.browser()
		time.Sleep(time.Second)
		page := b.get("/login/" + o.ID)
		for _, want := range []string{"ward-3", "linux", strings.Repeat("ab12", 16), "<dd>198.51.100.7</dd>", "ana@clinic.example", o.Code,
			"Continue only if you yourself began this on that machine", "00:10 UTC, 1 January 2000"} {
			if !strings.Contains(page.body, want) {
				t.Errorf("the page does not say %q:\n%s", want, page.body)
			}
		}
		away := b.submit(o.ID, token(page.body), "continue")
		h.says(away, http.StatusOK, `href="https://idp.example/authorize?scope=openid&amp;state=`)
		if to := away.Header().Get("Refresh"); to != "0; url=https://idp.example/authorize?scope=openid&state="+h.provider.last().State {
			t.Errorf("the page leads to %q", to)
		}
		synctest.Wait()
		select {
		case o := <-waiting:
			t.Fatalf("the node is told %+v before anybody proved anything", o)
		default:
		}
		before := time.Now()
		h.says(b.back(h.provider.last().State, "code-ana"), http.StatusOK, "<strong>ward-3</strong> is signed in as <strong>ana@clinic.example</strong> until "+
			`<time datetime="2000-01-01T12:00:01Z">12:00 UTC, 1 January 2000</time>`)
		if got := <-waiting; !time.Now().Equal(before) || got.State != signin.Done || got.Session.ID != "session-n1" || got.Session.User != "ana@clinic.example" {
			t.Errorf("the node is told %+v after %s", got, time.Since(before))
		}
		if a := h.provider.redeemed[0]; !reflect.DeepEqual(a, h.provider.attempts[0]) || !a.Begun.Equal(before) || len(a.Verifier) < 43 || len(a.Nonce) < 26 || len(a.State) < 26 || a.Hint != "ana@clinic.example" || a.Afresh {
			t.Errorf("redeemed with %q %q %q %t %s %q", a.State, a.Nonce, a.Verifier, a.Afresh, a.Begun, a.Hint)
		}
		slog.New(slog.NewJSONHandler(&locked{h}, nil)).Info("an attempt", "it", h.provider.redeemed[0], "spelled", fmt.Sprintf("%+v %#v", h.provider.redeemed[0], h.provider.redeemed))
		if got := h.outcome("n1", o.ID); got.State != signin.Done {
			t.Errorf("asked again, the node is told %+v", got)
		}
	})
}

// Secrets of one attempt are of no use for another.
func TestAttemptsAreDrawnAnew(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		seen := map[string]bool{}
		for range 3 {
			o, err := h.desk.Open(t.Context(), "n1", ward(), signin.Request{Afresh: true})
			if err != nil {
				t.Fatal(err)
			}
			h.browser().leave(o.ID)
			a := h.provider.last()
			if !a.Afresh {
				t.Error("a person need not prove anything anew, though the node asked for it")
			}
			for _, s := range []string{o.ID, o.Code, a.State, a.Nonce, a.Verifier} {
				if seen[s] {
					t.Errorf("%s is drawn twice", s)
				}
				seen[s] = true
			}
		}
	})
}

// A17: who sees the URL after its person has opened it can't take the sign-in
// over, nor read whose it is; and its person goes on.
func TestSecondBrowserIsTurnedAway_A17(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		own, thief := h.browser(), h.browser()
		page := own.get("/login/" + o.ID)
		for range 2 {
			a := thief.get("/login/" + o.ID)
			h.says(a, http.StatusForbidden, "In use in another browser")
			if len(thief.jar) != 0 || strings.Contains(a.body, "ward-3") || strings.Contains(a.body, token(page.body)) {
				t.Errorf("another browser learns something: %v\n%s", thief.jar, a.body)
			}
		}
		for _, step := range []string{"continue", "decline"} {
			h.says(thief.submit(o.ID, token(page.body), step), http.StatusForbidden, "In use in another browser")
		}
		state := own.leave(o.ID)
		h.says(thief.back(state, "code-eve"), http.StatusForbidden, "Not begun in this browser")
		if h.provider.asked() != 0 {
			t.Error("a stranger's answer is redeemed")
		}
		h.says(own.back(state, "code-ana"), http.StatusOK, "is signed in as")
		h.says(thief.get("/login/"+o.ID), http.StatusForbidden, "In use in another browser")
	})
}

// A17: who opens it first is bound, be it the thief; then its person learns that.
func TestPersonLearnsOfAThief_A17(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		h.browser().get("/login/" + o.ID)
		h.says(h.browser().get("/login/"+o.ID), http.StatusForbidden, "somebody else has seen its address")
	})
}

// A17: a person who was sent here by a thief says so; the node's sign-in ends.
func TestPersonDeclines_A17(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n2")
		b := h.browser()
		page := b.get("/login/" + o.ID)
		h.says(page, http.StatusOK, "no single person, tag:kiosk")
		a := b.submit(o.ID, token(page.body), "decline")
		if a.Code != http.StatusSeeOther {
			t.Errorf("declining is answered %d", a.Code)
		}
		h.says(b.get(a.Header().Get("Location")), http.StatusOK, "did not begin it")
		if got := h.outcome("n2", o.ID); got.State != signin.Refused || !strings.Contains(got.Reason, "declined in the browser") {
			t.Errorf("the node is told %+v", got)
		}
		if log := h.logged(); !strings.Contains(log, "WARN") || !strings.Contains(log, "192.0.2.9") {
			t.Errorf("nobody is warned: %s", log)
		}
		h.says(b.back("x", "code-ana"), http.StatusNotFound, "has ended")
		a = b.submit(o.ID, token(page.body), "continue")
		if a.Code != http.StatusSeeOther || len(h.provider.attempts) != 0 {
			t.Errorf("what was declined goes on: %d", a.Code)
		}
	})
}

func TestEverythingExpires(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		unseen, seen, away := h.open("n1"), h.open("n1"), h.open("n2")
		b := h.browser()
		page := b.get("/login/" + seen.ID)
		state := b.leave(away.ID)
		told := make(chan signin.Outcome, 1)
		time.Sleep(signin.Life - 5*time.Second)
		go func() { told <- h.outcome("n1", unseen.ID) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		select {
		case o := <-told:
			if o.State != signin.Expired {
				t.Errorf("the node is told %+v", o)
			}
		default:
			t.Error("the node waits on, though the time is over")
		}
		late := h.browser()
		if h.says(late.get("/login/"+unseen.ID), http.StatusNotFound, "has ended"); len(late.jar) != 0 {
			t.Error("an expired sign-in is bound")
		}
		h.says(b.get("/login/"+seen.ID), http.StatusNotFound, "has ended")
		h.says(b.submit(seen.ID, token(page.body), "continue"), http.StatusNotFound, "has ended")
		h.says(b.back(state, "code-ana"), http.StatusNotFound, "has ended")
		if h.provider.asked() != 0 {
			t.Error("an answer that came too late is redeemed")
		}
		if o := h.outcome("n2", away.ID); o.State != signin.Expired {
			t.Errorf("the node is told %+v", o)
		}
		time.Sleep(3 * time.Minute)
		if _, err := h.desk.Await(t.Context(), "n2", away.ID); !errors.Is(err, signin.ErrNotFound) {
			t.Errorf("long after: %v", err)
		}
		if a := b.get("/login/callback?code=code-ana&state=" + state); a.Code != http.StatusNotFound {
			t.Errorf("long after, an answer comes to %d", a.Code)
		}
	})
}

// An answer that came in time is redeemed to the end, also when the browser has
// gone away or loads the page again.
func TestSlowProvider(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		b := h.browser()
		state := b.leave(o.ID)
		h.provider.hold = make(chan struct{})
		time.Sleep(signin.Life - time.Second)
		done := make(chan answer, 1)
		go func() { done <- b.back(state, "code-ana") }()
		synctest.Wait()
		time.Sleep(2 * time.Second)
		h.says(b.get("/login/"+o.ID), http.StatusOK, "is being checked")
		a := b.get("/login/callback?code=code-ana&state=" + state)
		if a.Code != http.StatusSeeOther {
			t.Errorf("answered twice: %d", a.Code)
		}
		start := time.Now()
		if got := h.outcome("n1", o.ID); got.State != signin.Pending || time.Since(start) < 10*time.Second {
			t.Errorf("the node is told %+v after %s", got, time.Since(start))
		}
		close(h.provider.hold)
		h.says(<-done, http.StatusOK, "is signed in as")
		if got := h.outcome("n1", o.ID); got.State != signin.Done || h.provider.asked() != 1 {
			t.Errorf("the node is told %+v, redeemed %d times", got, h.provider.asked())
		}
	})
}

// A browser that goes away while the provider thinks leaves the node its session.
func TestBrowserGoesAway(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.open("n1"), h.browser()
		state := b.leave(o.ID)
		h.provider.hold = make(chan struct{})
		var leave context.CancelFunc
		b.ctx, leave = context.WithCancel(t.Context())
		done := make(chan answer, 1)
		go func() { done <- b.back(state, "code-ana") }()
		synctest.Wait()
		leave()
		synctest.Wait()
		close(h.provider.hold)
		<-done
		if got := h.outcome("n1", o.ID); got.State != signin.Done {
			t.Errorf("the node is told %+v", got)
		}
	})
}

// A provider that never answers ends in a refusal, not in a sign-in for ever.
func TestProviderThatHangs(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		b := h.browser()
		state := b.leave(o.ID)
		h.provider.hold = make(chan struct{})
		h.says(b.back(state, "code-ana"), http.StatusOK, "is not signed in")
		if got := h.outcome("n1", o.ID); got.State != signin.Refused {
			t.Errorf("the node is told %+v", got)
		}
	})
}

// What Begin refuses with reaches both: the person and the node.
func TestRefusedByTheMesh(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.refuse = errors.New("this machine belongs to ana@clinic.example")
		o := h.open("n1")
		b := h.browser()
		h.says(b.back(b.leave(o.ID), "code-eve"), http.StatusOK, "this machine belongs to ana@clinic.example")
		if got := h.outcome("n1", o.ID); got.State != signin.Refused || got.Reason != "this machine belongs to ana@clinic.example" {
			t.Errorf("the node is told %+v", got)
		}
	})
}

// A node learns of its own sign-ins alone: another's is as one that never was.
func TestAwaitIsForTheNodeThatAsked_A01(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		_, foreign := h.desk.Await(t.Context(), "n2", o.ID)
		_, never := h.desk.Await(t.Context(), "n2", "AAAAAAAAAAAAAAAAAAAAAAAAAA")
		if !errors.Is(foreign, signin.ErrNotFound) || never == nil || foreign.Error() != never.Error() {
			t.Errorf("another's: %v; none: %v", foreign, never)
		}
		b := h.browser()
		b.back(b.leave(o.ID), "code-ana")
		if _, err := h.desk.Await(t.Context(), "n2", o.ID); !errors.Is(err, signin.ErrNotFound) {
			t.Errorf("another's, done: %v", err)
		}
	})
}

func TestAwaitIsBounded(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		start := time.Now()
		if got := h.outcome("n1", o.ID); got.State != signin.Pending || time.Since(start) > 20*time.Second || time.Since(start) < 5*time.Second {
			t.Errorf("told %+v after %s", got, time.Since(start))
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		start = time.Now()
		if _, err := h.desk.Await(ctx, "n1", o.ID); err == nil || time.Since(start) != time.Second {
			t.Errorf("waits %s beyond its context: %v", time.Since(start), err)
		}
	})
}

func TestNodesThatAreNotInTheMesh(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		if _, err := h.desk.Open(t.Context(), "n9", ward(), signin.Request{}); !errors.Is(err, signin.ErrNode) {
			t.Errorf("a stranger opens a sign-in: %v", err)
		}
		o := h.open("n1")
		b := h.browser()
		page := b.get("/login/" + o.ID)
		h.mu.Lock()
		delete(h.nodes, "n1")
		h.mu.Unlock()
		h.says(b.get("/login/"+o.ID), http.StatusNotFound, "left the network")
		h.says(b.submit(o.ID, token(page.body), "continue"), http.StatusNotFound, "left the network")
	})
}

func TestNewRefusesWhatIsNotWhole(t *testing.T) {
	whole := signin.Config{URL: self, Provider: &provider{}, Node: newHall(t).node, Begin: newHall(t).begin}
	for name, spoil := range map[string]func(*signin.Config){
		"no provider": func(c *signin.Config) { c.Provider = nil },
		"no nodes":    func(c *signin.Config) { c.Node = nil },
		"no begin":    func(c *signin.Config) { c.Begin = nil },
		"no URL":      func(c *signin.Config) { c.URL = "" },
		"clear text":  func(c *signin.Config) { c.URL = "http://mesh.example" },
		"a path":      func(c *signin.Config) { c.URL = "https://mesh.example/mesh" },
		"a user":      func(c *signin.Config) { c.URL = "https://me@mesh.example" },
		"a query":     func(c *signin.Config) { c.URL = "https://mesh.example?x" },
	} {
		c := whole
		spoil(&c)
		if _, err := signin.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	whole.URL += "/"
	desk, err := signin.New(whole)
	if err != nil {
		t.Fatal(err)
	}
	o, err := desk.Open(t.Context(), "n1", netip.Addr{}, signin.Request{})
	if err != nil || strings.Count(o.URL, "//") != 1 {
		t.Errorf("%+v %v", o, err)
	}
}
