package path

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// Config is what a Set needs to know about its node.
type Config struct {
	// Self is the node key: the peers' requests name it.
	Self key.NodePublic
	// Key is the path key, from which the pairwise probe keys are agreed.
	Key *key.PathPrivate
	// NewID makes transaction ids; nil means random ones. Only tests, which want
	// the same run twice, set it.
	NewID func() probe.ID
}

// Set holds the paths to all peers of a node. Each method may leave actions to
// be done, which Take gives.
type Set struct {
	newID func() probe.ID
	self  probe.Short
	key   *key.PathPrivate
	codec *probe.Codec

	peers   map[string]*peer
	byShort map[probe.Short]*peer
	timers  timers
	open    openRequests

	requests, strangers bucket
	actions             []Action
}

// peer is a peer of the map, awake (m is set) or asleep.
type peer struct {
	Peer
	short    probe.Short
	key      key.ProbeKey // valid iff agreed
	agreed   bool
	badKey   bool
	m        *machine // nil: asleep
	lastGood netip.AddrPort
	told     string // the Why of the last Changed
	deadline time.Time
	index    int // in timers; -1: not
}

// NewSet makes a Set without peers.
func NewSet(c Config) (*Set, error) {
	if c.Self.IsZero() || c.Key == nil || c.Key.IsZero() {
		return nil, errors.New("paths need the node's own node key and path key; one of them is missing")
	}
	if c.NewID == nil {
		c.NewID = func() (id probe.ID) { rand.Read(id[:]); return id }
	}
	return &Set{
		newID: c.NewID, self: probe.ShortOf(c.Self), key: c.Key, codec: probe.NewCodec(),
		peers: map[string]*peer{}, byShort: map[probe.Short]*peer{},
		open: openRequests{byID: map[probe.ID]*peer{}},
	}, nil
}

// SetPeers takes the whole set of peers. Paths to peers that stay are kept;
// those to peers that are gone, or have another key, end. A peer that cannot be
// told from another is left out, and the error names it; all others hold.
func (s *Set) SetPeers(now time.Time, peers []Peer) error {
	var errs []error
	stay := make(map[string]bool, len(peers))
	for _, p := range peers {
		if old := s.peers[p.ID]; old != nil && (old.Node != p.Node || old.Path != p.Path) {
			s.remove(old)
		}
		if err := s.put(now, p); err != nil {
			errs = append(errs, err)
			continue
		}
		stay[p.ID] = true
	}
	for id, p := range s.peers {
		if !stay[id] {
			s.remove(p)
		}
	}
	return errors.Join(errs...)
}

func (s *Set) put(now time.Time, in Peer) error {
	in.Candidates = clean(in.Candidates)
	if p := s.peers[in.ID]; p != nil {
		s.setCandidates(now, p, in.Candidates)
		return nil
	}
	p := &peer{Peer: in, short: probe.ShortOf(in.Node), told: WhyIdle, index: -1}
	if other := s.byShort[p.short]; other != nil {
		return fmt.Errorf("peer %q left out: its node key cannot be told from that of peer %q", in.ID, other.ID)
	}
	if in.ID == "" || in.Node.IsZero() || p.short == s.self {
		return fmt.Errorf("peer %q left out: it needs a name, and a node key that is not this node's own", in.ID)
	}
	s.peers[in.ID], s.byShort[p.short] = p, p
	return nil
}

func (s *Set) remove(p *peer) {
	if p.m != nil && p.m.current != nil {
		s.actions = append(s.actions, Action{Do: Moved, Peer: p.ID})
	}
	s.timers.plan(p, time.Time{})
	if p.m != nil {
		s.open.forget(p)
	}
	delete(s.peers, p.ID)
	delete(s.byShort, p.short)
}

// SetCandidates takes the addresses that are now known for a peer. New ones are
// asked at once if somebody wants to send to it. A peer that is not in the map
// is passed over.
func (s *Set) SetCandidates(now time.Time, id string, list []netip.AddrPort) {
	if p := s.peers[id]; p != nil {
		s.setCandidates(now, p, clean(list))
	}
}

func (s *Set) setCandidates(now time.Time, p *peer, list []netip.AddrPort) {
	if slices.Equal(p.Candidates, list) {
		return
	}
	p.Candidates = list
	if p.m != nil {
		p.m.setGiven(now, list)
		s.finish(now, p)
	}
}

// Want says that somebody wants to send to a peer, or just did.
func (s *Set) Want(now time.Time, id string) { s.wake(now, id, (*machine).want) }

// Ping asks a peer now, path or not. Answered or Unanswered will follow; if the
// peer is unknown or has an invalid key, Unanswered does at once.
func (s *Set) Ping(now time.Time, id string) { s.wake(now, id, (*machine).ping) }

func (s *Set) wake(now time.Time, id string, event func(*machine, time.Time)) {
	p := s.peers[id]
	if p == nil || !s.agree(p) {
		s.actions = append(s.actions, Action{Do: Unanswered, Peer: id})
		return
	}
	s.rouse(p)
	event(p.m, now)
	s.finish(now, p)
}

// rouse gives a sleeping peer a machine. What worked last time is asked first.
func (s *Set) rouse(p *peer) {
	if p.m != nil {
		return
	}
	p.m = &machine{newID: s.newID, total: &s.requests, why: WhyIdle}
	if p.lastGood.IsValid() && !slices.Contains(p.Candidates, p.lastGood) {
		p.m.cands = append(p.m.cands, &candidate{addr: p.lastGood})
	}
	for _, a := range p.Candidates {
		p.m.cands = append(p.m.cands, &candidate{addr: a, given: true})
	}
}

// agree finds the pairwise key when it is first needed: a map may name ten
// thousand peers, of which a few are ever spoken to.
func (s *Set) agree(p *peer) bool {
	if !p.agreed && !p.badKey {
		k, err := s.key.Agree(p.Path)
		p.key, p.agreed, p.badKey = k, err == nil, err != nil
	}
	return p.agreed
}

// NetworkChanged says that addresses or routes of this machine changed: every
// path that is in use is asked at once.
func (s *Set) NetworkChanged(now time.Time) {
	for _, p := range s.peers {
		if p.m != nil {
			p.m.networkChanged(now)
			s.finish(now, p)
		}
	}
}

// Tick does what is due at now.
func (s *Set) Tick(now time.Time) {
	for len(s.timers) > 0 && !s.timers[0].deadline.After(now) {
		p := s.timers[0]
		p.m.tick(now)
		s.finish(now, p)
	}
	s.open.expire(now)
}

// Next is when Tick has something to do; zero if never.
func (s *Set) Next() time.Time {
	if len(s.timers) == 0 {
		return time.Time{}
	}
	return s.timers[0].deadline
}

// Take gives the actions since the last call, in order.
func (s *Set) Take() []Action {
	out := s.actions
	s.actions = nil
	return out
}

// Info says how a peer is reached.
func (s *Set) Info(id string) Info {
	p := s.peers[id]
	switch {
	case p == nil:
		return Info{Why: WhyUnknown}
	case p.badKey:
		return Info{Why: WhyBadKey, Candidates: len(p.Candidates)}
	case p.m == nil:
		return Info{Why: WhyIdle, Candidates: len(p.Candidates)}
	}
	return p.m.info()
}

// finish turns a machine's steps into actions, plans its next tick, and lets it
// sleep when it may.
func (s *Set) finish(now time.Time, p *peer) {
	m := p.m
	m.settle(now)
	for _, st := range m.steps {
		s.act(now, p, st)
	}
	m.steps = m.steps[:0]
	if m.asleep(now) {
		p.m = nil
		s.timers.plan(p, time.Time{})
	} else {
		s.timers.plan(p, m.next())
	}
	if why := s.Info(p.ID).Why; why != p.told {
		p.told = why
		s.actions = append(s.actions, Action{Do: Changed, Peer: p.ID})
	}
}

func (s *Set) act(now time.Time, p *peer, st step) {
	a := Action{Peer: p.ID, To: st.to, Fresh: st.fresh}
	switch st.do {
	case ask:
		s.open.add(now, st.id, p)
		a.Do, a.Datagram = Send, s.codec.AppendRequest(nil, st.id, p.short, s.self, &p.key)
	case reply:
		a.Do, a.Datagram = Send, s.codec.AppendAnswer(nil, st.id, st.to, &p.key)
	case moved:
		a.Do = Moved
		if st.to.IsValid() {
			p.lastGood = st.to
		}
	case answered:
		a.Do = Answered
	case unanswered:
		a.Do = Unanswered
	}
	s.actions = append(s.actions, a)
}
