package signin

import (
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Bounds of what a browser may send. A provider's code may have two thousand
// characters.
const (
	maxQuery = 8 << 10
	maxForm  = 4 << 10
)

// ServeHTTP serves the pages: GET and POST of /login/ID, GET of /login/callback.
// It believes no header about where a request comes from but the connection.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.pages.guard(w.Header())
	id, callback, p := d.route(r)
	switch {
	case p == method:
		w.Header().Set("Allow", allowed(callback))
		d.pages.notice(w, p)
	case p != none:
		d.pages.notice(w, p)
	case r.Method == http.MethodHead: // changes nothing, and tells nothing
		w.WriteHeader(http.StatusOK)
	case callback:
		d.callback(w, r)
	case r.Method == http.MethodPost:
		d.step(w, r, id)
	default:
		d.page(w, r, id)
	}
}

// route judges a request by its form alone: what is refused here has cost nothing.
func (d *Desk) route(r *http.Request) (id string, callback bool, p problem) {
	callback = r.URL.Path == CallbackPath
	id, ok := strings.CutPrefix(r.URL.Path, Prefix)
	post := r.Method == http.MethodPost
	switch {
	case !d.welcome(r):
		return "", false, hasty
	case len(r.URL.RawQuery) > maxQuery:
		return "", false, long
	case !callback && (!ok || !isID(id)):
		return "", false, unknown
	case r.Method != http.MethodGet && r.Method != http.MethodHead && (!post || callback):
		return "", callback, method
	}
	return id, callback, fetched(r, post)
}

func allowed(callback bool) string {
	if callback {
		return "GET, HEAD"
	}
	return "GET, HEAD, POST"
}

// welcome counts a request of an address.
func (d *Desk) welcome(r *http.Request) (ok bool) {
	var from netip.Addr
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from = at.Addr()
	}
	d.locked(func(now time.Time) { ok = d.visits.allow(now, neighbourhood(from).String()) })
	return ok
}

// fetched judges what the browser says of why it asks (Fetch Metadata). Another
// site that loads a page as an image or a frame must not bind a sign-in to a
// browser that can't keep the cookie; a browser that fetches ahead neither. Old
// browsers say nothing: the cookie and the form's token protect these.
func fetched(r *http.Request, post bool) problem {
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		return early
	}
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return embedded
	}
	if site := r.Header.Get("Sec-Fetch-Site"); post && site != "" && site != "same-origin" {
		return forged
	}
	return none
}

// cookie gives what the browser shows for a sign-in: "" if nothing or several.
func cookie(r *http.Request, id string) string {
	if all := r.CookiesNamed(cookieName(id)); len(all) == 1 {
		return all[0].Value
	}
	return ""
}

// view is what a page shows, copied under the lock.
type view struct {
	Node    Node
	Code    string
	From    netip.Addr
	Until   time.Time
	Path    string
	Form    string
	Outcome Outcome
	stage   phase
}

// page shows a sign-in where it stands, and binds it to the first browser.
func (d *Desk) page(w http.ResponseWriter, r *http.Request, id string) {
	shown, fresh, form := cookie(r, id), drawSecret(), drawSecret()
	var v view
	bound, p := false, gone
	d.locked(func(now time.Time) {
		if s := d.book.byID(now, id); s != nil {
			if bound, p = s.claim(now, shown, fresh, form); p == none {
				v = s.view(now)
			}
		}
	})
	if p != none {
		d.pages.notice(w, p)
		return
	}
	if bound {
		http.SetCookie(w, &http.Cookie{Name: cookieName(id), Value: fresh, Path: "/", MaxAge: int((Life + linger).Seconds()),
			Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	d.showView(w, v)
}

func (s *signin) view(now time.Time) view {
	return view{Node: Node{ID: s.node}, Code: s.code, From: s.from, Until: s.until, Path: Prefix + s.id, Form: s.form, Outcome: s.outcome, stage: s.stage(now)}
}

func (d *Desk) showView(w http.ResponseWriter, v view) {
	node, ok := d.cfg.Node(v.Node.ID)
	if !ok {
		d.pages.notice(w, absent)
		return
	}
	v.Node = node
	v.Until = v.Until.In(d.cfg.Now().Location())
	name, data := "confirm.html", any(v)
	switch v.stage {
	case checking:
		name = "checking.html"
	case expired:
		d.pages.notice(w, gone)
		return
	case ended:
		name, data = v.end(d.cfg.Now().Location())
	}
	d.pages.show(w, http.StatusOK, name, data)
}

func (v view) end(zone *time.Location) (string, any) {
	o := v.Outcome
	if o.State != Done {
		return "refused.html", struct {
			Node   Node
			Reason string
		}{v.Node, o.Reason}
	}
	o.Session.Until = o.Session.Until.In(zone)
	return "done.html", struct {
		Node    Node
		Session any
	}{v.Node, o.Session}
}

// step obeys the form of the page.
func (d *Desk) step(w http.ResponseWriter, r *http.Request, id string) {
	form, p := readForm(w, r)
	if p == none {
		p = d.check(id, cookie(r, id), form.Get("form"))
	}
	switch {
	case p != none:
		d.stay(w, r, id, p)
	case form.Get("step") == "decline":
		d.decline(w, r, id)
	case form.Get("step") == "continue":
		d.leave(w, r, id, form.Get("form"))
	default:
		d.pages.notice(w, garbled)
	}
}

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, problem) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, garbled
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil || len(r.PostForm["form"]) > 1 || len(r.PostForm["step"]) != 1 {
		return nil, garbled
	}
	return r.PostForm, none
}

func (d *Desk) check(id, cookie, form string) problem {
	p := gone
	d.locked(func(now time.Time) {
		if s := d.book.byID(now, id); s != nil {
			p = s.ready(now, cookie, form)
		}
	})
	return p
}

// stay answers a step that is not taken: a page of its own, or the sign-in's,
// which says where things stand.
func (d *Desk) stay(w http.ResponseWriter, r *http.Request, id string, p problem) {
	if p == over {
		http.Redirect(w, r, Prefix+id, http.StatusSeeOther)
		return
	}
	d.pages.notice(w, p)
}

// decline ends a sign-in that its person did not begin.
func (d *Desk) decline(w http.ResponseWriter, r *http.Request, id string) {
	d.locked(func(now time.Time) {
		if s := d.book.byID(now, id); s != nil && s.stage(now) < checking {
			d.cfg.Log.Warn("somebody was led to a sign-in that they say they did not begin", "node", s.node, "from", s.from, "browser", r.RemoteAddr)
			s.conclude(Outcome{State: Refused, Reason: "it was declined in the browser: the person did not begin it"})
		}
	})
	http.Redirect(w, r, Prefix+id, http.StatusSeeOther)
}
