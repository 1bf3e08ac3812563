package coordinator

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// SignIn is how people sign in: through an OpenID Connect provider, or as people whom
// the coordinator knows by itself.
type SignIn struct {
	Issuer     string // https URL, byte for byte as the provider names itself; empty: nobody can sign in
	ClientID   string
	SecretFile string // file with the client's secret, readable by the coordinator alone; empty: a public client

	Scopes      []string // besides openid; nil: profile and email
	LoginClaim  string   // that names a person as the policy does; empty: email, if the provider verified it
	GroupsClaim string   // that lists a person's groups; empty: groups

	// Local lets people sign in whom the coordinator knows by itself, by password and
	// code or by a passkey; beside a provider, or without one.
	Local bool

	// PasswordMemory is what hashing one password takes, in MiB, from 12 to 1024; 0: 64.
	PasswordMemory int

	Life time.Duration // of a session, from 10 seconds to 30 days; 0: 12 hours

	// Check is how often the provider is asked whether it still stands by those who are
	// signed in, where it gave a refresh token; from a second to a day. 0: every 5
	// minutes. Less: never.
	Check time.Duration
	// DeviceLife is how long a proof of who somebody is keeps their machine in the mesh,
	// from a minute to ten years; 0: 180 days, where people can sign in; negative, or
	// where they cannot: for good.
	DeviceLife time.Duration

	// AdminIdle is how long an admin session (`cordonctl login`) lasts without a call, from
	// a minute to an hour; 0: 10 minutes; negative: until its end.
	AdminIdle time.Duration

	Join string // what becomes of a machine that joins by a sign-in: JoinOff, JoinApprove or JoinOpen; empty: JoinApprove, where people can sign in
}

const (
	sessionLife = 12 * time.Hour
	deviceLife  = 180 * 24 * time.Hour
)

func (s *SignIn) validate() error {
	if err := s.validateJoin(); err != nil {
		return err
	}
	if err := s.validateProvider(); err != nil {
		return err
	}
	if s.PasswordMemory != 0 && (s.PasswordMemory < 12 || s.PasswordMemory > 1024) {
		return notAllowed("password-memory", fmt.Sprint(s.PasswordMemory), "12 to 1024 (MiB)")
	}
	return s.validateTimes()
}

func (s *SignIn) validateProvider() error {
	switch {
	case s.Issuer == "" && (s.ClientID != "" || s.SecretFile != ""):
		return notAllowed("oidc-issuer", "", "the provider's URL, for there are a client id or a secret for it")
	case s.Issuer != "" && s.ClientID == "":
		return notAllowed("oidc-client-id", "", "the id that the provider gave this coordinator")
	}
	return nil
}

// validateTimes lets pass what stands for a default or for never.
func (s *SignIn) validateTimes() error {
	if s.Life != 0 && (s.Life < 10*time.Second || s.Life > registry.MaxSessionLife) {
		return notAllowed("session-life", s.Life.String(), fmt.Sprintf("from 10s to %v", registry.MaxSessionLife))
	}
	if s.DeviceLife > 0 && (s.DeviceLife < time.Minute || s.DeviceLife > registry.MaxDeviceLife) {
		return notAllowed("device-life", s.DeviceLife.String(), fmt.Sprintf("from 1m to %v, or 0: for good", registry.MaxDeviceLife))
	}
	if s.AdminIdle > 0 && (s.AdminIdle < time.Minute || s.AdminIdle > adminapi.AdminLife) {
		return notAllowed("admin-idle", s.AdminIdle.String(), fmt.Sprintf("from 1m to %v, or 0: until the session ends by time", adminapi.AdminLife))
	}
	if s.Check > 0 && (s.Check < minCheck || s.Check > maxCheck) {
		return notAllowed("oidc-check", s.Check.String(), fmt.Sprintf("from %v to %v, or 0 for never", minCheck, maxCheck))
	}
	return nil
}

// adminIdle gives how long admin sessions last without a call; 0: until their end.
func (s *SignIn) adminIdle() time.Duration {
	switch {
	case s.AdminIdle < 0:
		return 0
	case s.AdminIdle == 0:
		return adminapi.AdminIdle
	}
	return s.AdminIdle
}

// openDesk opens the desk at which people sign in, if there is a provider or the
// coordinator knows people by itself.
func (a *assembly) openDesk() error {
	c := signin.Config{URL: a.settings.URL, Now: a.Now, Log: a.Log, Node: a.signInAt, Begin: a.beginSession, MarkKey: a.markKey()}
	if a.SignIn.Issuer == "" {
		a.openRefresh(false)
	} else if err := a.openProvider(&c); err != nil {
		return err
	}
	if err := a.openPeople(); err != nil {
		return err
	}
	if c.People = a.people; c.Provider == nil && c.People == nil {
		return nil
	}
	c.Operator = func(who registry.Identity) error { return adminapi.MayOperate(a.registry.Snapshot(), who) }
	if a.SignIn.joins() {
		c.Join = a.joinMachine
	}
	var err error
	if a.desk, err = signin.New(c); err == nil {
		a.api.Desk = a.desk
	}
	return err
}

// markKey gives the key by which browsers are known in which somebody signed in, or makes
// one. Without that the coordinator serves as well: known browsers are strangers again.
func (a *assembly) markKey() []byte {
	path := filepath.Join(a.StateDir, fileMarks)
	if key, err := os.ReadFile(path); err == nil && len(key) == sha256.Size {
		return key
	}
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: crypto/rand
	if err := os.WriteFile(path, key, 0o600); err != nil {
		a.Log.Warn("the key by which browsers are known cannot be kept: after a restart these are strangers among others", "path", path, "error", err)
	}
	return key
}

// openProvider lets people prove who they are at the provider.
func (a *assembly) openProvider(c *signin.Config) (err error) {
	secret, err := a.SignIn.secret()
	if err != nil {
		return err
	}
	rows := a.openRefresh(secret != "" && a.SignIn.Check >= 0)
	if a.provider, err = a.newProvider(secret); err != nil {
		return err
	}
	if a.SignIn.Check >= 0 {
		a.watching = standing.NewWatch(a.standing(a.provider), a.asking(a.provider))
		a.resume(rows)
	}
	a.told = standing.NewDoor(a.standing(a.provider))
	c.Provider, c.Release = desked{a.provider}, a.provider.Release
	return nil
}

// secret reads the client's secret; empty: it is a public one.
func (s *SignIn) secret() (string, error) {
	if s.SecretFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(s.SecretFile)
	if err != nil {
		return "", fmt.Errorf("oidc-client-secret-file: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return "", fmt.Errorf("oidc-client-secret-file: %s is empty; a public client has no such file", s.SecretFile)
	}
	return secret, nil
}

func (a *assembly) newProvider(secret string) (*oidc.Provider, error) {
	return oidc.New(oidc.Config{
		Issuer: a.SignIn.Issuer, ClientID: a.SignIn.ClientID, ClientSecret: secret, Scopes: a.SignIn.Scopes,
		LoginClaim: a.SignIn.LoginClaim, GroupsClaim: a.SignIn.GroupsClaim, ExternalClaim: a.SCIM.claim(),
		RedirectURL: strings.TrimSuffix(a.settings.URL, "/") + signin.CallbackPath, Rows: a.rows(), Now: a.Now, Log: a.Log,
	})
}

// serveDesk asks for sign-in, where nobody said otherwise, and keeps the desk until
// ctx ends.
func (a *assembly) serveDesk(ctx context.Context) error {
	if _, err := a.registry.Do(ctx, registry.System, registry.RequireSignIn{Required: true, Default: true}); err != nil && ctx.Err() == nil {
		return fmt.Errorf("requiring sign-in: %w", err)
	}
	if !a.registry.Snapshot().SignIn {
		a.Log.Warn("people can sign in and need not: a machine's key alone opens what its owner may; `cordonctl user require-sign-in on` ends that")
	}
	if err := a.desk.Run(ctx); ctx.Err() == nil {
		return fmt.Errorf("the sign-in desk ended: %w", err)
	}
	return nil
}

// pages gives what browsers are shown.
func (a *assembly) pages() http.Handler {
	if a.desk == nil {
		return http.NotFoundHandler()
	}
	return a.desk
}

// forDesk tells whether a request is for the pages, which strangers' browsers see:
// no node and no operator's tool has a sign-in of its own.
func (a *assembly) forDesk(r *http.Request) bool {
	return a.desk != nil && strings.HasPrefix(r.URL.Path, signin.Prefix) &&
		r.TLS != nil && r.TLS.ServerName != wire.NodeServerName && r.TLS.ServerName != admin.ServerName
}

// signInAt gives what the pages say of a node.
func (a *assembly) signInAt(id string) (signin.Node, bool) {
	n, ok := a.registry.Snapshot().Node(id)
	if !ok {
		return signin.Node{}, false
	}
	return signin.Node{ID: n.ID, Name: n.Name, OS: n.OS, Fingerprint: n.ID, User: n.Owner(), Tags: n.Tags}, true
}

func (a *assembly) beginSession(ctx context.Context, node, seat string, who registry.Identity) (wire.Session, error) {
	begin := a.newSession(node, who)
	begin.Seat = seat
	r, err := a.registry.Do(ctx, registry.UserActor(who.Login), begin)
	a.stand(who, r, err)
	if err != nil {
		return wire.Session{}, err
	}
	return r.Session.Wire(), nil
}

// adminWatched stands before the id of an admin session where the provider is asked for
// that: it is at no node, and no session has such an id.
const adminWatched = "admin/"

// stand has the provider asked from time to time whether it stands by the session
// that somebody's proof began, also one in which they operate, or lets go of the proof if
// it began none: it was refused, or by it a machine joined that had joined already.
func (a *assembly) stand(who registry.Identity, r registry.Result, err error) {
	if who.Standing == "" {
		return
	}
	one := standing.Watched{Subject: who.Subject, Standing: who.Standing}
	switch {
	case err != nil || a.watching == nil:
	case r.Session != nil:
		one.Node, one.Session = r.Session.Node, r.Session.ID
	case r.Token != nil && r.Token.Holder != "":
		one.Session = adminWatched + r.Token.ID
	}
	if one.Session == "" {
		a.provider.Release(who.Standing)
		return
	}
	a.provider.Bind(who.Standing, one.Session)
	a.watching.Add(one)
}

// desked is a provider as the desk knows one.
type desked struct{ *oidc.Provider }

func (p desked) attempt(a signin.Attempt) oidc.Attempt {
	return oidc.Attempt{State: a.State, Nonce: a.Nonce, Verifier: a.Verifier, Begun: a.Begun, Afresh: a.Afresh, ACR: a.ACR, Hint: a.Hint}
}

func (p desked) AuthURL(ctx context.Context, a signin.Attempt) (string, error) {
	return p.Provider.AuthURL(ctx, p.attempt(a))
}

func (p desked) Redeem(ctx context.Context, code string, a signin.Attempt) (registry.Identity, error) {
	who, err := p.Provider.Redeem(ctx, code, p.attempt(a))
	if errors.Is(err, oidc.ErrBelow) {
		err = below{err}
	}
	return who, err
}

// below is a provider's ErrBelow as the desk knows one, in the provider's words.
type below struct{ error }

func (below) Is(target error) bool { return target == signin.ErrBelow }

func (p desked) BeginGrant(ctx context.Context, since time.Time) (signin.Grant, error) {
	g, err := p.Provider.BeginGrant(ctx, since)
	if err != nil {
		return signin.Grant{}, err
	}
	return signin.Grant{URL: g.URL, Code: g.Code, Until: g.Until, Redeem: func(ctx context.Context) (registry.Identity, error) {
		return p.Provider.RedeemGrant(ctx, g)
	}}, nil
}
