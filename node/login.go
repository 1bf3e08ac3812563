package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/local"
)

const (
	askWithin   = 30 * time.Second // one question to the coordinator, with the way to it
	awaitWithin = 15 * time.Minute // no sign-in lives so long: whoever hears nothing by then hears nothing

	// mapWithin is how long an answer waits for the map that makes it true here:
	// `cordon login && cordon whoami` must not depend on who was faster.
	mapWithin = 3 * time.Second
)

// Login opens a sign-in at the coordinator.
func (d *daemon) Login(ctx context.Context, r local.LoginRequest) (*local.Login, error) {
	m, err := (*Node)(d).signingIn(true)
	if err != nil {
		return nil, err
	}
	seat, err := (*Node)(d).seatFor(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return m.openLogin(ctx, seat, r)
}

// openLogin opens a sign-in for an account; empty: the whole machine. It opens none of
// which nothing could come here.
func (m *mesh) openLogin(ctx context.Context, seat string, r local.LoginRequest) (*local.Login, error) {
	if seat != "" {
		if err := m.world.share(true); err != nil {
			return nil, err
		}
	}
	if err := m.tellBefore(ctx, seat); err != nil {
		return nil, err
	}
	l, err := m.follower.BeginLogin(ctx, seat, r.DeviceCode, r.Afresh, r.ACR)
	if err != nil {
		return nil, err
	}
	out := &local.Login{ID: l.ID, URL: l.URL, Code: l.Code, Until: l.Until, ACR: r.ACR}
	m.mu.Lock()
	m.logins[seat] = out
	m.mu.Unlock()
	m.log.Info("a sign-in was opened", "account", seat, "until", l.Until)
	return out, nil
}

// AwaitLogin returns when a sign-in has ended.
func (d *daemon) AwaitLogin(ctx context.Context, r local.AwaitLoginRequest) (*local.LoginOutcome, error) {
	m, err := (*Node)(d).signingIn(false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, awaitWithin, errors.New("the sign-in's time is over, and the coordinator could not be asked how it ended"))
	defer cancel()
	o, err := m.follower.AwaitLogin(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	m.loginEnded(r.ID)
	m.log.Info("a sign-in ended", "how", o.State, "reason", o.Reason, "user", o.Session.User, "until", o.Session.Until)
	switch o.State {
	case wire.AwaitLoginResponse_REFUSED:
		return &local.LoginOutcome{State: local.LoginRefused, Reason: o.Reason}, nil
	case wire.AwaitLoginResponse_EXPIRED:
		return &local.LoginOutcome{State: local.LoginExpired}, nil
	}
	m.untilMap(ctx, func(all []wire.Session) bool { // one that goes on is there before
		return slices.ContainsFunc(all, func(s wire.Session) bool { return s.ID == o.Session.ID && !s.Until.Before(o.Session.Until) })
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.session(o.Session)
	return &local.LoginOutcome{State: local.LoginDone, Session: &s}, nil
}

// Logout ends sessions here, at once, and then at the coordinator. Whoever wants out is
// out, whatever that answers.
func (d *daemon) Logout(ctx context.Context, r local.LogoutRequest) (*local.LogoutResponse, error) {
	_, m := (*Node)(d).current()
	if m == nil {
		return nil, fmt.Errorf("nobody was signed out: %w", errDown)
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	who := (*Node)(d).asks(ctx)
	here := m.signOut(who, r.Session)
	ended, err := m.logout(ctx, who, r.Session, here)
	if err != nil {
		return m.signedOutAlone(here, err)
	}
	m.toldSignedOut(here...)
	m.log.Info("people signed out", "sessions", ended)
	if ended > 0 {
		m.untilMap(ctx, func(all []wire.Session) bool {
			return !slices.ContainsFunc(all, func(s wire.Session) bool {
				return who.has(s) && (r.Session == "" || s.ID == r.Session) && !m.over(s)
			})
		})
	}
	return &local.LogoutResponse{Ended: ended}, nil
}

// logout has the coordinator end the sessions that ended here, or for somebody who may
// end all of them, those of which the map does not tell yet.
func (m *mesh) logout(ctx context.Context, who asker, session string, here []string) (ended int, err error) {
	if _, err := m.node.signingIn(true); err != nil {
		return 0, err
	}
	if who.all {
		return m.follower.Logout(ctx, session)
	}
	for _, id := range here {
		n, err := m.follower.Logout(ctx, id)
		if err != nil {
			return ended, err
		}
		ended += n
	}
	return ended, nil
}

// signedOutAlone answers of sessions that ended here and, for a reason, nowhere else.
func (m *mesh) signedOutAlone(here []string, why error) (*local.LogoutResponse, error) {
	away := errors.Is(why, control.ErrAway)
	if len(here) == 0 && away {
		return nil, fmt.Errorf("nobody was signed out: %w", why)
	}
	if len(here) == 0 {
		return nil, why
	}
	m.owe(here)
	m.log.Warn("people signed out here; the coordinator is to be told", "sessions", len(here), "error", why)
	if away {
		return &local.LogoutResponse{Ended: len(here), Away: true}, nil
	}
	return nil, fmt.Errorf("signed out here, and what this machine had open for it ends; but the coordinator did not take it, and is asked again: %w", why)
}

// Sessions tells who is signed in, by the map.
func (d *daemon) Sessions(ctx context.Context) (*local.SessionsResponse, error) {
	_, m := (*Node)(d).current()
	if m == nil {
		return nil, errDown
	}
	var s local.Status
	who := (*Node)(d).asks(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.describeSessions(&s, who)
	return &local.SessionsResponse{SignIn: s.SignIn, SignedOut: s.SignedOut, Shared: s.Shared, Sessions: append([]local.Session{}, s.Sessions...)}, nil
}

// signingIn gives the mesh if its follower can ask the coordinator, or (not now)
// could before: it finds its own way back.
func (n *Node) signingIn(now bool) (*mesh, error) {
	_, m := n.current()
	if m == nil {
		return nil, errDown
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard.IsZero() || now && !m.connected {
		why := "it was not heard since the daemon started"
		if m.contact != nil {
			why = m.contact.Error()
		}
		return nil, fmt.Errorf("%w (%s): try again when `cordon status` shows it connected", control.ErrAway, why)
	}
	return m, nil
}

// untilMap waits a moment until the map's sessions are as they should become.
func (m *mesh) untilMap(ctx context.Context, as func([]wire.Session) bool) {
	ctx, cancel := context.WithTimeout(ctx, mapWithin)
	defer cancel()
	for {
		m.mu.Lock()
		all := m.state.Self.Sessions
		m.mu.Unlock()
		if as(all) || pause(ctx) != nil {
			return
		}
	}
}

func holdsSession(all []wire.Session, id string) bool {
	return slices.ContainsFunc(all, func(s wire.Session) bool { return s.ID == id })
}

// loginEnded forgets a sign-in that status showed.
func (m *mesh) loginEnded(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.logins, func(_ string, l *local.Login) bool { return l.ID == id })
}

// sessionsChanged forgets the sign-in of which a new session came: whoever opened
// it may have left before its end. The caller holds m.mu.
func (m *mesh) sessionsChanged(next []wire.Session) {
	for _, s := range next {
		if !holdsSession(m.state.Self.Sessions, s.ID) {
			delete(m.logins, s.Seat)
		}
	}
}

// describeSessions tells of people. Everything comes from the map, so it is there
// without the coordinator, and ends are judged as the filter judges them. At a
// machine of several people each is told of themselves. The caller holds m.mu.
func (m *mesh) describeSessions(s *local.Status, who asker) {
	self := m.state.Self
	live := false
	for _, session := range self.Sessions {
		if !who.has(session) {
			continue
		}
		out := m.session(session)
		s.Sessions = append(s.Sessions, out)
		live = live || !out.Ended
	}
	s.SignIn, s.Shared = self.SignIn, m.node.isShared()
	s.SignedOut = self.SignIn && (self.User != "" || s.Shared && !who.all) && !live
	if l := m.logins[who.seat]; l != nil && l.Until.After(m.node.clock.Human()) {
		s.Login = l
	}
}

// session tells of one, with what the map gives it. The caller holds m.mu.
func (m *mesh) session(s wire.Session) local.Session {
	t, out := m.signedOut[s.ID]
	l := local.Session{ID: s.ID, User: s.User, Account: s.Seat, At: s.At, Until: s.Until, AMR: s.AMR, ACR: s.ACR,
		Ended: out || m.over(s), SignedOut: out && t != known}
	if i := slices.IndexFunc(m.state.Self.Seats, func(seat wire.Seat) bool { return seat.Session == s.ID }); i >= 0 {
		l.Addresses = m.state.Self.Seats[i].Addresses
	}
	return l
}

func (m *mesh) over(s wire.Session) bool { return !s.Until.After(m.node.clock.Human()) }
