package signin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// A51: state is of one use. A page that is loaded twice shows where things stand.
func TestStateIsOfOneUse_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		b := h.browser()
		state := b.leave(o.ID)
		for range 3 {
			h.says(b.back(state, "code-ana"), http.StatusOK, "is signed in as")
		}
		if h.provider.asked() != 1 || h.sessions() != 1 {
			t.Errorf("redeemed %d times, %d sessions", h.provider.asked(), h.sessions())
		}
		b.leave(h.open("n1").ID)
		other := h.open("n2")
		b.leave(other.ID)
		b.leave(other.ID)
		time.Sleep(signin.Life + 3*time.Minute)
		if _, err := h.desk.Await(t.Context(), "n1", o.ID); !errors.Is(err, signin.ErrNotFound) || h.desk.Kept() != 0 {
			t.Errorf("%v, and %d things are kept", err, h.desk.Kept())
		}
	})
}

// A51: who leaves twice has one state, the latest.
func TestLeavingAgainVoidsTheStateBefore_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		b := h.browser()
		before := b.leave(o.ID)
		after := b.leave(o.ID)
		h.says(b.back(before, "code-ana"), http.StatusNotFound, "has ended")
		h.says(b.back(after, "code-ana"), http.StatusOK, "is signed in as")
		if h.provider.redeemed[0].State != after {
			t.Error("redeemed with the attempt before")
		}
	})
}

// A51: an answer for one sign-in does not count for another, also where both are
// of one browser; a thief's own state is of no use in the browser of another.
func TestSwappedStates_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		first, second := h.open("n1"), h.open("n2")
		b, thief := h.browser(), h.browser()
		one, two := b.leave(first.ID), thief.leave(second.ID)
		h.says(b.back(two, "code-eve"), http.StatusForbidden, "Not begun in this browser")
		h.says(thief.back(one, "code-eve"), http.StatusForbidden, "Not begun in this browser")
		if h.provider.asked() != 0 {
			t.Fatal("an answer for another sign-in is redeemed")
		}
		third := h.open("n2")
		three := b.leave(third.ID)
		h.says(b.back(one, "code-ana"), http.StatusOK, "ward-3 is signed in")
		h.says(b.back(three, "code-ana"), http.StatusOK, "kiosk is signed in")
		if strings.Join(h.begun, ",") != "n1 ana,n2 ana" {
			t.Errorf("begun: %v", h.begun)
		}
	})
}

// A51: the cookie is what the desk drew, is set once, and is for this host alone.
func TestCookie_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		b := h.browser()
		page := b.get("/login/" + o.ID)
		set := page.Result().Cookies()
		if len(set) != 1 {
			t.Fatalf("cookies: %v", set)
		}
		c := set[0]
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" ||
			c.MaxAge <= 0 || c.MaxAge > 15*60 || len(c.Value) < 26 {
			t.Errorf("cookie %v", c)
		}
		if again := b.get("/login/" + o.ID); len(again.Result().Cookies()) != 0 {
			t.Error("a browser that has the cookie gets another")
		}
		second := h.open("n2")
		b.get("/login/" + second.ID)
		if len(b.jar) != 2 {
			t.Error("two sign-ins of a browser share a cookie")
		}
		// Fixation: what a browser brings is never made a sign-in's own.
		third, victim := h.open("n1"), h.browser()
		probe := h.browser()
		probe.get("/login/" + third.ID)
		for name := range probe.jar {
			victim.jar[name] = "known-to-a-thief"
		}
		h.says(victim.get("/login/"+third.ID), http.StatusForbidden, "In use in another browser")
		fourth := h.open("n1")
		for name := range b.jar {
			victim.jar[name] = "known-to-a-thief"
		}
		for name, value := range victim.jar {
			if victim.get("/login/" + fourth.ID); victim.jar[name] != value {
				t.Errorf("%s of another sign-in is changed", name)
			}
		}
	})
}

// A51, A40: a form of another site is not obeyed: it has neither token nor, in
// most browsers, the cookie.
func TestForgedForms_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, other := h.open("n1"), h.open("n2")
		b := h.browser()
		page, foreign := b.get("/login/"+o.ID), b.get("/login/"+other.ID)
		for _, tok := range []string{"", "AAAAAAAAAAAAAAAAAAAAAAAAAA", token(foreign.body)} { // none, wrong, another sign-in's
			for _, step := range []string{"continue", "decline"} {
				h.says(b.submit(o.ID, tok, step), http.StatusForbidden, "out of date")
			}
		}
		b.send.Set("Sec-Fetch-Site", "same-site")
		h.says(b.submit(o.ID, token(page.body), "decline"), http.StatusForbidden, "out of date")
		b.send.Del("Sec-Fetch-Site")
		cookies := b.jar
		b.jar = map[string]string{}
		h.says(b.submit(o.ID, token(page.body), "decline"), http.StatusForbidden, "keeps no cookies")
		b.jar = cookies
		for _, body := range []string{"form=" + token(page.body), "form=" + token(page.body) + "&step=jump", "form=" + token(page.body) + "&step=continue&step=decline",
			"form=" + token(page.body) + "&form=x&step=continue", "%zz", "form=" + token(page.body) + "&step=continue&pad=" + strings.Repeat("x", 8000)} {
			h.says(b.do(http.MethodPost, "/login/"+o.ID, body), http.StatusBadRequest, "be read")
		}
		b.send.Set("Content-Type", "text/plain")
		h.says(b.do(http.MethodPost, "/login/"+o.ID, "form="+token(page.body)+"&step=continue"), http.StatusBadRequest, "be read")
		b.send.Del("Content-Type")
		if len(h.provider.attempts) != 0 {
			t.Error("a forged form is obeyed")
		}
		b.send.Set("Sec-Fetch-Site", "same-origin")
		b.send.Set("Origin", "null") // what browsers send from a page without referrer
		h.says(b.submit(o.ID, token(page.body), "continue"), http.StatusOK, "being led to")
	})
}

// The token stands in the query: no form at all, and no way around the body.
func TestTokenInQueryDoesNotCount_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		b := h.browser()
		page := b.get("/login/" + o.ID)
		h.says(b.do(http.MethodPost, "/login/"+o.ID+"?step=continue&form="+token(page.body), "x=y"), http.StatusBadRequest, "be read")
		h.says(b.do(http.MethodPost, "/login/"+o.ID+"?form="+token(page.body), "step=continue"), http.StatusForbidden, "out of date")
		b.send.Set("Content-Type", "multipart/form-data; boundary=x")
		h.says(b.do(http.MethodPost, "/login/"+o.ID+"?step=continue&form="+token(page.body), "--x--"), http.StatusBadRequest, "be read")
	})
}

// A51: without its cookie the provider's answer counts for nothing.
func TestCallbackWithoutCookie_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.open("n1")
		b := h.browser()
		state := b.leave(o.ID)
		bare := h.browser()
		h.says(bare.back(state, "code-ana"), http.StatusForbidden, "Not begun in this browser")
		h.says(bare.get("/login/callback?error=access_denied&state="+state), http.StatusForbidden, "Not begun in this browser")
		for name, value := range b.jar {
			bare.jar[name] = value[1:] + "A"
		}
		h.says(bare.back(state, "code-ana"), http.StatusForbidden, "Not begun in this browser")
		h.says(b.back(state, "code-ana"), http.StatusOK, "is signed in as")
	})
}
