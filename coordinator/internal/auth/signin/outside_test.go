package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// People of the coordinator's own operate, and make machines theirs, by the same pages and
// under the same bounds as those of a provider.
func TestOwnPeopleOperateAndJoin_A17(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b := h.browser()
		secret := b.setUp()
		proof := func() url.Values {
			time.Sleep(time.Minute) // a code counts once
			return url.Values{"step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {codeOf(t, secret)}}
		}
		o := h.operate()
		h.says(b.get("/login/"+o.ID), http.StatusOK, "Continue only if you yourself typed")
		h.says(b.prove(o.ID, url.Values{"step": {"passkey"}}), http.StatusOK, `data-passkey="get"`)
		h.says(b.prove(o.ID, url.Values{"step": {"password"}}), http.StatusOK, "Sign in to operate the mesh")
		h.says(b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {"000000"}}), http.StatusOK, "Not accepted")
		end := b.prove(o.ID, proof())
		h.says(end, http.StatusOK, "Tell this code to nobody")
		who, err := h.desk.Prove(o.ID, h.lastCode(end), mine)
		if err != nil || who.Login != ana || who.Issuer != registry.LocalIssuer || who.Generation == 0 {
			t.Errorf("proved: %+v, %v", who, err)
		}
		m, print := computer("Ana-Laptop", "198.51.100.77")
		o = h.openJoin(m)
		h.says(b.get("/login/"+o.ID), http.StatusOK, "<strong>join as yours</strong>")
		h.says(b.prove(o.ID, url.Values{"step": {"password"}}), http.StatusOK, "Sign in to let ana-laptop join as yours")
		h.says(b.prove(o.ID, proof()), http.StatusOK, "ana-laptop has joined")
		if got := h.outcome(print, o.ID); got.State != signin.Done || got.Joined.Login != ana || h.sessions() != 0 {
			t.Errorf("the machine is told %+v, %d sessions", got, h.sessions())
		}
	})
}

// Where there is no provider, the pages speak of none, and offer what there is.
func TestOutsideWithoutAProvider(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		h.alone()
		m, _ := computer("laptop", "198.51.100.77")
		for name, id := range map[string]string{"Continue to sign in": h.operate().ID, "Continue, it is my computer": h.openJoin(m).ID} {
			page := h.browser().get("/login/" + id)
			h.says(page, http.StatusOK, `value="password">`+name)
			if strings.Contains(page.body, "organisation’s sign-in") || strings.Contains(page.body, `value="continue"`) {
				t.Errorf("the page speaks of a provider:\n%s", main(page.body))
			}
		}
	})
}

// Strangers lock nobody out of the browser in which they proved themselves before,
// though they sit behind the same address; what that browser keeps opens nothing.
func TestStrangersLockNoBrowserOut_A22(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b := h.browser()
		secret := b.setUp()
		prove := func(b *browser, password, code string, times int) (a answer) {
			o := h.operate()
			b.prove(o.ID, url.Values{"step": {"password"}})
			for range times {
				a = b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {password}, "code": {code}})
			}
			return a
		}
		h.says(prove(b, phrase, codeOf(t, secret), 1), http.StatusOK, "Tell this code to nobody")
		time.Sleep(time.Minute)
		prove(h.browser(), "a wrong one that is long", "000000", 6)
		h.says(prove(h.browser(), phrase, codeOf(t, secret), 1), http.StatusOK, "too many wrong attempts")
		h.says(prove(b, phrase, "000000", 1), http.StatusOK, "do not belong together")
		h.says(prove(b, phrase, codeOf(t, secret), 1), http.StatusOK, "Tell this code to nobody")
		o := h.open("n1") // a sign-in at a machine makes its browser known as well
		other := h.browser()
		time.Sleep(time.Minute)
		other.prove(o.ID, url.Values{"step": {"password"}})
		h.says(other.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {codeOf(t, secret)}}), http.StatusOK, "is signed in")
		prove(h.browser(), "a wrong one that is long", "000000", 6)
		time.Sleep(30 * time.Second)
		h.says(prove(other, phrase, codeOf(t, secret), 1), http.StatusOK, "Tell this code to nobody")
	})
}
