package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// leave leads a browser to the provider. The page does so by itself, and by a
// link where that is switched off. It is no answer of the form's own (303): a
// browser would hold form-action against the provider and every further site to
// which that one leads, such as a hospital's own behind a common one.
func (d *Desk) leave(w http.ResponseWriter, r *http.Request, id, token string) {
	if d.cfg.Provider == nil {
		d.pages.notice(w, garbled)
		return
	}
	a, p := d.draw(r, id, token)
	if p != none {
		d.stay(w, r, id, p)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkLimit)
	defer cancel()
	to, err := d.authURL(ctx, a)
	if err != nil {
		d.cfg.Log.Warn("the sign-in provider gives no address", "error", err)
		d.pages.show(w, http.StatusBadGateway, "trouble.html", struct{ Reason, Path string }{err.Error(), Prefix + id})
		return
	}
	p = d.obey(r, id, token, func(s *signin) problem { // once more: the provider took its time
		d.book.depart(s, a)
		return none
	})
	if p != none {
		d.stay(w, r, id, p)
		return
	}
	w.Header().Set("Refresh", "0; url="+to.String())
	d.pages.show(w, http.StatusOK, "leave.html", struct{ Host, URL string }{to.Host, to.String()})
}

// draw draws the secrets of an authorization request for a sign-in.
func (d *Desk) draw(r *http.Request, id, token string) (Attempt, problem) {
	var of *signin
	p := d.obey(r, id, token, func(s *signin) problem {
		of = s
		return s.try()
	})
	if p != none {
		return Attempt{}, p
	}
	host, ok := d.host(of)
	if !ok {
		return Attempt{}, absent
	}
	return drawAttempt(d.cfg.Now(), of.asked, host.User), none
}

// authURL gives an address that a browser may be sent to, or an error that may
// be shown.
func (d *Desk) authURL(ctx context.Context, a Attempt) (*url.URL, error) {
	text, err := d.cfg.Provider.AuthURL(ctx, a)
	if err != nil {
		return nil, errors.New(plain(err.Error(), a.State, a.Nonce, a.Verifier))
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, errors.New("the provider's address is none that a browser can open")
	}
	return u, nil
}

// callback takes what the provider sends back by way of the browser.
func (d *Desk) callback(w http.ResponseWriter, r *http.Request) {
	if d.cfg.Provider == nil {
		d.pages.notice(w, unknown)
		return
	}
	q, p := readAnswer(r)
	if p != none {
		d.pages.notice(w, p)
		return
	}
	var s *signin
	var a Attempt
	p = gone
	d.locked(func(now time.Time) {
		if s = d.book.byState(q.Get("state")); s != nil {
			p, a = s.arrive(now, q.Get("state"), cookie(r, s.id)), s.attempt
		}
	})
	switch {
	case p == over:
		d.stay(w, r, s.id, p)
	case p != none:
		d.pages.notice(w, p)
	default:
		d.finish(w, r, s, a, q)
		http.Redirect(w, r, Prefix+s.id, http.StatusSeeOther)
	}
}

// readAnswer reads the query of the callback: a state, and a code or an error,
// each once (RFC 6749 section 3.1).
func readAnswer(r *http.Request) (url.Values, problem) {
	q := r.URL.Query() // without what can't be read
	for _, name := range []string{"state", "code", "error", "error_description"} {
		if len(q[name]) > 1 {
			return nil, garbled
		}
	}
	if q.Get("state") == "" || (q.Get("code") == "") == (q.Get("error") == "") {
		return nil, garbled
	}
	return q, none
}

// finish brings a sign-in to its end. It goes on when the browser goes away: the
// provider's code is spent by then, and the node waits.
func (d *Desk) finish(w http.ResponseWriter, r *http.Request, s *signin, a Attempt, q url.Values) {
	if code := q.Get("error"); code != "" {
		d.refuse(s, refusal(code, q.Get("error_description")))
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), checkLimit)
	defer cancel()
	who, err := d.cfg.Provider.Redeem(ctx, q.Get("code"), a)
	if err != nil {
		d.fail(s, err, q.Get("code"), a.State, a.Nonce, a.Verifier)
		return
	}
	d.begin(ctx, s, who)
	d.mark(w, s, who)
}

// refusal says what the provider's error means: RFC 6749 section 4.1.2.1, OpenID
// Connect Core section 3.1.2.6.
func refusal(code, description string) string {
	text := "the provider refused: " + code
	switch code {
	case "access_denied":
		text = "it was declined at the provider (access_denied)"
	case "server_error", "temporarily_unavailable":
		text = "the provider can't serve now (" + code + ")"
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		text = "the provider asked nothing, and needs to (" + code + ")"
	}
	if description != "" {
		text += ". It says: " + description
	}
	return plain(text)
}
