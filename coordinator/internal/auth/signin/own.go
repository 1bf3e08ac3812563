package signin

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// maxProofs bounds how often one sign-in is tried with a wrong proof. How often a
// login or an address is, local.People bounds.
const maxProofs = 12

// way is how a person of the coordinator's own proves who they are.
type way uint8

const (
	unchosen way = iota
	byPassword
	byPasskey
)

// localState is where a sign-in stands with a person of the coordinator's own. It
// stays claimed while they are at it, and is checking while a proof is judged.
type localState struct {
	way      way
	ceremony string // of the passkey that is asked for; used once
	proofs   int
	login    string // as typed last
	wrong    string // why the last proof was refused
}

// localView is what a page shows of that.
type localView struct {
	way      way
	Login    string
	Wrong    string
	Options  string // of a passkey
	Passkeys bool
}

// Heading says on the pages of people of the coordinator's own what they sign in for.
func (v view) Heading() string {
	switch {
	case v.of.operator:
		return "Sign in to operate the mesh"
	case v.of.machine != nil:
		return "Sign in to let " + v.Node.Name + " join as yours"
	}
	return "Sign in at " + v.Node.Name
}

// Forward is on the button that goes on.
func (v view) Forward() string {
	if v.of.machine != nil {
		return "Continue, it is my computer"
	}
	return "Continue to sign in"
}

// ByPassword tells which of the two ways it is.
func (l localView) ByPassword() bool { return l.way == byPassword }

func (l *localState) view() localView { return localView{way: l.way, Login: l.login, Wrong: l.wrong} }

// place gives where a person proves themselves. Guesses are counted by machine and seat; whoever
// operates, or wants a machine in, is at none, and has as many keys and programs as they
// like.
func (s *signin) place(r *http.Request, host Node) local.Place {
	at := local.Place{From: remote(r)}
	if c, err := r.Cookie(knownCookie); err == nil {
		at.Browser = c.Value
	}
	if s.machine != nil || s.operator {
		at.Outside = neighbourhood(at.From).String()
		return at
	}
	at.Node, at.Seat, at.Owner = host.ID, s.asked.Seat, host.User
	return at
}

// knownCookie keeps what local.People remembers a browser by. It opens nothing.
const knownCookie = "__Host-cordon-known"

// remember has a browser keep that somebody has proved who they are in it.
func (d *Desk) remember(w http.ResponseWriter, who registry.Identity) {
	http.SetCookie(w, &http.Cookie{Name: knownCookie, Value: d.cfg.People.Remember(who), Path: "/", MaxAge: int(local.Remembered.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// choose takes the way that a person has chosen, or back to where they choose.
func (d *Desk) choose(w http.ResponseWriter, r *http.Request, id, token, step string) {
	chosen := map[string]way{"password": byPassword, "passkey": byPasskey, "back": unchosen}[step]
	if d.cfg.People == nil || chosen == byPasskey && !d.cfg.People.Passkeys() {
		d.pages.notice(w, garbled)
		return
	}
	d.stay(w, r, id, d.obey(r, id, token, func(s *signin) problem {
		s.phase, s.local.way, s.local.wrong, s.local.ceremony = claimed, chosen, "", ""
		s.goOn(d.cfg.Now())
		return over
	}))
}

// showOwn shows the page on which a person proves themselves.
func (d *Desk) showOwn(w http.ResponseWriter, v view) {
	if v.Local.Passkeys = d.cfg.People.Passkeys(); v.Local.way == byPassword {
		if v.Local.Login == "" {
			v.Local.Login = v.Node.User
		}
		d.pages.show(w, http.StatusOK, "password.html", v)
		return
	}
	options, ceremony, err := d.cfg.People.BeginPasskey()
	if err != nil {
		d.pages.notice(w, garbled)
		return
	}
	v.Local.Options = options
	d.locked(func(now time.Time) {
		if s := d.book.byID(now, v.id); s != nil && s.local.way == byPasskey {
			s.local.ceremony = ceremony
		}
	})
	d.pages.scripted(w.Header())
	d.pages.show(w, http.StatusOK, "passkey.html", v)
}

// prove judges what a person typed, or what their passkey answered. It goes on when the
// browser goes away: a code is spent by then, and the node waits.
func (d *Desk) prove(w http.ResponseWriter, r *http.Request, id, token string) {
	if d.cfg.People == nil {
		d.pages.notice(w, garbled)
		return
	}
	var s *signin
	var at localState
	p := d.obey(r, id, token, func(one *signin) problem {
		s, at = one, one.local
		return one.present(r.PostFormValue("login"))
	})
	if p != none {
		d.stay(w, r, id, p)
		return
	}
	host, ok := d.host(s)
	if !ok {
		d.refuse(s, "the machine has left the network")
		d.pages.notice(w, absent)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), checkLimit)
	defer cancel()
	who, err := d.judge(ctx, r, at, s.place(r, host))
	if err == nil {
		d.remember(w, who)
		d.begin(ctx, s, who)
		d.mark(w, s, who)
	} else {
		d.disprove(s, plain(err.Error()))
	}
	d.stay(w, r, id, over)
}

// present takes a proof: none other is, until it is judged.
func (s *signin) present(login string) problem {
	if s.local.way == unchosen {
		return over
	}
	s.phase, s.local.ceremony, s.local.wrong = checking, "", ""
	s.local.login = login[:min(len(login), maxReason)]
	s.local.proofs++
	return none
}

func (d *Desk) judge(ctx context.Context, r *http.Request, at localState, place local.Place) (registry.Identity, error) {
	if at.way == byPasskey {
		return d.cfg.People.Passkey(ctx, place, at.ceremony, r.PostFormValue("answer"))
	}
	return d.cfg.People.Password(ctx, place, local.Proof{Login: r.PostFormValue("login"), Password: r.PostFormValue("password"), Code: r.PostFormValue("code")})
}

// disprove lets a person try again, for a while.
func (d *Desk) disprove(s *signin, why string) {
	spent := false
	d.locked(func(time.Time) {
		if spent = s.local.proofs >= maxProofs; s.phase == checking {
			s.phase, s.local.wrong = claimed, why
		}
	})
	if spent {
		d.refuse(s, "it was tried too many times with what was wrong")
	}
}

// remote gives the address of a browser, as its connection has it.
func remote(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
