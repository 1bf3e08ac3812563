package signin_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// What the provider says of a failure is shown as text, and no other parameter is.
func TestErrorsOfTheProvider_A50(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		for query, want := range map[string]string{
			"error=access_denied":             "declined at the provider (access_denied)",
			"error=temporarily_unavailable":   "serve now (temporarily_unavailable)",
			"error=login_required":            "asked nothing, and needs to (login_required)",
			"error=odd_one&error_uri=//x.yz/": "the provider refused: odd_one",
			"error=access_denied&error_description=" + url.QueryEscape(`<script>alert(1)</script><img src=x onerror=a>`):        "It says: &lt;script&gt;alert(1)&lt;/script&gt;&lt;img",
			"error=" + url.QueryEscape(`"><b>`) + "&error_description=" + url.QueryEscape("one\x00two\x1b[31m\nthree\u202ered"): "It says: one two [31m three red",
			"error=x&error_description=" + strings.Repeat("long", 1000):                                                         "longlong",
		} {
			o, b := h.open("n1"), h.browser()
			state := b.leave(o.ID)
			a := b.get("/login/callback?" + query + "&marker=unknown-parameter&state=" + state)
			if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/login/"+o.ID {
				t.Errorf("%s: %d to %q", query, a.Code, a.Header().Get("Location"))
				continue
			}
			a = b.get("/login/" + o.ID)
			h.says(a, http.StatusOK, want)
			got := h.outcome("n1", o.ID)
			if got.State != signin.Refused || len(got.Reason) > 400 || strings.ContainsAny(got.Reason, "\x00\x1b\n\u202e") {
				t.Errorf("the node is told %+v", got)
			}
			if len(a.body) > 8000 || strings.Contains(a.body, "unknown-parameter") || strings.Contains(a.body, "x.yz") {
				t.Errorf("the page repeats too much:\n%s", a.body)
			}
		}
		if h.provider.asked() != 0 {
			t.Error("an error is redeemed")
		}
	})
}

// A12, A43, A50: names are labels by the registry's rule; the pages hold without it.
func TestForeignTextIsShownAsText_A50(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		evil := `</title><script>alert(1)</script>"'><h1 onclick=x>{{.}}`
		h.setNode(signin.Node{ID: "n1", Name: evil, OS: evil, Fingerprint: evil, User: evil})
		h.setNode(signin.Node{ID: "n2", Name: evil, Tags: []string{evil}})
		h.refuse = errors.New(evil + "\n\x1b[2J")
		for _, node := range []string{"n1", "n2"} {
			o, b := h.open(node), h.browser()
			page := b.get("/login/" + o.ID) // each is checked for elements that are none of ours
			h.says(page, http.StatusOK, "&lt;script&gt;")
			h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "&lt;script&gt;")
			if r := h.outcome(node, o.ID).Reason; strings.ContainsAny(r, "\n\x1b") {
				t.Errorf("the node is told %q", r)
			}
		}
	})
}

// Errors of the provider may hold what was sent to it.
func TestSecretsInErrorsOfTheProvider_A44(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.provider.spill = true
		o, b := h.open("n1"), h.browser()
		a := b.back(b.leave(o.ID), "code-ana")
		h.says(a, http.StatusOK, "no answer to code=(secret)")
		reason := h.outcome("n1", o.ID).Reason
		for _, s := range h.provider.secrets() {
			if strings.Contains(reason, s) || strings.Contains(a.body, s) {
				t.Errorf("%s is told", s)
			}
		}
		h.provider.failing = errors.New("down")
		o, b = h.open("n1"), h.browser()
		page := b.get("/login/" + o.ID)
		h.says(b.submit(o.ID, token(page.body), "continue"), http.StatusBadGateway, "state=(secret)")
	})
}

// A provider that can't be reached ends no sign-in: its person tries again.
func TestProviderIsDown(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.provider.failing = errors.New("idp.example does not answer")
		o, b := h.open("n1"), h.browser()
		page := b.get("/login/" + o.ID)
		h.says(b.submit(o.ID, token(page.body), "continue"), http.StatusBadGateway, "idp.example does not answer")
		h.provider.failing = nil
		h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "is signed in as")
	})
}

// A51: no address but of the web, whatever the provider's own says.
func TestProviderAddressesThatNoBrowserMayOpen_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.open("n1"), h.browser()
		for _, to := range []string{"javascript:alert(1)", "data:text/html,x", "//idp.example", "/login/x", "", "https://", "https://idp.example/\r\nX: y", "file:///etc/passwd"} {
			if h.provider.address = to; to == "" {
				h.provider.address = " "
			}
			page := b.get("/login/" + o.ID)
			a := b.submit(o.ID, token(page.body), "continue")
			h.says(a, http.StatusBadGateway, "none that a browser can open")
			if a.Header().Get("Refresh") != "" {
				t.Errorf("leads to %q", a.Header().Get("Refresh"))
			}
		}
	})
}

// The callback reads a state, and a code or an error, each once.
func TestCallbackThatCantBeRead(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.open("n1"), h.browser()
		state := b.leave(o.ID)
		for _, query := range []string{"", "state=" + state, "code=code-x", "state=" + state + "&code=a&code=b", "state=" + state + "&state=" + state + "&code=a",
			"state=" + state + "&code=a&error=b", "state=" + state + "&error=a&error=b", "state=" + state + "&code=%zz", "state=" + state + "&error=x&error_description=a&error_description=b"} {
			h.says(b.get("/login/callback?"+query), http.StatusBadRequest, "Not understood")
		}
		h.says(b.get("/login/callback?code=a&state=unknown"), http.StatusNotFound, "has ended")
		h.says(b.back(state, "code-ana"), http.StatusOK, "is signed in as")
	})
}

func TestPathsMethodsAndSizes_A06(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.open("n1"), h.browser()
		for _, path := range []string{"/", "/login", "/login/", "/login/" + o.ID + "/", "/login/" + o.ID + "x", "/login/" + strings.ToLower(o.ID), "/login//" + o.ID,
			"/login/%2e%2e/x", "/login/../" + o.ID, "/login/callback/", "/login/" + strings.Repeat("A", 27), "/login/" + strings.Repeat("1", 26), "/login/%00", "//evil.example/login/x"} {
			for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
				h.says(b.do(m, path, ""), http.StatusNotFound, "No such page")
			}
		}
		for _, m := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch, "TRACE", "PROPFIND"} {
			a := b.do(m, "/login/"+o.ID, "")
			h.says(a, http.StatusMethodNotAllowed, "in that way")
			if a.Header().Get("Allow") != "GET, HEAD, POST" {
				t.Errorf("Allow: %q", a.Header().Get("Allow"))
			}
		}
		a := b.do(http.MethodPost, "/login/callback", "state=x&code=y")
		if h.says(a, http.StatusMethodNotAllowed, "in that way"); a.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("Allow: %q", a.Header().Get("Allow"))
		}
		h.says(b.get("/login/callback?code="+strings.Repeat("x", 9000)), http.StatusRequestURITooLong, "too long")
		h.says(b.get("/login/"+o.ID+"?"+strings.Repeat("x", 9000)), http.StatusRequestURITooLong, "too long")
		if len(b.jar) != 0 {
			t.Error("what is refused binds a sign-in")
		}
	})
}

// HEAD, which mail scanners send, and browsers that fetch ahead or for another
// site's page, neither bind a sign-in nor learn of it nor redeem anything.
func TestWhatNoPersonAskedFor_A51(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.open("n1"), h.browser()
		for _, path := range []string{"/login/" + o.ID, "/login/AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
			if a := b.do(http.MethodHead, path, ""); a.Code != http.StatusOK || a.body != "" || len(b.jar) != 0 {
				t.Errorf("HEAD: %d %q %v", a.Code, a.body, b.jar)
			}
		}
		for _, dest := range []string{"image", "iframe", "empty", "script", "object", "embed", "frame"} {
			b.send.Set("Sec-Fetch-Dest", dest)
			h.says(b.get("/login/"+o.ID), http.StatusForbidden, "Open this page by itself")
		}
		b.send.Set("Sec-Fetch-Dest", "document")
		b.send.Set("Sec-Purpose", "prefetch;prerender")
		h.says(b.get("/login/"+o.ID), http.StatusServiceUnavailable, "Not ahead of time")
		b.send.Del("Sec-Purpose")
		if len(b.jar) != 0 {
			t.Fatal("a sign-in is bound that nobody opened")
		}
		state := b.leave(o.ID)
		if a := b.do(http.MethodHead, "/login/callback?code=code-ana&state="+state, ""); a.Code != http.StatusOK || h.provider.asked() != 0 {
			t.Errorf("HEAD redeems: %d", a.Code)
		}
		b.send.Set("Sec-Fetch-Site", "cross-site") // so comes who is sent back by the provider
		h.says(b.back(state, "code-ana"), http.StatusOK, "is signed in as")
	})
}

// What is declined while the provider thinks leads there no more.
func TestDeclinedWhileLeaving_A17(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.open("n1"), h.browser()
		page := b.get("/login/" + o.ID)
		h.provider.meanwhile = func() { b.submit(o.ID, token(page.body), "decline") }
		a := b.submit(o.ID, token(page.body), "continue")
		if a.Code != http.StatusSeeOther || a.Header().Get("Refresh") != "" {
			t.Errorf("answered %d, and leads to %q", a.Code, a.Header().Get("Refresh"))
		}
		h.says(b.back(h.provider.last().State, "code-ana"), http.StatusNotFound, "has ended")
	})
}

// Times are those of the coordinator's own zone, and say so.
func TestTimesNameTheirZone(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		zone := time.FixedZone("CET", 3600)
		desk, err := signin.New(signin.Config{URL: self, Provider: h.provider, Node: h.node, Begin: h.begin, Now: func() time.Time { return time.Now().In(zone) }})
		if err != nil {
			t.Fatal(err)
		}
		h.desk = desk
		o, b := h.open("n1"), h.browser()
		h.says(b.get("/login/"+o.ID), http.StatusOK, `<time datetime="2000-01-01T01:10:00&#43;01:00">01:10 CET, 1 January 2000</time>`)
		h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "13:00 CET, 1 January 2000")
	})
}

// The pages' own judge sees what it is there for.
func TestPagesAreJudged(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		a := h.browser().get("/login/AAAAAAAAAAAAAAAAAAAAAAAAAA")
		style := directives(a.Header().Get("Content-Security-Policy"))["style-src"]
		if p := judge(a.body, style); len(p) != 0 {
			t.Fatal(p)
		}
		for old, bad := range map[string]string{`<h1>`: `<h1></h1><h1>`, ` lang="en"`: ``, `<title>`: `<script></script><title>`, `<p>`: `<p onclick="x">`,
			`</main>`: `<input type="text"></main>`, `<style>`: `<style>b{}`, `<main>`: `<main><a href="https://evil.example/">x</a>`, `<!DOCTYPE html>`: ``} {
			if len(judge(strings.Replace(a.body, old, bad, 1), style)) == 0 {
				t.Errorf("%s for %s passes", bad, old)
			}
		}
	})
}
