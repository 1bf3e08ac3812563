package local

import (
	"context"
	"net/netip"
	"strings"
	"time"
)

// FactSignedIn names, among what a rule needs, that a person is signed in at the
// source.
const FactSignedIn = "signed-in"

// StepsUp tells whether a sign-in here can give all that is missing, and whether the
// person has to prove anew who they are for it.
func (r Refusal) StepsUp() (afresh, yes bool) {
	for _, need := range r.Needs {
		switch kind, rest, _ := strings.Cut(need, ":"); kind {
		case FactSignedIn:
			yes = true
		case "mfa":
			afresh, yes = true, true
		case "session": // which has ended by idleness, or never began: whoever is there now must say who they are
			if strings.Contains(rest, "kind=") && !strings.Contains(rest, "kind=login") {
				return false, false
			}
			afresh, yes = true, true
		case "person": // whoever of those signs in is one
		default:
			return false, false
		}
	}
	return afresh, yes && r.Outbound
}

// Level gives the level of which a proof has to be for what is missing (`acr`), in the
// provider's words; empty: of any, or of one that the fact is too long to tell.
func (r Refusal) Level() string {
	for _, need := range r.Needs {
		if _, level, ok := strings.Cut(need, ":acr="); ok && strings.HasPrefix(need, "mfa:") {
			return level
		}
	}
	return ""
}

// Session is a person who signed in at this machine.
type Session struct {
	ID    string    `json:"id"`
	User  string    `json:"user"`            // login, as the policy names people
	At    time.Time `json:"at"`              // when the person last proved who they are
	Until time.Time `json:"until"`           // exclusive, by policy time
	AMR   []string  `json:"amr,omitempty"`   // how (RFC 8176)
	ACR   string    `json:"acr,omitempty"`   // at which level, in the provider's words
	Ended bool      `json:"ended,omitempty"` // its end has passed, by policy time, or the person signed out

	// SignedOut says that it ended here, on this machine's own word: the coordinator is
	// told when it can be reached, and its map may hold the session until then.
	SignedOut bool `json:"signedOut,omitempty"`

	// At a machine of several people a session is that of one account, whose programs
	// speak with addresses of their own.
	Account   string       `json:"account,omitempty"` // decimal uid
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Own are the addresses from which a sign-in of who reads the status opens flows: of
// their own sessions where each has its own, else the machine's.
func (s *Status) Own() (own []netip.Addr) {
	for _, one := range s.Sessions {
		own = append(own, one.Addresses...)
	}
	if len(own) == 0 {
		return s.Addresses
	}
	return own
}

// SessionsResponse tells who is signed in at this machine, as the map has it: the
// coordinator need not be there.
type SessionsResponse struct {
	SignIn    bool      `json:"signIn"`              // what people may, they may only while signed in
	SignedOut bool      `json:"signedOut,omitempty"` // that is so, this is a person's machine, and nobody is
	Shared    bool      `json:"shared,omitempty"`    // several people use the machine, and these are the caller's own unless that is root
	Sessions  []Session `json:"sessions"`
}

// StatusRequest asks what the daemon is doing.
type StatusRequest struct {
	// StepUp says that a person reads the answer who can sign in: if this machine was
	// refused a flow in the last minute for want of what a sign-in gives, and none is
	// under way, the daemon opens one, and the answer shows it.
	StepUp bool `json:"stepUp,omitempty"`
}

// LoginRequest opens a sign-in.
type LoginRequest struct {
	// DeviceCode asks for the provider's device grant (RFC 8628): for a person whose
	// browser cannot reach the coordinator.
	DeviceCode bool `json:"deviceCode,omitempty"`
	// Afresh asks the person to prove anew who they are, even if the provider
	// remembers them.
	Afresh bool `json:"afresh,omitempty"`
	// ACR asks the provider for a proof of that level; the sign-in is refused if it gives
	// none. Empty: any.
	ACR string `json:"acr,omitempty"`
}

// Login is a sign-in under way. A person takes it on from there with a browser.
type Login struct {
	ID    string    `json:"id"`
	URL   string    `json:"url"`
	Code  string    `json:"code,omitempty"` // that the page shows, to compare, or asks for
	Until time.Time `json:"until"`          // it will have ended before
	ACR   string    `json:"acr,omitempty"`  // the level that the provider is asked for
}

// AwaitLoginRequest names a sign-in.
type AwaitLoginRequest struct {
	ID string `json:"id"`
}

// LoginState is how a sign-in ended, in one word.
type LoginState string

// How a sign-in may end.
const (
	LoginDone    LoginState = "done"
	LoginRefused LoginState = "refused"
	LoginExpired LoginState = "expired"
)

// LoginOutcome is how a sign-in ended.
type LoginOutcome struct {
	State   LoginState `json:"state"`
	Reason  string     `json:"reason,omitempty"`  // of a refusal
	Session *Session   `json:"session,omitempty"` // if done
}

// LogoutRequest ends sessions at this machine.
type LogoutRequest struct {
	Session string `json:"session,omitempty"` // by id; empty: all, or the caller's own where several people use the machine
}

// LogoutResponse tells how many ended.
type LogoutResponse struct {
	Ended int `json:"ended"`
	// Away says that they ended here alone: the coordinator is told when it can be reached.
	Away bool `json:"away,omitempty"`
}

// Login opens a sign-in.
func (c *Client) Login(ctx context.Context, r LoginRequest) (*Login, error) {
	return call[Login](ctx, c, PathLogin, r)
}

// AwaitLogin returns when a sign-in has ended, which takes as long as the person
// does.
func (c *Client) AwaitLogin(ctx context.Context, r AwaitLoginRequest) (*LoginOutcome, error) {
	return call[LoginOutcome](ctx, c, PathAwaitLogin, r)
}

// Logout ends sessions.
func (c *Client) Logout(ctx context.Context, r LogoutRequest) (*LogoutResponse, error) {
	return call[LogoutResponse](ctx, c, PathLogout, r)
}

// Sessions asks who is signed in.
func (c *Client) Sessions(ctx context.Context) (*SessionsResponse, error) {
	return call[SessionsResponse](ctx, c, PathSessions, struct{}{})
}
