// Package signin is the desk at which people sign in: it keeps the sign-ins
// that are under way, and serves the pages that lead a browser through one.
//
// A node opens a sign-in and shows its person a URL and a short code. The
// person's browser opens the URL and is bound to the sign-in by a cookie; the
// page says which machine asks, from where, and what will follow, and leads on
// to the provider only when told to. What comes back is redeemed there for an
// identity, which Config.Begin turns into a session or refuses.
//
//	opened -> claimed -> away, at the provider -> checking -> done | refused
//	   |         |        |
//	   +---------+--------+--> expired, Life after it was opened
//
// Its promises:
//
//   - Who sees a URL can't take over the sign-in of another: the first browser
//     that opens it is bound, and each further step needs its cookie.
//   - Who is sent a URL by a thief (device-code phishing) reads whose machine it
//     is before anything happens, and is asked; nothing goes on by itself.
//   - Every state of OAuth is used once; an answer of the provider counts for the
//     sign-in that asked for it and in the browser that asked.
//   - A node learns of its own sign-ins alone; another's is not found.
//   - A machine that is not in the mesh yet may open one by which it joins
//     (OpenJoin). It is nothing until a person has proved anew who they are, and
//     takes no room from the sign-ins of nodes.
//   - What a proof brought besides (Identity.Standing, by which a provider can be asked
//     on) is always somebody's: who begins, joins or operates takes it over, and at
//     every other end the desk lets it go.
//   - Memory is bounded, in all, per seat, node and address: a flood by one seat, node
//     or address takes no place from others. Everything ends.
//   - Strangers who have no account keep nobody from operating, or from bringing a
//     machine in, whose browser is known here: it has places of its own.
//   - Who operates gets their proof by a last code, which their own browser shows:
//     a thief who leads somebody through a sign-in of the thief's has nothing.
//   - No id, state, code of the provider or cookie is in a log, in an error or
//     in a page of another browser.
//   - Pages need no script, those of passkeys apart, and load nothing from elsewhere; what others wrote (names, a
//     provider's words) is shown as text, cut, and without control characters.
//
// People of the coordinator's own (Config.People) prove themselves on pages here: by
// password and code, or by a passkey, which takes the one script that there is, on
// pages of its own. By a link that an operator gave they set up either.
//
// What it leaves to others: who somebody is (Provider, People), whether that person may
// sign in there (Config.Begin), which node speaks (the caller). Device grants
// (RFC 8628) lead to the provider's page alone, so their person never sees ours:
// offer them only where a browser can't reach the coordinator.
//
// All but marks is in memory: a coordinator that restarts has forgotten the sign-ins under
// way, and their nodes begin again.
package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

var (
	// ErrNotFound: there is no such sign-in, or it is another node's.
	ErrNotFound = errors.New("no such sign-in: begin again")
	// ErrBusy: too many sign-ins are under way, or are begun too fast.
	ErrBusy = errors.New("too many sign-ins are under way: try again in a few minutes")
	// ErrNode: the node is not in the mesh.
	ErrNode = errors.New("no such node")
	// ErrNoJoin: no machine joins by a sign-in here.
	ErrNoJoin = errors.New("no machine joins this mesh by a sign-in: ask its admin for an enrolment string")
	// ErrNoGrant: there is no provider that could give a code to type in.
	ErrNoGrant = errors.New("there is no provider with device codes here: sign in without --device-code")
	// ErrBelow: the proof is not of the level that was asked for.
	ErrBelow = errors.New("the proof is not of the level that is needed")
	// ErrNoLevel: nobody could be asked for a proof of that level.
	ErrNoLevel = errors.New("no such level")
	// ErrStopped: Run has ended, so nobody would redeem a device grant.
	ErrStopped = errors.New("the sign-in desk is closed")
)

// Life is how long a sign-in may take, from Open to the provider's answer.
const Life = 10 * time.Minute

// Prefix is the path below which the pages are; CallbackPath is where the
// provider sends browsers back to.
const (
	Prefix       = "/login/"
	CallbackPath = Prefix + "callback"
)

// Attempt is one authorization request. Its secrets are drawn by the desk, have
// 130 random bits or more, and are used for one request only.
type Attempt struct {
	State, Nonce, Verifier string    // Verifier is PKCE's (RFC 7636)
	Afresh                 bool      // the person shall prove who they are after Begun
	ACR                    []string  // levels of which the proof shall have one; nil: any
	Begun                  time.Time // when the browser was led away
	Hint                   string    // login of the node's owner; may be empty
}

// Format prints nothing of the secrets, whatever the verb.
func (Attempt) Format(f fmt.State, _ rune) { fmt.Fprint(f, "signin.Attempt(hidden)") }

// LogValue is what a log shows of an Attempt, also one that encodes as JSON.
func (a Attempt) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(a)) }

// Grant is a device grant under way (RFC 8628).
type Grant struct {
	URL, Code string // of the provider, for the person
	Until     time.Time
	// Redeem waits until the person has agreed, refused or been too late. It
	// returns promptly when ctx ends.
	Redeem func(ctx context.Context) (registry.Identity, error)
}

// Provider proves who a person is. Texts of its errors are shown to the person
// and to the waiting node. Its methods are called by several goroutines.
type Provider interface {
	// AuthURL gives the address, http or https, to which a browser is sent.
	AuthURL(ctx context.Context, a Attempt) (string, error)
	// Redeem turns what the browser brought back into an identity. It fails with
	// ErrBelow if the provider gave none of the levels of a.
	Redeem(ctx context.Context, code string, a Attempt) (registry.Identity, error)
	// BeginGrant asks for a device grant, in which a proof from before since is none;
	// zero: any counts.
	BeginGrant(ctx context.Context, since time.Time) (Grant, error)
}

// Node is what the pages say of a machine.
type Node struct {
	ID          string
	Name        string // host name
	OS          string
	Fingerprint string   // of its key
	User        string   // login of its owner; empty for a tagged node
	Tags        []string // with "tag:"
}

// Config is what a desk needs. Now and Log may be nil: the clock, no log. One of
// Provider and People may be nil.
type Config struct {
	URL      string // of the coordinator, as browsers reach it: https://host or https://host:port
	Provider Provider
	People   *local.People // those whom the coordinator knows by itself
	// Node finds a node of the mesh.
	Node func(id string) (Node, bool)
	// Begin makes a session of a proved identity, at a seat of the node or at the whole
	// of it. Its Standing is Begin's from then on, as it is Join's, whatever comes of it. The text of its error is shown to the person and to the waiting node.
	Begin func(ctx context.Context, node, seat string, who registry.Identity) (wire.Session, error)
	// Join makes a machine a node of whoever proved who they are; nil: nobody can
	// join so. The text of its error is shown to the person and to the machine.
	Join func(ctx context.Context, m registry.Machine, who registry.Identity) (Joined, error)
	// Operator judges whether a proved identity may operate the mesh. The text of its
	// error is shown to the person. nil: nobody may; see Desk.OpenOperator.
	Operator func(who registry.Identity) error
	// Release lets go of an Identity.Standing that came with a proof of which nothing
	// became. nil: proofs have none. It is called under the desk's lock, and returns at once.
	Release func(standing string)
	// MarkKey is what browsers are marked with in which somebody has signed in, so that
	// they are known at the next desk that has it; nil: at this desk alone.
	MarkKey []byte
	Now     func() time.Time
	Log     *slog.Logger
}

// Joined is what became of a machine.
type Joined struct {
	Login string // whose it is
	Waits bool   // for an admin
}

// Request is what a node wishes.
type Request struct {
	DeviceCode bool   // by the provider's device grant, not by the pages
	Afresh     bool   // the person shall prove who they are anew; a device grant cannot ask for it, and is refused if they did not
	ACR        string // level of which the proof shall be; empty: any. No device grant can ask for one
	Seat       string // account of the node's operating system who asks; empty: the session is the whole machine's
}

// Opened is what a node shows its person.
type Opened struct {
	ID    string // for Await
	URL   string // which the person opens
	Code  string // which the person compares with the page, or types in at the provider; no secret of ours
	Until time.Time
}

// State is where a sign-in stands.
type State uint8

const (
	Pending State = iota
	Done          // Outcome.Session or Joined is set
	Refused       // Outcome.Reason says why
	Expired
)

// Outcome is what became of a sign-in. Reason is printable text of a bounded
// length.
type Outcome struct {
	State   State
	Reason  string
	Below   bool // refused, by ErrBelow
	Session wire.Session
	Joined  Joined // of a machine that joined
}

func (c *Config) validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("sign-in desk: url %q: want https://host or https://host:port", c.URL)
	}
	switch {
	case c.Provider == nil && c.People == nil:
		return errors.New("sign-in desk: no provider, and no people of its own")
	case c.Node == nil:
		return errors.New("sign-in desk: no function that finds nodes")
	case c.Begin == nil:
		return errors.New("sign-in desk: no function that begins sessions")
	}
	return nil
}
