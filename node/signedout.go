package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
)

// Whoever leaves a machine is out of it at once, whether or not a coordinator hears of
// it. Its maps go on telling of the session until it does, and none of them gives that
// back: not the one in force, nor a later one, nor the one on the disk.

// told is how far the coordinator knows that a session ended here.
type told int

const (
	telling told = iota // whoever signs out is telling it
	owed                // it is to be told as soon as it can be reached
	known               // it knows, and its map may not say so yet
)

// signOut ends sessions here: those that concern who asks, or one of them, and those too
// whose time is over, of which something may drain. It gives their ids.
func (m *mesh) signOut(who asker, session string) (ids []string) {
	m.mu.Lock()
	for _, s := range m.state.Self.Sessions {
		if who.has(s) && (session == "" || s.ID == session) && m.signedOut[s.ID] != known {
			ids = append(ids, s.ID)
			m.signedOut[s.ID] = telling
		}
	}
	if len(ids) > 0 {
		m.state = withoutSignedOut(m.state, m.signedOut)
		m.engine.SetMap(m.state)
	}
	m.mu.Unlock()
	if len(ids) > 0 {
		m.keepSignedOut()
	}
	return ids
}

// withoutSignedOut takes from a map what those have who signed out here.
func withoutSignedOut(m wire.Map, out map[string]told) wire.Map {
	signedOut := func(session string) bool { _, is := out[session]; return is }
	whole := func(want bool) bool {
		return slices.ContainsFunc(m.Self.Sessions, func(s wire.Session) bool { return s.Seat == "" && signedOut(s.ID) == want })
	}
	if whole(true) && !whole(false) {
		m.Self.Facts = ofMachine(m.Self.Facts)
	}
	m.Self.Seats = slices.Clone(m.Self.Seats) // a map is nobody's to write to
	for i := range m.Self.Seats {
		if s := &m.Self.Seats[i]; signedOut(s.Session) {
			s.Facts = ofMachine(s.Facts)
		}
	}
	return m
}

// ofMachine gives the facts that a machine has whoever sits there. One of a kind that
// is not known here is not among them: it might be a person's.
func ofMachine(facts []acl.FactEnd) []acl.FactEnd {
	return slices.DeleteFunc(slices.Clone(facts), func(f acl.FactEnd) bool {
		kind, _, _ := strings.Cut(string(f.Fact), ":")
		return kind != "posture" && kind != "risk"
	})
}

// owe has the coordinator told when it can be reached that sessions ended here.
func (m *mesh) owe(ids []string) {
	m.mu.Lock()
	for _, id := range ids {
		m.signedOut[id] = owed
	}
	connected := m.connected
	m.mu.Unlock()
	if connected { // else whatever connects looks
		m.follower.SignedOutChanged()
	}
}

// owes gives what the coordinator is to be told.
func (m *mesh) owes() (all []control.SignedOut) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(m.signedOut)) {
		if m.signedOut[id] == owed {
			all = append(all, control.SignedOut{Session: id, Told: func() { m.toldSignedOut(id) }})
		}
	}
	return all
}

// toldSignedOut notes that the coordinator knows of the end of sessions.
func (m *mesh) toldSignedOut(ids ...string) {
	m.mu.Lock()
	for _, id := range ids {
		m.signedOut[id] = known
	}
	settled := m.settleSignedOut()
	m.mu.Unlock()
	if settled {
		m.keepSignedOut()
	}
}

// settleSignedOut forgets what the coordinator knows and its map says too, and tells
// whether there was any. A map that was under way already may still hold the session.
// The caller holds m.mu.
func (m *mesh) settleSignedOut() bool {
	before := len(m.signedOut)
	maps.DeleteFunc(m.signedOut, func(id string, t told) bool {
		return t == known && !holdsSession(m.state.Self.Sessions, id)
	})
	return len(m.signedOut) < before
}

// keepSignedOut notes on the disk who signed out here.
func (m *mesh) keepSignedOut() {
	m.keeping.Lock()
	defer m.keeping.Unlock()
	m.mu.Lock()
	ids := slices.Sorted(maps.Keys(m.signedOut))
	m.mu.Unlock()
	err := m.node.dir.SaveSignedOut(ids)
	if err != nil {
		m.log.Error("noting on disk who signed out here failed: a restart while the coordinator is away signs them in again", "error", err)
	}
	m.Trouble("noting on disk who signed out here", err)
}

// loadSignedOut reads who signed out here before this run. If that cannot be known,
// it was everybody: they can sign in again, and who has left could not sign out.
func (m *mesh) loadSignedOut(start wire.Map) {
	ids, err := m.node.dir.SignedOut()
	if err != nil {
		m.log.Error("who signed out here cannot be read; everybody is taken to have", "error", err)
		for _, s := range start.Self.Sessions {
			ids = append(ids, s.ID)
		}
	}
	m.mu.Lock()
	for _, id := range ids {
		m.signedOut[id] = owed
	}
	m.mu.Unlock()
	if err != nil {
		m.keepSignedOut() // else those who sign in now were out again at the next start
	}
}

// tellBefore tells the coordinator of the end of an account's session before somebody
// signs in there: it would else go on with that one, and end what they had just begun.
func (m *mesh) tellBefore(ctx context.Context, seat string) error {
	for _, s := range m.owedAt(seat) {
		if err := m.follower.TellSignedOut(ctx, s); err != nil {
			return fmt.Errorf("the coordinator cannot be told who signed out here before: %w", err)
		}
		m.toldSignedOut(s)
	}
	return nil
}

func (m *mesh) owedAt(seat string) (ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.state.Self.Sessions {
		if t, out := m.signedOut[s.ID]; out && t != known && s.Seat == seat {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
