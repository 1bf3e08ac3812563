package signin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// An operator signs in from a program that is no node, so that nobody knows who
// opens such a sign-in: see lobby. When the person has proved who they are, their browser
// shows a last code, and only who types it into the program that began gets the
// proof: that program has a secret, whose digest it gave at the beginning. A thief who sends somebody the address of a sign-in of their own would
// also have to be told that code.

// maxGuesses bounds how often the last code of a sign-in is tried: of 20^8.
const maxGuesses = 5

var (
	// ErrNoOperators: nobody can sign in to operate, for there is no Config.Operator.
	ErrNoOperators = errors.New("nobody can sign in to operate this mesh")
	// ErrPending: the person has not come to an end in their browser.
	ErrPending = errors.New("the sign-in is not finished in the browser")
	// ErrCode: it is not the code that the browser showed.
	ErrCode = errors.New("that is not the code that the browser shows at the end")
)

// OpenOperator begins a sign-in of an operator, whose program asked from an
// address, and gave the SHA-256 of a secret of its own. The person proves afresh who they are. It fails with [ErrNoOperators].
func (d *Desk) OpenOperator(from netip.Addr, challenge [sha256.Size]byte) (Opened, error) {
	if d.cfg.Operator == nil {
		return Opened{}, ErrNoOperators
	}
	from = from.Unmap()
	s := &signin{id: drawSecret(), node: "operators at " + neighbourhood(from).String(), code: drawCode(), from: from,
		asked: Request{Afresh: true}, over: make(chan struct{}), cancel: func() {}, operator: true, challenge: challenge, last: drawCode()}
	if err := d.add(s); err != nil {
		return Opened{}, fmt.Errorf("sign in to operate: %w", err)
	}
	d.cfg.Log.Debug("an operator's sign-in is opened", "from", from)
	return Opened{ID: s.id, URL: d.url + Prefix + s.id, Code: s.code, Until: s.until}, nil
}

// Prove gives who an operator proved to be, once, for the secret of the program
// that began and the last code that their browser was shown. It fails with
// [ErrNotFound], also for another secret, [ErrPending], [ErrCode], or with the
// reason for which the sign-in was refused. The proof's Standing is the caller's then.
func (d *Desk) Prove(id, code, secret string) (who registry.Identity, err error) {
	d.locked(func(now time.Time) {
		if s := d.book.byID(now, id); s == nil || !s.operator || !s.begunBy(secret) {
			err = ErrNotFound
		} else {
			if who, err = s.prove(now, code); s.spent {
				d.forget(s.give())
			}
		}
	})
	return who, err
}

// begunBy tells whether a secret is that of the program that began.
func (s *signin) begunBy(secret string) bool {
	got := digestOf(secret)
	return subtle.ConstantTimeCompare(s.challenge[:], got[:]) == 1
}

func (s *signin) prove(now time.Time, code string) (registry.Identity, error) {
	switch stage := s.stage(now); {
	case s.spent, stage == expired:
		return registry.Identity{}, ErrNotFound
	case stage != ended:
		return registry.Identity{}, ErrPending
	case s.outcome.State != Done:
		return registry.Identity{}, errors.New("the sign-in was refused: " + s.outcome.Reason)
	}
	s.guesses++
	s.spent = s.guesses >= maxGuesses
	if subtle.ConstantTimeCompare([]byte(typed(code)), []byte(typed(s.last))) != 1 {
		return registry.Identity{}, ErrCode
	}
	s.spent = true
	return s.give(), nil
}

// give gives the proof away: the sign-in has none from then on.
func (s *signin) give() (who registry.Identity) {
	who, s.proof = s.proof, registry.Identity{}
	return who
}

// forget lets go of a proof of which nothing becomes.
func (d *Desk) forget(who registry.Identity) {
	if who.Standing != "" && d.cfg.Release != nil {
		d.cfg.Release(who.Standing)
	}
}

// typed gives a code as people type it, in one form.
func typed(code string) string {
	return strings.NewReplacer("-", "", " ", "").Replace(strings.ToUpper(code))
}

// awaited tells whether an operator's proof is still to be fetched.
func (s *signin) awaited() bool { return s.operator && !s.spent && s.outcome.State == Done }

// admit keeps who an operator proved to be, and ends the sign-in.
func (d *Desk) admit(s *signin, who registry.Identity) {
	if err := d.cfg.Operator(who); err != nil {
		d.forget(who)
		d.refuse(s, plain(err.Error()))
		return
	}
	d.cfg.Log.Info("an operator proved who they are", "from", s.from, "login", who.Login)
	d.locked(func(time.Time) {
		s.proof = who
		s.conclude(Outcome{State: Done})
	})
}

// host gives what the pages say of the machine of a sign-in.
func (d *Desk) host(s *signin) (Node, bool) {
	switch {
	case s.operator:
		return Node{Name: "cordonctl"}, true
	case s.machine != nil:
		return Node{ID: s.node, Name: registry.Label(s.machine.Name), OS: s.machine.OS, Fingerprint: s.node}, true
	}
	return d.cfg.Node(s.node)
}
