package signin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// phase is where a sign-in stands, expiry apart: see stage.
type phase uint8

const (
	opened   phase = iota // its URL was given out
	claimed               // a browser opened it, and has the cookie
	away                  // the person is at the provider
	checking              // the provider's answer is redeemed
	ended                 // outcome is set
	expired               // only as a stage
)

// maxTries bounds how often one sign-in asks the provider where to lead a
// browser: a person comes back with the back button a few times, a script more
// often.
const maxTries = 8

// checkLimit is how long checking may take: no sign-in stays in it.
const checkLimit = 30 * time.Second

const _ = uint(linger - checkLimit)

// digest is the SHA-256 of a secret. Secrets are looked up by it, so that the
// time of a look-up says nothing of how much of a guess is right.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// signin is one sign-in under way. It is a pure machine: the clock and all that
// is random come from outside.
type signin struct {
	id, node, code string
	from           netip.Addr // of the node, when it asked
	asked          Request
	machine        *registry.Machine // that would join; nil: at a node of the mesh
	since, until   time.Time
	wanted         time.Time // when the node last asked, or waited, for what became of it

	pool   *pool     // where it is counted
	holder string    // there
	moved  time.Time // when its browser opened it, or first went on
	goneOn bool      // to prove who its person is

	phase   phase
	visits  account // of pages
	browser digest  // of the cookie; of nothing until claimed, and for ever of a device grant
	form    string  // token of the page's form; valid from claimed on
	attempt Attempt // valid while away and checking
	tries   int
	local   localState
	outcome Outcome       // valid when ended
	over    chan struct{} // closed when ended
	cancel  func()        // of a device grant; never nil

	operator  bool              // it is at no node: see OpenOperator
	challenge digest            // of its program's secret
	last      string            // code that the browser is shown at the end
	proof     registry.Identity // valid when done
	guesses   int
	spent     bool // nobody gets proof any more
}

// stage is the phase at a moment. An answer that came in time is checked to the
// end, and what has ended doesn't expire.
func (s *signin) stage(now time.Time) phase {
	if s.phase < checking && !now.Before(s.until) {
		return expired
	}
	return s.phase
}

// owned tells whether a browser that shows this cookie is the one that is bound.
func (s *signin) owned(cookie string) bool {
	got := digestOf(cookie)
	return subtle.ConstantTimeCompare(s.browser[:], got[:]) == 1
}

// claim binds the first browser that comes. It tells whether this one is bound,
// and whether it is so only now, so that it must be given the cookie.
func (s *signin) claim(now time.Time, cookie, freshCookie, form string) (fresh bool, p problem) {
	switch {
	case s.owned(cookie):
		return false, none
	case s.stage(now) == expired || s.asked.DeviceCode:
		return false, gone
	case s.phase != opened:
		return false, taken
	}
	s.phase, s.browser, s.form, s.moved = claimed, digestOf(freshCookie), form, now
	return true, none
}

// ready tells what stands against the form's being obeyed: both its token and
// the cookie are needed. SameSite alone is no protection: sites that share our
// domain are of the same site.
func (s *signin) ready(now time.Time, cookie, form string) problem {
	switch {
	case s.stage(now) == expired:
		return gone
	case !s.owned(cookie):
		return taken
	case subtle.ConstantTimeCompare([]byte(s.form), []byte(form)) != 1:
		return forged
	case s.phase != claimed && s.phase != away:
		return over
	}
	return none
}

// try counts a wish to be led to the provider, whether or not it can be.
func (s *signin) try() problem {
	if s.tries >= maxTries {
		return often
	}
	s.tries++
	return none
}

// arrive takes the provider's answer, once.
func (s *signin) arrive(now time.Time, state, cookie string) problem {
	switch {
	case !s.owned(cookie):
		return foreign
	case s.stage(now) == expired:
		return gone
	case subtle.ConstantTimeCompare([]byte(s.attempt.State), []byte(state)) != 1:
		return gone
	case s.phase != away:
		return over
	}
	s.phase = checking
	return none
}

// conclude ends the sign-in. Only the first end counts.
func (s *signin) conclude(o Outcome) {
	if s.phase == ended {
		return
	}
	s.phase, s.outcome = ended, o
	close(s.over)
	s.cancel()
}

// told is what the node may know now.
func (s *signin) told(now time.Time) Outcome {
	switch s.stage(now) {
	case ended:
		return s.outcome
	case expired:
		return Outcome{State: Expired}
	}
	return Outcome{}
}
