package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// What is sealed: one opens as nothing else.
const (
	sealedPassword = "password"
	sealedTOTP     = "totp"
)

// codeAndPassword is how a person with both has proved who they are (RFC 8176).
func codeAndPassword() []string { return []string{"mfa", "otp", "pwd"} }

// Place is where a person proves who they are: at a machine of the mesh, or outside of
// it, as who operates the mesh, or whose machine is yet to join. A machine counts, not
// its address: behind one address there may be a whole hospital.
type Place struct {
	Node  string     // that the person signs in at; empty: none
	Seat  string     // account of that machine whose sign-in it is; empty: it tells none apart
	Owner string     // login of whose machine that is; empty: nobody's own
	From  netip.Addr // of the browser, for log and audit

	Outside string // where Node is empty: what counts as one address
	Browser string // what it keeps of Remember; may be empty
}

// takes tells whether a login is heard there. A machine that has an owner signs nobody
// else in, so whatever else is typed there is a guess.
func (at Place) takes(login string, state *registry.State) bool {
	if at.Owner == "" || strings.EqualFold(at.Owner, login) {
		return true
	}
	u, known := state.UserByLogin(at.Owner)
	return known && u.Login == login
}

// typedLogin gives a login as people are known by, of what somebody typed. What can be
// nobody's is counted as what it is.
func typedLogin(text string) string {
	text = strings.TrimSpace(text)
	if login, err := registry.CanonicalLogin(text); err == nil {
		return login
	}
	return text[:min(len(text), maxPassword)] // longer than any that there is
}

// Remembered is how long a person is known at a machine that is not their own, or at a seat
// of one, and in a browser.
const Remembered = 30 * 24 * time.Hour

// known tells whether a person is known there: the machine is theirs, or they proved
// themselves at it, or in that browser, lately. No memory says so, for a restart must not
// lock a ward out. It gives the place at which their guesses count.
//
// Whoever comes with a browser of their own to a machine that many use waits for nobody who
// guesses at it: they are counted as in that browser outside of the mesh, where whoever has
// the browser may guess anyway, so that it gives nobody a guess more.
func (p *People) known(state *registry.State, user string, at Place) (known bool, counted Place) {
	l, ok := state.Local(user)
	switch {
	case !ok:
		return false, at
	case at.Owner == "" && p.remembers(at.Browser, l):
		return true, Place{From: at.From, Browser: at.Browser}
	case at.outside():
		return false, at
	}
	return at.Owner != "" || l.ProvedAt(at.Node, at.Seat, p.cfg.Now().Add(-Remembered)), at
}

// Password proves a person by password and code, which are judged together. It fails
// with ErrWrong, ErrMachine, ErrBusy or a *WaitError, each of which may be shown.
func (p *People) Password(ctx context.Context, at Place, proof Proof) (registry.Identity, error) {
	login := typedLogin(proof.Login)
	state := p.cfg.Registry.Snapshot()
	if !at.takes(login, state) {
		p.guard.locked(func() { p.guard.counted.Wrong++ })
		p.cfg.Log.Info("a login was typed at another's machine", "node", at.Node, "from", at.From)
		return registry.Identity{}, ErrMachine
	}
	user, against := p.against(state, login)
	known, counted := p.known(state, user, at)
	leave, err := p.hasher.enter(ctx, seat{node: counted.counted(known), known: known, stranger: counted.outside() && !known})
	if err != nil {
		return registry.Identity{}, err
	}
	defer leave()
	a, err := p.attempt(login, user, counted, known)
	if err != nil {
		return registry.Identity{}, err
	}
	step, err := p.judge(ctx, against, proof)
	switch {
	case err != nil:
		a.unjudged()
		return registry.Identity{}, err
	case step == 0:
		a.wrong(ctx)
		return registry.Identity{}, ErrWrong
	}
	who, err := p.count(ctx, user, registry.ProveLocal{User: user, Generation: against.generation, Node: at.Node, Seat: at.Seat, Step: step, Password: p.rehashed(ctx, user, against, proof)}, codeAndPassword())
	if errors.Is(err, registry.ErrReplayed) || errors.Is(err, registry.ErrStale) {
		a.wrong(ctx)
		return registry.Identity{}, ErrWrong
	}
	if err != nil {
		a.unjudged()
		return registry.Identity{}, err
	}
	a.right()
	return who, nil
}

// factors are what a proof is checked against, opened.
type factors struct {
	real       bool
	phc        []byte
	codesKey   []byte
	generation uint64
}

// against gives what a login's proof is checked against: of a login that nobody has, or
// whose person has no password, something that costs as much and never fits.
func (p *People) against(state *registry.State, login string) (user string, f factors) {
	f = factors{phc: p.nobody, codesKey: make([]byte, secretLength)}
	u, ok := state.UserByLogin(login)
	if !ok || u.Issuer != registry.LocalIssuer || u.Login != login {
		return "", f
	}
	l, ok := state.Local(u.ID)
	if !ok || len(l.Password) == 0 {
		return u.ID, f
	}
	phc, err1 := p.cfg.Key.open(u.ID, sealedPassword, l.Password)
	codes, err2 := p.cfg.Key.open(u.ID, sealedTOTP, l.TOTP)
	if err := errors.Join(err1, err2); err != nil {
		p.cfg.Log.Error("a local person cannot sign in", "error", err)
		return u.ID, f
	}
	return u.ID, factors{real: true, phc: phc, codesKey: codes, generation: l.Generation}
}

// judge gives the step of the code if password and code are right, else 0. Both are
// looked at, whatever comes of the first.
func (p *People) judge(ctx context.Context, f factors, proof Proof) (step int64, err error) {
	password, bad := canonical(proof.Password)
	same, err := p.hasher.matches(ctx, password, f.phc)
	if err != nil {
		return 0, err
	}
	step = checkCode(f.codesKey, proof.Code, p.cfg.Now())
	if !same || bad != nil || !f.real {
		return 0, nil
	}
	return step, nil
}

// rehashed gives a right password hashed at the cost of today, sealed, if it was hashed
// at another: old hashes would else stay cheap to guess at, and be told from none by time.
func (p *People) rehashed(ctx context.Context, user string, f factors, proof Proof) []byte {
	if cost, _, _, err := decode(string(f.phc)); err != nil || cost == p.cfg.Cost {
		return nil
	}
	password, err := canonical(proof.Password)
	if err != nil {
		return nil
	}
	phc, err := p.hasher.hash(ctx, password)
	if err != nil {
		return nil
	}
	return p.cfg.Key.close(user, sealedPassword, phc)
}

// count has a proof count, once, and gives whom it proves.
func (p *People) count(ctx context.Context, user string, c registry.ProveLocal, amr []string) (registry.Identity, error) {
	if _, err := p.cfg.Registry.Do(ctx, registry.System, c); err != nil {
		return registry.Identity{}, err
	}
	who, ok := p.cfg.Registry.Snapshot().LocalIdentity(user, p.cfg.Now(), amr)
	if !ok {
		return registry.Identity{}, ErrWrong // forgotten meanwhile
	}
	who.Generation = c.Generation // not a later one: a reset may have come between
	return who, nil
}

// SetUp gives what the person needs whom a link is for, in a browser that is known by a
// secret of its own. Nothing changes. It fails with ErrLink.
func (p *People) SetUp(link, browser string) (SetUp, error) {
	l, u, err := p.linked(link)
	if err != nil {
		return SetUp{}, err
	}
	secret := p.codesOf(link, browser)
	return SetUp{Login: u.Login, Until: l.Link.Until, Secret: base32Text(secret), URI: uri(p.host, u.Login, secret), Passkeys: p.Passkeys()}, nil
}

func (p *People) linked(link string) (*registry.Local, *registry.User, error) {
	state := p.cfg.Registry.Snapshot()
	l, ok := state.LocalByLink(registry.HashSecret(link), p.cfg.Now())
	if !ok {
		return nil, nil, ErrLink
	}
	u, ok := state.User(l.User)
	if !ok {
		return nil, nil, ErrLink
	}
	return l, u, nil
}

// codesOf gives the secret of the codes that a link sets up. It is drawn from link, browser
// and key, so that nobody has to remember it until the page is sent back, and a page that
// is loaded again shows what the app knows already. Each browser is shown another: who saw
// a link, and looked before its person did, does not have the person's codes.
func (p *People) codesOf(link, browser string) []byte {
	return p.cfg.Key.derive("totp", link+"\n"+browser, secretLength)
}

// SetPassword spends a link: the person has this password from now on, and the codes
// that SetUp showed in that browser, of which one shows that an app gives them. The errors' texts may be
// shown.
func (p *People) SetPassword(ctx context.Context, from netip.Addr, link, browser, password, code string) error {
	_, u, err := p.linked(link)
	if err != nil {
		return err
	}
	if err := acceptable(u.Login, password); err != nil {
		return err
	}
	codes := p.codesOf(link, browser)
	step := checkCode(codes, code, p.cfg.Now())
	if step == 0 {
		return ErrCode
	}
	plain, err := canonical(password)
	if err != nil {
		return err
	}
	leave, err := p.hasher.line.enter(seat{node: "link of " + u.ID, known: true})
	if err != nil {
		return err
	}
	defer leave()
	phc, err := p.hasher.hash(ctx, plain)
	if err != nil {
		return err
	}
	err = p.spend(ctx, u, registry.SetUpLocal{
		Link: registry.HashSecret(link), From: from.String(), Step: step,
		Password: p.cfg.Key.close(u.ID, sealedPassword, phc), TOTP: p.cfg.Key.close(u.ID, sealedTOTP, codes),
	})
	if err == nil {
		p.guard.forgive(u.Login)
	}
	return err
}

func (p *People) spend(ctx context.Context, u *registry.User, c registry.SetUpLocal) error {
	_, err := p.cfg.Registry.Do(ctx, registry.UserActor(u.Login), c)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return ErrLink
	case err != nil:
		return fmt.Errorf("nothing was set up: %w", err)
	}
	p.cfg.Log.Info("a local person has set up how they prove who they are", "login", u.Login, "from", c.From, "at", p.cfg.Now().UTC().Format(time.RFC3339))
	return nil
}
