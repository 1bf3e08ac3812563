package signin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// SetUpPrefix is the path below which links are that an operator gave a person, and
// scriptPath where the one script is.
const (
	SetUpPrefix = Prefix + "set-up/"
	scriptPath  = Prefix + "passkey.js"
)

// ownPage is a page that only people of the coordinator's own need.
type ownPage struct {
	script bool
	link   string // else
	what   string // "", "password" or "passkey"
}

// ownPage tells which of these a path names: /login/set-up/LINK, with /password and
// /passkey behind it, and the script.
func (d *Desk) ownPage(path string) (ownPage, bool) {
	if d.cfg.People == nil {
		return ownPage{}, false
	}
	rest, ok := strings.CutPrefix(path, SetUpPrefix)
	if !ok {
		return ownPage{script: true}, path == scriptPath
	}
	link, what, deeper := strings.Cut(rest, "/")
	known := what == "password" || what == "passkey" && d.cfg.People.Passkeys()
	return ownPage{link: link, what: what}, isID(link) && deeper == known
}

func (d *Desk) serveOwn(w http.ResponseWriter, r *http.Request, at ownPage) {
	switch p := d.routeOwn(r, at); {
	case p == method:
		w.Header().Set("Allow", allowed(at.what == ""))
		d.pages.notice(w, p)
	case p != none:
		d.pages.notice(w, p)
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusOK)
	case at.script:
		d.pages.sendScript(w)
	case r.Method == http.MethodPost:
		d.setUp(w, r, at)
	default:
		d.showSetUp(w, r, at, "")
	}
}

// routeOwn judges a request by its form alone.
func (d *Desk) routeOwn(r *http.Request, at ownPage) problem {
	post := r.Method == http.MethodPost
	switch {
	case !at.script && !d.welcomeLink(r, at.link):
		return hasty
	case len(r.URL.RawQuery) > 0:
		return long
	case r.Method != http.MethodGet && r.Method != http.MethodHead && (!post || at.what == ""):
		return method
	case at.script:
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
			return embedded
		}
		return none
	}
	return fetched(r, post)
}

// welcomeLink counts a request of the link that it shows, or else of its address: no
// stranger there uses up what others need. The script is in memory, and is not counted.
func (d *Desk) welcomeLink(r *http.Request, link string) (ok bool) {
	if !d.cfg.People.Open(link) {
		return d.welcome(r)
	}
	d.locked(func(now time.Time) { ok = d.links.allow(now, link) })
	return ok
}

// setUpView is what a page of a link shows.
type setUpView struct {
	local.SetUp
	Path    string
	Options string // of a passkey
	Drawing drawing
	Wrong   string
}

// Groups cuts the secret so that it can be typed.
func (v setUpView) Groups() string {
	var out []string
	for s := v.Secret; s != ""; s = s[min(4, len(s)):] {
		out = append(out, s[:min(4, len(s))])
	}
	return strings.Join(out, " ")
}

// browserOf gives the secret by which a browser is known at a link's pages, and gives it
// one when it first comes: that is told to the audit, for a link has one person.
func (d *Desk) browserOf(w http.ResponseWriter, r *http.Request, link string) string {
	if shown := cookie(r, link); isID(shown) {
		return shown
	}
	fresh := drawSecret()
	http.SetCookie(w, &http.Cookie{Name: cookieName(link), Value: fresh, Path: "/", MaxAge: int(registry.MaxLinkLife.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	d.cfg.People.Opened(r.Context(), link, remote(r))
	return fresh
}

// showSetUp shows a page of a link; wrong says why what was sent is not taken.
func (d *Desk) showSetUp(w http.ResponseWriter, r *http.Request, at ownPage, wrong string) {
	if !d.cfg.People.Open(at.link) {
		d.pages.notice(w, spent)
		return
	}
	what, err := d.cfg.People.SetUp(at.link, d.browserOf(w, r, at.link))
	if err != nil {
		d.pages.notice(w, spent)
		return
	}
	v := setUpView{SetUp: what, Path: SetUpPrefix + at.link, Wrong: wrong}
	v.Until = v.Until.In(d.cfg.Now().Location())
	name := map[string]string{"": "set-up.html", "password": "set-up-password.html", "passkey": "set-up-passkey.html"}[at.what]
	switch at.what {
	case "password":
		v.Drawing, err = draw(what.URI)
	case "passkey":
		d.pages.scripted(w.Header())
		v.Options, err = d.cfg.People.BeginEnrolment(at.link)
	}
	if err != nil {
		d.pages.notice(w, spent)
		return
	}
	status := http.StatusOK
	if wrong != "" {
		status = http.StatusUnprocessableEntity
	}
	d.pages.show(w, status, name, v)
}

// setUp obeys the form of a link's page. Who knows the link may: it needs no other token.
// Codes are of the browser that they were shown in.
func (d *Desk) setUp(w http.ResponseWriter, r *http.Request, at ownPage) {
	r.Body = http.MaxBytesReader(w, r.Body, maxProof)
	if err := r.ParseForm(); err != nil {
		d.pages.notice(w, garbled)
		return
	}
	browser := cookie(r, at.link)
	what, err := d.cfg.People.SetUp(at.link, browser)
	if err != nil {
		d.pages.notice(w, spent)
		return
	}
	f := r.PostForm
	switch {
	case at.what == "passkey":
		err = d.cfg.People.EnrolPasskey(r.Context(), remote(r), at.link, f.Get("answer"))
	case !isID(browser):
		err = errors.New("this page was not opened in this browser, or its cookies are blocked: allow them, and have your app read the code below anew")
	case f.Get("password") != f.Get("again"):
		err = errors.New("the two passwords are not the same: type it twice")
	default:
		err = d.cfg.People.SetPassword(r.Context(), remote(r), at.link, browser, f.Get("password"), f.Get("code"))
	}
	switch {
	case errors.Is(err, local.ErrLink):
		d.pages.notice(w, spent)
	case err != nil:
		d.showSetUp(w, r, at, plain(err.Error(), at.link, f.Get("password"), f.Get("answer")))
	default:
		d.pages.show(w, http.StatusOK, "set-up-done.html", what)
	}
}
