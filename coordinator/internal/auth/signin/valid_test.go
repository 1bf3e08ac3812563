package signin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// checkAnswer holds what must be so of every answer, whatever it is.
func (h *hall) checkAnswer(a answer) {
	h.t.Helper()
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
		if got := a.Header().Get(name); got != want {
			h.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	csp := directives(a.Header().Get("Content-Security-Policy"))
	for name, want := range map[string]string{"default-src": "'none'", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
		"require-trusted-types-for": "'script'"} {
		if csp[name] != want {
			h.t.Errorf("%s is %q, want %q", name, csp[name], want)
		}
	}
	scripted := strings.Count(a.body, `<script src="/login/passkey.js" defer></script>`) == 1 && csp["script-src"] == "'self'"
	for name := range csp {
		if strings.HasSuffix(name, "-src") && name != "default-src" && name != "style-src" && !(scripted && name == "script-src") {
			h.t.Errorf("the policy opens %s", name)
		}
	}
	h.checkRedirect(a)
	if h.unjudged {
		return
	}
	h.checkLeaks(a)
	if strings.Contains(a.body, "<script") && !scripted {
		h.t.Errorf("a script is on a page that may have none, or not that one:\n%s", a.body)
	}
	if a.body != "" && a.Code != http.StatusSeeOther && strings.HasPrefix(a.Header().Get("Content-Type"), "text/html") {
		for _, problem := range judge(a.body, csp["style-src"]) {
			h.t.Errorf("a page %s:\n%s", problem, a.body)
		}
	}
}

// checkRedirect: answers lead to the desk's own paths, or by Refresh to the provider.
func (h *hall) checkRedirect(a answer) {
	h.t.Helper()
	if to := a.Header().Get("Location"); to != "" && !strings.HasPrefix(to, "/login/") {
		h.t.Errorf("an answer leads to %s", to)
	}
	if to := a.Header().Get("Refresh"); to != "" && !strings.HasPrefix(to, "0; url=https://idp.example/") {
		h.t.Errorf("an answer refreshes to %s", to)
	}
}

// checkLeaks: what only the provider and the desk know is in no answer. A cookie
// is in its own header alone; a state is where the browser takes it on from.
func (h *hall) checkLeaks(a answer) {
	h.t.Helper()
	head := a.Header().Clone()
	head.Del("Set-Cookie")
	head.Del("Refresh")
	headers := fmt.Sprint(head)
	text := a.body + headers
	h.provider.mu.Lock()
	attempts := slices.Clone(h.provider.attempts)
	h.provider.mu.Unlock()
	for _, at := range attempts {
		if strings.Contains(text, at.Nonce) || strings.Contains(text, at.Verifier) || strings.Contains(headers, at.State) {
			h.t.Errorf("an answer holds a secret of an attempt:\n%s", text)
		}
		if strings.Contains(a.body, at.State) && a.Header().Get("Refresh") == "" {
			h.t.Errorf("a page holds a state:\n%s", a.body)
		}
	}
	for _, c := range a.Result().Cookies() {
		if strings.Contains(text, c.Value) {
			h.t.Errorf("a page holds its cookie:\n%s", text)
		}
	}
	if strings.Contains(text, "code-ana") || strings.Contains(text, "code-eve") {
		h.t.Errorf("an answer holds the provider's code:\n%s", text)
	}
}

func directives(policy string) map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(policy, ";") {
		name, values, _ := strings.Cut(strings.TrimSpace(part), " ")
		all[name] = values
	}
	return all
}

// judge says what is wrong with a page: for those who can't see it well, and for
// the policy it is under.
func judge(page, styles string) (problems []string) {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return []string{err.Error()}
	}
	count := map[string]int{}
	say := func(bad bool, what string) {
		if bad {
			problems = append(problems, what)
		}
	}
	for n := range doc.Descendants() {
		if n.Type == html.DoctypeNode {
			count["doctype"]++
		}
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		problems = append(problems, judgeElement(n)...)
		if n.Data == "style" {
			hash := sha256.Sum256([]byte(text(n)))
			say(styles != "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'", "has a style that its policy forbids")
		}
	}
	for _, name := range []string{"doctype", "html", "title", "h1", "main", "header", "style"} {
		say(count[name] != 1, fmt.Sprintf("has %d of %s", count[name], name))
	}
	say(!strings.Contains(page, `<meta name="viewport" content="width=device-width, initial-scale=1">`), "does not fit a small screen")
	return problems
}

func judgeElement(n *html.Node) (problems []string) {
	say := func(bad bool, what string) {
		if bad {
			problems = append(problems, what)
		}
	}
	known := strings.Fields("html head meta title style body header main h1 h2 p dl div dt dd strong time form input button a label span code svg rect path script noscript")
	say(!slices.Contains(known, n.Data), "has an element "+n.Data)
	for _, a := range n.Attr {
		say(strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" && n.Data != "script" || a.Key == "autofocus", "has an attribute "+a.Key)
	}
	switch n.Data {
	case "html":
		say(attr(n, "lang") != "en", "has no language")
	case "title", "h1", "h2", "button", "a":
		say(strings.TrimSpace(text(n)) == "", "has an empty "+n.Data)
	case "input":
		say(attr(n, "type") != "hidden" && !labelled(n), "has an input without a label")
	case "script":
		say(attr(n, "src") != "/login/passkey.js" || text(n) != "", "has a script of its own")
	case "svg":
		say(attr(n, "role") != "img" || attr(n, "aria-label") == "", "has a picture without words")
	case "form":
		say(attr(n, "method") != "post" || !strings.HasPrefix(attr(n, "action"), "/login/"), "has a form that leads elsewhere")
	}
	if n.Data == "a" {
		to := attr(n, "href")
		say(!strings.HasPrefix(to, "/login/") && !strings.HasPrefix(to, "https://idp.example/"), "leads to "+to)
	}
	return problems
}

// labelled tells whether a label of the page is for a field.
func labelled(field *html.Node) bool {
	top := field
	for top.Parent != nil {
		top = top.Parent
	}
	for n := range top.Descendants() {
		if n.Data == "label" && attr(n, "for") != "" && attr(n, "for") == attr(field, "id") {
			return true
		}
	}
	return false
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}
