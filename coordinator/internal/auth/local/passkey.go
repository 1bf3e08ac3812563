package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// maxAnswer bounds what a browser may send of a passkey, in bytes: keys and signatures
// of RSA are the largest.
const maxAnswer = 16 << 10

// passkeys leads through the ceremonies of WebAuthn. A passkey must be on the device
// that shows it and verify its user, by a PIN, a finger or a face: so it is two factors,
// and is asked for without a login.
type passkeys struct{ lib *webauthn.WebAuthn }

func newPasskeys(u *url.URL) (*passkeys, error) {
	origin := u.Scheme + "://" + strings.TrimSuffix(u.Host, ":443") // as browsers write it
	lib, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Cordon", RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, err
	}
	return &passkeys{lib}, nil
}

// owner is a person as the library knows one.
type owner struct {
	subject, login, name string
	keys                 []registry.Passkey
}

func ownerOf(u *registry.User, l *registry.Local) owner {
	name := u.Name
	if name == "" {
		name = u.Login
	}
	return owner{u.Subject, u.Login, name, l.Passkeys}
}

func (o owner) WebAuthnID() []byte          { return []byte(o.subject) }
func (o owner) WebAuthnName() string        { return o.login }
func (o owner) WebAuthnDisplayName() string { return o.name }

func (o owner) WebAuthnCredentials() (all []webauthn.Credential) {
	for _, k := range o.keys {
		all = append(all, webauthn.Credential{ID: k.ID, PublicKey: k.Key,
			Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: k.Synced},
			Authenticator: webauthn.Authenticator{SignCount: k.Count}})
	}
	return all
}

// BeginPasskey gives what a browser's navigator.credentials.get is called with, in JSON,
// and the ceremony, which the caller keeps from everybody and uses once.
func (p *People) BeginPasskey() (options, ceremony string, err error) {
	if p.passkeys == nil {
		return "", "", ErrNoPasskeys
	}
	asked, session, err := p.passkeys.lib.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return "", "", err
	}
	return encodePair(asked.Response, session)
}

func encodePair(options, session any) (string, string, error) {
	a, err1 := json.Marshal(options)
	b, err2 := json.Marshal(session)
	return string(a), string(b), errors.Join(err1, err2)
}

// Passkey proves a person by what their browser answered to a ceremony. It fails with
// ErrPasskey. Lock-outs do not touch it: what is random by 256 bits is not guessed.
func (p *People) Passkey(ctx context.Context, at Place, ceremony, answer string) (registry.Identity, error) {
	l, used, err := p.judgePasskey(ceremony, answer)
	if err == nil {
		var who registry.Identity
		who, err = p.count(ctx, l.User, registry.ProveLocal{User: l.User, Generation: l.Generation, Node: at.Node, Seat: at.Seat, Passkey: used.ID, Count: used.Authenticator.SignCount}, methods(used.Flags.BackupEligible))
		if err == nil {
			p.guard.locked(func() { p.guard.counted.Proved++ })
			return who, nil
		}
		if errors.Is(err, registry.ErrReplayed) {
			p.cfg.Log.Warn("a passkey is used that may have been copied", "error", err, "node", at.Node, "from", at.From)
		} else if !errors.Is(err, registry.ErrNotFound) && !errors.Is(err, registry.ErrStale) {
			return registry.Identity{}, err
		}
	}
	p.guard.locked(func() { p.guard.counted.Wrong++ })
	p.cfg.Log.Info("a passkey was refused", "node", at.Node, "from", at.From, "why", kind(err))
	return registry.Identity{}, ErrPasskey
}

// methods says how somebody with a passkey has proved who they are (RFC 8176): they hold
// a key, and the device has verified them. Nothing proves that a key is in hardware, so
// none is said to be; one that is copied between devices is in none.
func methods(synced bool) []string {
	if synced {
		return []string{"mfa", "pop", "swk", "user"}
	}
	return []string{"mfa", "pop", "user"}
}

func (p *People) judgePasskey(ceremony, answer string) (l *registry.Local, used *webauthn.Credential, err error) {
	var session webauthn.SessionData
	if p.passkeys == nil {
		return nil, nil, ErrNoPasskeys
	}
	if err := json.Unmarshal([]byte(ceremony), &session); err != nil {
		return nil, nil, err
	}
	if len(answer) > maxAnswer {
		return nil, nil, errors.New("the answer is too long")
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return nil, nil, err
	}
	find := func(_, handle []byte) (webauthn.User, error) {
		user := registry.LocalID(string(handle))
		state := p.cfg.Registry.Snapshot()
		u, known := state.User(user)
		theirs, ok := state.Local(user)
		if !known || !ok {
			return nil, errors.New("nobody has that passkey")
		}
		l = theirs
		return ownerOf(u, l), nil
	}
	used, err = p.passkeys.lib.ValidateDiscoverableLogin(find, session, parsed)
	if err != nil {
		return nil, nil, err
	}
	// The library keeps the old count when the new one does not rise: the registry judges.
	used.Authenticator.SignCount = parsed.Response.AuthenticatorData.Counter
	return l, used, nil
}

// kind gives what may be logged of the library's errors, which hold what browsers sent.
func kind(err error) string {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e.Type
	}
	return "not understood, or nobody's"
}

// BeginEnrolment gives what navigator.credentials.create is called with, in JSON, for
// the person whom a link is for. Nothing changes: the challenge is drawn from link and
// key, and the link works once.
func (p *People) BeginEnrolment(link string) (options string, err error) {
	asked, _, _, err := p.enrolment(link)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(asked.Response)
	return string(b), err
}

func (p *People) enrolment(link string) (*protocol.CredentialCreation, *webauthn.SessionData, owner, error) {
	l, u, err := p.linked(link)
	if err != nil {
		return nil, nil, owner{}, err
	}
	if p.passkeys == nil {
		return nil, nil, owner{}, ErrNoPasskeys
	}
	who := ownerOf(u, l)
	var has []protocol.CredentialDescriptor
	for _, k := range l.Passkeys {
		has = append(has, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: k.ID})
	}
	asked, session, err := p.passkeys.lib.BeginRegistration(who, webauthn.WithExclusions(has))
	if err != nil {
		return nil, nil, owner{}, err
	}
	challenge := protocol.URLEncodedBase64(p.cfg.Key.derive("passkey", link, 32))
	asked.Response.Challenge, session.Challenge = challenge, challenge.String()
	return asked, session, who, nil
}

// EnrolPasskey spends a link: the passkey is the person's from now on, beside others.
// The errors' texts may be shown.
func (p *People) EnrolPasskey(ctx context.Context, from netip.Addr, link, answer string) error {
	_, session, who, err := p.enrolment(link)
	if err != nil {
		return err
	}
	made, err := p.judgeEnrolment(who, session, answer)
	if err != nil {
		p.cfg.Log.Info("a new passkey was refused", "from", from, "why", kind(err))
		return ErrPasskey
	}
	_, u, err := p.linked(link)
	if err != nil {
		return err
	}
	return p.spend(ctx, u, registry.SetUpLocal{Link: registry.HashSecret(link), From: from.String(), Passkey: &registry.Passkey{
		ID: made.ID, Key: bytes.Clone(made.PublicKey), Count: made.Authenticator.SignCount, Synced: made.Flags.BackupEligible,
	}})
}

func (p *People) judgeEnrolment(who owner, session *webauthn.SessionData, answer string) (*webauthn.Credential, error) {
	if len(answer) > maxAnswer {
		return nil, errors.New("the answer is too long")
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return nil, err
	}
	return p.passkeys.lib.CreateCredential(who, *session, parsed)
}
