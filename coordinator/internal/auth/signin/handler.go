package signin

import (
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Bounds of what a browser may send. A provider's code may have two thousand
// characters.
const (
	maxQuery = 8 << 10
	maxForm  = 4 << 10
	maxProof = 32 << 10 // of people of the coordinator's own: a passkey's answer has some kilobytes
)

// ServeHTTP serves the pages: GET and POST of /login/ID, GET of /login/callback, and
// what people of the coordinator's own need besides: see ownPage. It believes no header about where a request comes from but the connection. How
// long a request may take to come in is for its server to bound.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.pages.guard(w.Header())
	if at, ours := d.ownPage(r.URL.Path); ours {
		d.serveOwn(w, r, at)
		return
	}
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

// welcome counts a request: of the sign-in whose secret it shows, or else of its
// address.
func (d *Desk) welcome(r *http.Request) (ok bool) {
	var from netip.Addr
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from = at.Addr()
	}
	d.locked(func(now time.Time) {
		if s := d.shown(now, r); s != nil {
			ok = s.visits.allow(now, pace{visitsAtOnce, visitsPerSecond})
		} else {
			ok = d.strays.allow(now, neighbourhood(from).String())
		}
	})
	return ok
}

// shown gives the sign-in whose id or state a request shows, nil if there is none.
func (d *Desk) shown(now time.Time, r *http.Request) *signin {
	if r.URL.Path != CallbackPath {
		return d.book.byID(now, strings.TrimPrefix(r.URL.Path, Prefix))
	}
	if len(r.URL.RawQuery) > maxQuery {
		return nil
	}
	return d.book.byState(r.URL.Query().Get("state"))
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

// cookie gives what the browser shows for a sign-in, "" if nothing.
func cookie(r *http.Request, id string) string {
	if c, err := r.Cookie(cookieName(id)); err == nil {
		return c.Value
	}
	return ""
}

// view is what a page shows, copied under the lock.
type view struct {
	Node    Node
	Seat    string // account at the machine; empty: the whole machine
	Code    string
	From    netip.Addr
	Until   time.Time
	Path    string
	Form    string
	Outcome Outcome
	stage   phase
	of      *signin // what never changes of it
	last    string  // if it is done, and an operator's
	login   string
	id      string

	Elsewhere bool // there is a provider
	Own       bool // there are people of the coordinator's own
	Local     localView
}

// page shows a sign-in where it stands, and binds it to the first browser.
func (d *Desk) page(w http.ResponseWriter, r *http.Request, id string) {
	shown, fresh, form, person := cookie(r, id), drawSecret(), drawSecret(), d.marks.whose(d.cfg.Now(), r)
	var v view
	bound, p := false, gone
	d.locked(func(now time.Time) {
		if s := d.book.byID(now, id); s != nil {
			if p = d.book.admit(now, s, person); p == none {
				bound, p = s.claim(now, shown, fresh, form)
			}
			if p == none {
				v = d.viewOf(s, now)
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

func (d *Desk) maxBody() int64 {
	if d.cfg.People == nil {
		return maxForm
	}
	return maxProof
}

// viewOf copies what a page shows of a sign-in.
func (d *Desk) viewOf(s *signin, now time.Time) view {
	v := s.view(now)
	v.id, v.Elsewhere, v.Own, v.Local = s.id, d.cfg.Provider != nil, d.cfg.People != nil, s.local.view()
	return v
}

func (s *signin) view(now time.Time) view {
	v := view{Seat: s.asked.Seat, Code: s.code, From: s.from, Until: s.until, Path: Prefix + s.id, Form: s.form, Outcome: s.outcome, stage: s.stage(now), of: s}
	if s.awaited() {
		v.last, v.login = s.last, s.proof.Login
	}
	return v
}

func (d *Desk) showView(w http.ResponseWriter, v view) {
	node, ok := d.host(v.of)
	if !ok {
		d.pages.notice(w, absent)
		return
	}
	v.Node = node
	if v.Local.way != unchosen && v.stage < checking {
		d.showOwn(w, v)
		return
	}
	name, data := "confirm.html", any(v)
	switch {
	case v.of.operator:
		name = "operate.html"
	case v.of.machine != nil:
		name = "join.html"
	}
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
	switch {
	case v.of.operator && o.State == Done:
		return "operated.html", struct{ Login, Last string }{v.login, v.last}
	case o.State != Done && v.of.machine != nil:
		return "unjoined.html", struct {
			Node   Node
			Reason string
		}{v.Node, o.Reason}
	case o.State != Done:
		return "refused.html", struct {
			Node   Node
			Reason string
		}{v.Node, o.Reason}
	case v.of.machine != nil:
		return "joined.html", struct {
			Node   Node
			Joined Joined
		}{v.Node, o.Joined}
	}
	o.Session.Until = o.Session.Until.In(zone)
	return "done.html", struct {
		Node    Node
		Session any
	}{v.Node, o.Session}
}

// step obeys the form of the page.
func (d *Desk) step(w http.ResponseWriter, r *http.Request, id string) {
	r.Body = http.MaxBytesReader(w, r.Body, d.maxBody())
	err := r.ParseForm()
	form, steps := r.PostForm["form"], r.PostForm["step"]
	if err != nil || len(form) > 1 || len(steps) != 1 {
		d.pages.notice(w, garbled)
		return
	}
	token := strings.Join(form, "")
	switch steps[0] {
	case "decline":
		d.decline(w, r, id, token)
	case "continue":
		d.leave(w, r, id, token)
	case "password", "passkey", "back":
		d.choose(w, r, id, token, steps[0])
	case "proof", "answer":
		d.prove(w, r, id, token)
	default:
		d.pages.notice(w, garbled)
	}
}

// obey calls f under the lock if the form may be obeyed, and tells what stands
// against it.
func (d *Desk) obey(r *http.Request, id, token string, f func(s *signin) problem) problem {
	p := gone
	d.locked(func(now time.Time) {
		if s := d.book.byID(now, id); s != nil {
			if p = s.ready(now, cookie(r, id), token); p == none {
				p = f(s)
			}
		}
	})
	return p
}

// decline ends a sign-in that its person did not begin.
func (d *Desk) decline(w http.ResponseWriter, r *http.Request, id, token string) {
	var declined *signin
	p := d.obey(r, id, token, func(s *signin) problem {
		s.conclude(Outcome{State: Refused, Reason: "it was declined in the browser: the person did not begin it"})
		declined = s
		return over
	})
	if declined != nil {
		d.cfg.Log.Warn("somebody was led to a sign-in that they say they did not begin", "node", declined.node, "from", declined.from, "browser", r.RemoteAddr)
	}
	d.stay(w, r, id, p)
}

// stay answers a step that leads nowhere else: with a page of its own, or with
// the sign-in's, which says where things stand.
func (d *Desk) stay(w http.ResponseWriter, r *http.Request, id string, p problem) {
	if p == over {
		http.Redirect(w, r, Prefix+id, http.StatusSeeOther)
		return
	}
	d.pages.notice(w, p)
}
