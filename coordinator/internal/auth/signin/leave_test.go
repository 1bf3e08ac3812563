package signin_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// leads gives every address to which the page leads that says goodbye.
func leads(a answer) (all []string) {
	for _, m := range regexp.MustCompile(`(?:href|src|action|content|url)="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		if to := html.UnescapeString(m[1]); strings.Contains(to, "/") {
			all = append(all, to)
		}
	}
	to, _ := strings.CutPrefix(a.Header().Get("Refresh"), "0; url=")
	return append(all, to)
}

// A51: the page that leads away leads to the provider, by itself and by its link, whatever
// the browser says besides: nobody makes a coordinator's address one of theirs.
func TestPageLeadsAwayToTheProviderAlone_A51(t *testing.T) {
	const evil = "https://evil.example/"
	for name, say := range map[string]func(b *browser, form url.Values) (query string){
		"nothing": func(*browser, url.Values) string { return "" },
		"fields": func(_ *browser, form url.Values) string {
			for _, field := range []string{"url", "next", "to", "redirect_uri", "return_to", "continue", "RelayState"} {
				form.Set(field, evil)
			}
			return ""
		},
		"a query": func(*browser, url.Values) string {
			return "?" + url.Values{"url": {evil}, "next": {evil}, "redirect_uri": {evil}, "step": {"continue"}}.Encode()
		},
		"headers": func(b *browser, _ url.Values) string {
			for _, field := range []string{"X-Forwarded-Host", "Forwarded", "X-Original-Url", "X-Rewrite-Url", "Referer", "X-Forwarded-Prefix"} {
				b.send.Set(field, evil)
			}
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, h *hall) {
				b, o := h.browser(), h.open("n1")
				form := url.Values{"form": {token(b.get("/login/" + o.ID).body)}, "step": {"continue"}}
				query := say(b, form)
				for _, host := range []string{"", "https://evil.example"} { // as the request line or the header Host names it
					a := b.do(http.MethodPost, host+"/login/"+o.ID+query, form.Encode())
					h.says(a, http.StatusOK, "You are being led to <strong>idp.example</strong>")
					to := "https://idp.example/authorize?scope=openid&state=" + h.provider.last().State
					if all := leads(a); len(all) != 2 || all[0] != to || all[1] != to {
						t.Errorf("leads to %q, want %s", all, to)
					}
					if said := a.body + a.Header().Get("Refresh") + a.Header().Get("Location"); strings.Contains(said, "evil") {
						t.Errorf("repeats what the browser said:\n%s", said)
					}
				}
			})
		})
	}
}

// What the provider's own address holds is shown as text, and is one header.
func TestAddressOfTheProviderIsText_A51(t *testing.T) {
	for _, to := range []string{
		`https://idp.example/a?x="><script>alert(1)</script>&y='`, `https://idp.example/a;url=javascript:alert(1)`, `https://idp.example/a?x=%0d%0aSet-Cookie:%20x=1`,
		`https://idp.example/a#"onclick=alert(1)`,
	} {
		within(t, func(t *testing.T, h *hall) {
			h.provider.address = to
			b, o := h.browser(), h.open("n1")
			a := b.submit(o.ID, token(b.get("/login/"+o.ID).body), "continue")
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			h.says(a, http.StatusOK, "<strong>"+u.Host+"</strong>")
			wrote := a.body
			if all := leads(a); len(all) != 2 || all[1] != u.String() || len(a.Header()["Refresh"]) != 1 || strings.ContainsAny(all[1], "\r\n") {
				t.Errorf("%s: leads to %q", to, all)
			}
			if link, err := url.Parse(leads(a)[0]); err != nil || link.Host != u.Host || link.Path != u.Path {
				t.Errorf("%s: the link is %q", to, leads(a)[0])
			}
			if strings.Contains(wrote, "<script") || strings.Contains(wrote, `"onclick`) {
				t.Errorf("%s: is markup:\n%s", to, wrote)
			}
		})
	}
}
