// Package local proves who people are whom no provider knows: a clinic's own, each
// with a password and codes of an authenticator app (RFC 6238), or with passkeys
// (WebAuthn).
//
// The registry holds, for each person, what a proof is checked against. A proof is
// three steps here, in this order: throttle, check, and have it count. The last is
// the registry's: its one writer lets a code, and each count of a passkey, count once.
//
// Its promises:
//
//   - Who guesses learns nothing: an unknown login, a wrong password and a wrong code
//     cost the same and are told the same, and password and code are judged together.
//   - Guesses are few: by login and node, by login, and by node; at a node of several
//     people by their accounts (seats) too. At a machine that
//     has an owner only the owner's login is judged. No stranger locks a person out for
//     good: a lock-out ends by itself, does not hold at that person's own machine
//     nor where they have proved themselves lately, and never holds for passkeys.
//     Outside of the mesh, where anybody may guess, there are counts of their own.
//   - Guesses cost no more memory than [Slots] of them at a time, and wait in a line in
//     which no machine has more than some places, and people at machines that know them
//     have places of their own.
//   - What the registry holds opens nothing by itself: password hashes and secrets of
//     codes are sealed with a [Key], which lives in a file of its own.
//   - No password, code, secret or link is in an error or in a log.
//
// Nobody recovers by themselves. A forgotten password or a lost telephone is an
// operator's to answer, by a new link that works once; [People.SetUp] takes it.
//
// It leaves to others: which machine a person signs in at, pages, and whether the
// person may (the registry, when a session begins).
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// What a person is told. None of it says which part of a proof was wrong.
var (
	// ErrWrong: no such person, or the password, the code or the passkey is not theirs,
	// or the code has counted before.
	ErrWrong = errors.New("login, password and code do not belong together, or the code was used before: wait for the app to show a new one, and try again")
	// ErrMachine: the machine has an owner, who is not whoever has that login, if
	// anybody has it.
	ErrMachine = errors.New("this machine is one person's own: only that person signs in at it")
	// ErrPasskey: the passkey is not known here, or was not used as it must.
	ErrPasskey = errors.New("this passkey does not sign anybody in here")
	// ErrBusy: more proofs are checked than this machine has room for.
	ErrBusy = errors.New("too many people sign in at this moment: try again in some seconds")
	// ErrLink: the link was used, is too old, or never was.
	ErrLink = errors.New("this link was used already, is too old, or never was: ask your administrator for a new one")
	// ErrCode: the code that shall show that an app is set up is none of it.
	ErrCode = errors.New("the code is not what the app should show now: look whether your telephone's clock is right, and type the newest code")
	// ErrNoPasskeys: browsers know passkeys only for hosts with a name.
	ErrNoPasskeys = errors.New("passkeys need a coordinator whose URL has a name, not an address")
)

// WaitError says that too many proofs were wrong.
type WaitError struct{ For time.Duration }

// Error says how long to wait, in whole minutes: a clock to the second helps who
// guesses more than who mistypes.
func (e *WaitError) Error() string {
	minutes := int((e.For + time.Minute - 1) / time.Minute)
	return fmt.Sprintf("too many wrong attempts: wait %d min, or use a passkey", minutes)
}

// Registry is where people are known. Its methods are called by several goroutines.
type Registry interface {
	Snapshot() *registry.State
	Do(ctx context.Context, actor registry.Actor, c registry.Command) (registry.Result, error)
}

// Config is what it takes to prove people. Log may be nil.
type Config struct {
	URL      string // of the coordinator, as browsers reach it: passkeys are bound to its host
	Key      *Key
	Registry Registry
	Cost     Cost // of a password's hash; zero: DefaultCost
	Now      func() time.Time
	Log      *slog.Logger

	// Alarm hears that [People.LockedOut] has got another, and must not block; nil:
	// nobody does.
	Alarm func()
}

// Proof is what a person typed.
type Proof struct{ Login, Password, Code string }

// Format prints nothing of a proof, whatever the verb.
func (Proof) Format(f fmt.State, _ rune) { fmt.Fprint(f, "local.Proof(hidden)") }

// LogValue is what a log shows of a Proof, also one that encodes as JSON.
func (p Proof) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(p)) }

// SetUp is what a person needs who sets up how they prove who they are.
type SetUp struct {
	Login    string
	Until    time.Time // when the link ends
	Secret   string    // of the codes, in base32; the same whenever the link is opened in that browser
	URI      string    // that an authenticator app reads from a QR code: otpauth://totp/...
	Passkeys bool      // whether there can be any
}

// Format prints nothing of the secret, whatever the verb.
func (SetUp) Format(f fmt.State, _ rune) { fmt.Fprint(f, "local.SetUp(hidden)") }

// Stats counts since the start.
type Stats struct {
	Proved, Wrong, Throttled, LockOuts uint64
}

// People proves people. It may be used by several goroutines.
type People struct {
	cfg      Config
	host     string
	hasher   *hasher
	passkeys *passkeys // nil: there can be none
	guard    guard
	openings openings
	nobody   []byte // the hash of a password that nobody has
}

// New makes what proves people. It fails if the URL is none.
func New(cfg Config) (*People, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("local people: url %q: want https://host or https://host:port", cfg.URL)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Alarm == nil {
		cfg.Alarm = func() {}
	}
	if cfg.Cost == (Cost{}) {
		cfg.Cost = DefaultCost()
	}
	p := &People{cfg: cfg, host: u.Hostname(), hasher: newHasher(cfg.Cost), guard: guard{throttle: newThrottle(), outside: newThrottle()}}
	p.nobody = p.hasher.nobody()
	if _, err := netip.ParseAddr(p.host); err != nil {
		if p.passkeys, err = newPasskeys(u); err != nil {
			return nil, fmt.Errorf("local people: passkeys for %s: %w", p.host, err)
		}
	}
	return p, nil
}

// Passkeys tells whether people can have passkeys here.
func (p *People) Passkeys() bool { return p.passkeys != nil }

// Stats gives what was counted.
func (p *People) Stats() Stats { return p.guard.stats() }
