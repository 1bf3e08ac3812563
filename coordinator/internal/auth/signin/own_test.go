package signin_test

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	ana    = "ana@clinic.example"
	phrase = "correct horse battery staple"
)

// book is a registry that decides at once.
type book struct {
	t     testing.TB
	mu    sync.Mutex
	state *registry.State

	opened int // browsers of links
}

func (b *book) Snapshot() *registry.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

func (b *book) Do(_ context.Context, actor registry.Actor, c registry.Command) (registry.Result, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, ok := c.(registry.Note); ok && n.Action == "local.link-open" {
		b.opened++
	}
	d, err := registry.Decider{}.Decide(b.state, c, actor, time.Now())
	b.state = d.Next
	return d.Result, err
}

func (b *book) do(c registry.Command) {
	b.t.Helper()
	if _, err := b.Do(b.t.Context(), registry.System, c); err != nil {
		b.t.Fatal(err)
	}
}

const aLink = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// withPeople runs a test in virtual time, with a hall whose coordinator knows ana by
// itself, who has the link aLink. A provider stands beside it.
func withPeople(t *testing.T, test func(t *testing.T, h *hall, b *book)) {
	t.Helper()
	within(t, func(t *testing.T, h *hall) {
		key, err := local.MakeKey(filepath.Join(t.TempDir(), "key"))
		if err != nil {
			t.Fatal(err)
		}
		b := &book{t: t, state: &registry.State{}}
		b.do(registry.Init{Mesh: wire.MeshID{1}, Domain: "mesh.example", IPv4: netip.MustParsePrefix("100.64.0.0/10"), IPv6: netip.MustParsePrefix("fd12:3456:789a::/48")})
		b.do(registry.AddLocal{Subject: "s", Login: ana, Link: registry.HashSecret(aLink), Life: time.Hour})
		people, err := local.New(local.Config{URL: self, Key: key, Registry: b, Cost: local.Cost{Memory: 8, Passes: 1, Lanes: 1}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		h.seat(h.provider, people)
		h.alone = func() { h.seat(nil, people) }
		h.hide(aLink)
		test(t, h, b)
	})
}

// seat gives the hall a desk with people of the coordinator's own.
func (h *hall) seat(p signin.Provider, people *local.People) {
	desk, err := signin.New(signin.Config{URL: self, Provider: p, People: people, Node: h.node, Begin: h.begin, Join: h.join, Operator: h.operator})
	if err != nil {
		h.t.Fatal(err)
	}
	h.desk = desk
}

func (b *browser) post(target string, fields url.Values) answer {
	b.h.t.Helper()
	return b.do(http.MethodPost, target, fields.Encode())
}

// prove goes on at a sign-in with what a person typed, and follows.
func (b *browser) prove(id string, fields url.Values) answer {
	b.h.t.Helper()
	page := b.get("/login/" + id)
	fields.Set("form", token(page.body))
	if a := b.post("/login/"+id, fields); a.Code != http.StatusSeeOther {
		return a
	}
	return b.get("/login/" + id)
}

// setUp sets up ana's password and codes, and gives the secret of these.
func (b *browser) setUp() string {
	b.h.t.Helper()
	page := b.get("/login/set-up/" + aLink + "/password")
	m := regexp.MustCompile(`class="code key">([A-Z2-7 ]+)<`).FindStringSubmatch(page.body)
	if m == nil {
		b.h.t.Fatalf("no key on %d:\n%s", page.Code, page.body)
	}
	secret := strings.ReplaceAll(m[1], " ", "")
	b.h.says(b.post("/login/set-up/"+aLink+"/password", url.Values{"password": {phrase}, "again": {phrase}, "code": {codeOf(b.h.t, secret)}}), http.StatusOK, "You are set up")
	time.Sleep(time.Minute)
	return secret
}

func codeOf(t testing.TB, secret string) string {
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// Both ways are offered, each page is fit to be seen, and one may change one's mind.
func TestOwnPagesBesideAProvider(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b := h.browser()
		h.says(b.get("/login/set-up/"+aLink), http.StatusOK, "Set up your sign-in")
		h.says(b.get("/login/set-up/"+aLink+"/passkey"), http.StatusOK, `data-passkey="create"`)
		secret := b.setUp()
		o := h.open("n1")
		h.says(b.get("/login/"+o.ID), http.StatusOK, `value="continue"`)
		h.says(b.prove(o.ID, url.Values{"step": {"password"}}), http.StatusOK, `value="ana@clinic.example"`)
		h.says(b.prove(o.ID, url.Values{"step": {"passkey"}}), http.StatusOK, `data-passkey="get"`)
		h.says(b.prove(o.ID, url.Values{"step": {"answer"}, "answer": {"{"}}), http.StatusOK, "does not sign anybody in")
		h.says(b.prove(o.ID, url.Values{"step": {"back"}}), http.StatusOK, "I did not begin this")
		state := b.leave(o.ID)
		h.says(b.get("/login/"+o.ID), http.StatusOK, `value="continue"`)
		h.says(b.prove(o.ID, url.Values{"step": {"password"}}), http.StatusOK, "Code from your authenticator app")
		if a := b.get("/login/callback?state=" + state + "&code=code-eve"); a.Code != http.StatusSeeOther || h.sessions() != 0 {
			t.Errorf("an answer of the provider, whom the person left: %d, %d sessions", a.Code, h.sessions())
		}
		h.says(b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {codeOf(t, secret)}}), http.StatusOK, "is signed in")
		if got := h.outcome("n1", o.ID); got.State != signin.Done || h.begun[0] != "n1 s" {
			t.Errorf("the node is told %+v of %v", got, h.begun)
		}
		if b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}}); h.sessions() != 1 {
			t.Errorf("%d sessions of one sign-in", h.sessions())
		}
	})
}

// Each browser that opens a link is shown codes of its own, the same each time, and is told
// to the audit; what one was shown is nothing to another.
func TestLinkIsOfItsBrowser_A13(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, b *book) {
		page, keys := "/login/set-up/"+aLink+"/password", map[string]bool{}
		key := regexp.MustCompile(`class="code key">([A-Z2-7 ]+)<`)
		own, eve := h.browser(), h.browser()
		for _, one := range []*browser{eve, eve, own, own} {
			keys[key.FindStringSubmatch(one.get(page).body)[1]] = true
		}
		if len(keys) != 2 || b.opened != 2 {
			t.Errorf("two browsers were shown %d keys, the audit was told of %d", len(keys), b.opened)
		}
		bare := h.browser()
		secret := strings.ReplaceAll(key.FindStringSubmatch(eve.get(page).body)[1], " ", "")
		form := url.Values{"password": {phrase}, "again": {phrase}, "code": {codeOf(t, secret)}}
		h.says(bare.post(page, form), http.StatusUnprocessableEntity, "cookies are blocked")
		h.says(own.post(page, form), http.StatusUnprocessableEntity, "not what the app should show")
	})
}

// A proof counts for the sign-in that asked, in the browser that it is bound to, where a
// person has chosen to give one.
func TestProofsOfOthersAreNotHeard_A17_A22(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b, eve := h.browser(), h.browser()
		secret := b.setUp()
		o := h.open("n1")
		page := b.get("/login/" + o.ID)
		proof := url.Values{"form": {token(page.body)}, "step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {codeOf(t, secret)}}
		if a := b.post("/login/"+o.ID, proof); a.Code != http.StatusSeeOther || h.sessions() != 0 {
			t.Errorf("a proof before anybody chose to give one: %d, %d sessions", a.Code, h.sessions())
		}
		h.says(b.prove(o.ID, url.Values{"step": {"password"}}), http.StatusOK, "Password")
		h.says(eve.post("/login/"+o.ID, proof), http.StatusForbidden, "another browser")
		proof.Set("form", "another")
		h.says(b.post("/login/"+o.ID, proof), http.StatusForbidden, "out of date")
		b.send.Set("Sec-Fetch-Site", "same-site")
		h.says(b.post("/login/"+o.ID, proof), http.StatusForbidden, "out of date")
		b.send.Del("Sec-Fetch-Site")
		if h.sessions() != 0 {
			t.Error("somebody is signed in")
		}
		h.says(b.prove(o.ID, proof), http.StatusOK, "is signed in")
	})
}

// A passkey's ceremony is used once, whatever came of it.
func TestCeremonyIsUsedOnce_A22(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b := h.browser()
		o := h.open("n1")
		challenge := regexp.MustCompile(`challenge&#34;:&#34;([\w-]+)`)
		seen := map[string]bool{}
		b.prove(o.ID, url.Values{"step": {"passkey"}})
		for range 5 {
			page := b.prove(o.ID, url.Values{"step": {"answer"}, "answer": {"{}"}})
			m := challenge.FindStringSubmatch(page.body)
			if m == nil || seen[m[1]] {
				t.Fatalf("no challenge, or one that was used: %v\n%s", m, page.body)
			}
			seen[m[1]] = true
		}
	})
}

// One sign-in is tried a few times, and ends.
func TestWrongProofsEndASignIn_A22(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b := h.browser()
		o := h.open("n1")
		b.prove(o.ID, url.Values{"step": {"password"}})
		tries := 0
		for ; tries < 50 && h.outcome("n1", o.ID).State == signin.Pending; tries++ {
			b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {"x"}, "code": {"1"}})
		}
		if got := h.outcome("n1", o.ID); got.State != signin.Refused || tries > 12 {
			t.Errorf("after %d tries the node is told %+v", tries, got)
		}
	})
}

// A machine that has an owner judges nobody else's password, and says so alike of whom there
// is and of whom there is not.
func TestAnothersMachineJudgesNoPassword_A22(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b := h.browser()
		secret := b.setUp()
		h.setNode(signin.Node{ID: "n3", Name: "laptop", User: "mallory@clinic.example"})
		for _, login := range []string{ana, "nobody@clinic.example"} {
			o := h.open("n3")
			b.prove(o.ID, url.Values{"step": {"password"}})
			a := b.prove(o.ID, url.Values{"step": {"proof"}, "login": {login}, "password": {phrase}, "code": {codeOf(t, secret)}})
			h.says(a, http.StatusOK, "one person&#39;s own")
		}
		o := h.open("n1")
		page := b.prove(o.ID, url.Values{"step": {"password"}})
		h.mu.Lock()
		delete(h.nodes, "n1")
		h.mu.Unlock()
		h.says(b.post("/login/"+o.ID, url.Values{"form": {token(page.body)}, "step": {"proof"}, "login": {ana}}), http.StatusNotFound, "has left the network")
		if got := h.outcome("n1", o.ID); got.State != signin.Refused {
			t.Errorf("at a machine that has left: %+v", got)
		}
	})
}

// What is no page of a link is none, and what is asked wrongly is refused.
func TestSetUpPagesAreForTheirPersonAlone_A06_A07(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, b *book) {
		p, link := h.browser(), "/login/set-up/"+aLink
		for target, want := range map[string]int{
			"/login/set-up/": 404, "/login/set-up/x": 404, link + "/": 404, link + "/other": 404, link + "/password/": 404, link + "/password/x": 404,
			"/login/set-up/" + strings.Repeat("B", 26): 404, "/login/set-up/" + strings.ToLower(aLink): 404,
			link + "?a=b": 414, "/login/passkey.js?v=1": 414, "/login/passkey.js/": 404, "/login/passkey.js": 200,
		} {
			if a := p.get(target); a.Code != want {
				t.Errorf("%s: %d, want %d", target, a.Code, want)
			}
		}
		for target, want := range map[string]int{link: 405, "/login/passkey.js": 405, "/login/set-up/" + strings.Repeat("B", 26) + "/password": 404} {
			if a := p.post(target, url.Values{"password": {"x"}}); a.Code != want {
				t.Errorf("POST %s: %d, want %d", target, a.Code, want)
			}
		}
		if a := p.do(http.MethodHead, link+"/password", ""); a.Code != http.StatusOK || a.body != "" {
			t.Errorf("HEAD: %d", a.Code)
		}
		if a := p.get("/login/passkey.js"); !strings.HasPrefix(a.Header().Get("Content-Type"), "text/javascript") || strings.Contains(a.body, "fetch(") || strings.Contains(a.body, "innerHTML") {
			t.Errorf("the script:\n%s", a.body)
		}
		p.get(link)
		h.says(p.post(link+"/password", url.Values{"password": {strings.Repeat("x", 64<<10)}}), http.StatusBadRequest, "Not understood")
		h.says(p.post(link+"/passkey", url.Values{"answer": {strings.Repeat("x", 20<<10)}}), http.StatusUnprocessableEntity, "does not sign anybody in")
		h.says(p.post(link+"/password", url.Values{"password": {phrase}, "again": {phrase}, "code": {"1"}}), http.StatusUnprocessableEntity, "not what the app should show")
		h.says(p.post(link+"/password", url.Values{"password": {phrase}, "again": {"x"}, "code": {"1"}}), http.StatusUnprocessableEntity, "not the same")
		for name, value := range map[string]string{"Sec-Fetch-Dest": "iframe", "Sec-Purpose": "prefetch", "Sec-Fetch-Site": "cross-site"} {
			p.send.Set(name, value)
			if a := p.post(link+"/password", url.Values{"password": {phrase}}); a.Code != http.StatusForbidden && a.Code != http.StatusServiceUnavailable {
				t.Errorf("%s %s: %d", name, value, a.Code)
			}
			p.send.Del(name)
		}
		p.send.Set("Sec-Fetch-Site", "cross-site")
		h.says(p.get("/login/passkey.js"), http.StatusForbidden, "part of its own")
		p.send.Del("Sec-Fetch-Site")
		b.do(registry.DisableUser{User: ana})
		h.says(p.get(link), http.StatusNotFound, "This link works no more")
	})
}

// A stranger at a person's address uses up nothing that the person's link needs.
func TestStrangersLeaveLinksAlone_A06(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b := h.browser()
		b.h.unjudged = true
		refused := 0
		for range 1000 {
			if a := b.get("/login/set-up/" + strings.Repeat("C", 26)); a.Code == http.StatusTooManyRequests {
				refused++
			}
		}
		h.says(b.get("/login/set-up/"+aLink), http.StatusOK, "Set up your sign-in")
		if a := b.get("/login/passkey.js"); a.Code != http.StatusOK || refused == 0 {
			t.Errorf("the script: %d; %d of a stranger's requests were refused", a.Code, refused)
		}
		for range 200 {
			if a := b.get("/login/set-up/" + aLink); a.Code == http.StatusTooManyRequests {
				return
			}
		}
		t.Error("one link is asked for without end")
	})
}

// Whatever a browser sends to the own pages, they answer, and nobody is signed in.
func FuzzOwnPages(f *testing.F) {
	f.Add("password", "step=proof&login=a&password=b&code=c")
	f.Add("passkey", `answer=%7B%22id%22%3A%22AA%22%7D`)
	f.Add("../x", "a=%zz;\x00")
	f.Fuzz(func(t *testing.T, what, body string) {
		withPeople(t, func(t *testing.T, h *hall, _ *book) {
			b := h.browser()
			o := h.open("n1")
			b.prove(o.ID, url.Values{"step": {"password"}})
			for _, target := range []string{"/login/set-up/" + aLink + "/" + url.PathEscape(what), "/login/" + o.ID} {
				if a := b.do(http.MethodPost, target, body); a.Code >= 500 || h.sessions() != 0 {
					t.Errorf("%s: %d, %d sessions", target, a.Code, h.sessions())
				}
			}
		})
	})
}
