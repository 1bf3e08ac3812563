package signin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequest: whatever path, query, cookie and form somebody sends who has no
// part in a sign-in, the answer is a page of ours, and the sign-in goes on.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/login/callback", "state=x&code=y", "", "")
	f.Add("GET", "/login/AAAAAAAAAAAAAAAAAAAAAAAAAA", "", "__Host-cordon-000000000000=x", "")
	f.Add("POST", "/login/AAAAAAAAAAAAAAAAAAAAAAAAAA", "", "a=b; a=c", "form=x&step=continue")
	f.Add("GET", "/login/callback", "error=access_denied&error_description=%3Cscript%3E&state=%00", "", "")
	f.Add("PUT", "/login/../login/%2e", "%zz;&&=", "\x00", "%")
	f.Fuzz(func(t *testing.T, verb, path, query, cookies, form string) {
		h := newHall(t)
		o := h.open("n1")
		b := h.browser()
		state := b.leave(o.ID)
		for _, p := range []string{path, "/login/" + o.ID, "/login/callback"} {
			r := &http.Request{Method: verb, URL: &url.URL{Path: p, RawQuery: strings.ReplaceAll(query, "STATE", state)}, RemoteAddr: "192.0.2.1:1",
				Header: http.Header{"Cookie": {cookies}, "Content-Type": {"application/x-www-form-urlencoded"}}, Body: io.NopCloser(strings.NewReader(form))}
			w := httptest.NewRecorder()
			h.desk.ServeHTTP(w, r)
			h.checkAnswer(answer{w, w.Body.String()})
			if w.Code == http.StatusInternalServerError || verb != http.MethodHead && w.Code < 400 {
				t.Errorf("%s %s?%s is answered %d", verb, p, query, w.Code)
			}
		}
		if len(h.provider.attempts) != 1 || h.provider.asked() != 0 {
			t.Error("a stranger moves the sign-in")
		}
		h.says(b.back(state, "code-ana"), http.StatusOK, "is signed in as")
	})
}
