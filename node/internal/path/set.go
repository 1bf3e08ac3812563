package path

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path/pace"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// Config is what a Set needs to know about its node.
type Config struct {
	// Self is the node key: the peers' requests name it.
	Self key.NodePublic
	// Key is the path key, from which the pairwise probe keys are agreed.
	Key *key.PathPrivate
	// LinkMTU is the largest IP packet that this machine's links carry, in bytes:
	// up to there path MTUs are looked for; 0: 1,500. At most 9,000.
	LinkMTU int
	// OnlyRelays leaves the addresses of the underlay alone: nothing is sent to
	// any, what comes from one is dropped, and peers are told of none.
	OnlyRelays bool
	// NewID makes transaction ids; nil means random ones. Only tests, which want
	// the same run twice, set it.
	NewID func() probe.ID
}

// Set holds the paths to all peers of a node. Each method may leave actions to
// be done, which Take gives.
type Set struct {
	self  probe.Short
	key   *key.PathPrivate
	codec *probe.Codec

	peers   map[string]*peer
	byShort map[probe.Short]*peer
	awake   map[*peer]struct{} // those with a machine
	timers  timers
	open    openRequests
	commons commons

	own        []netip.AddrPort // our addresses, which calls name
	ownAt      time.Time        // when they were last told
	gathering  time.Time        // when Gather was last asked for
	lastNumber uint64           // of our last call to anybody

	strangers pace.Bucket
	actions   []Action
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
	number   uint64 // of the peer's last call; a later one has a greater
	told     string // the Why of the last Changed
	deadline time.Time
	index    int // in timers; -1: not
}

// NewSet makes a Set without peers.
func NewSet(c Config) (*Set, error) {
	if c.Self.IsZero() || c.Key == nil || c.Key.IsZero() {
		return nil, errors.New("paths need the node's own node key and path key; one of them is missing")
	}
	switch {
	case c.LinkMTU == 0:
		c.LinkMTU = 1500
	case c.LinkMTU < minLinkMTU || c.LinkMTU > maxLinkMTU:
		return nil, fmt.Errorf("LinkMTU is %d; between %d and %d bytes are allowed, or 0 for 1500", c.LinkMTU, minLinkMTU, maxLinkMTU)
	}
	if c.NewID == nil {
		c.NewID = func() (id probe.ID) { rand.Read(id[:]); return id }
	}
	return &Set{
		self: probe.ShortOf(c.Self), key: c.Key, codec: probe.NewCodec(),
		peers: map[string]*peer{}, byShort: map[probe.Short]*peer{}, awake: map[*peer]struct{}{},
		open:    openRequests{byID: map[probe.ID]*peer{}},
		commons: commons{newID: c.NewID, linkMTU: c.LinkMTU, onlyRelays: c.OnlyRelays, targets: targets{}, away: map[Relay]bool{}},
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
	in.Candidates = s.commons.clean(in.Candidates, MaxCandidates)
	if p := s.peers[in.ID]; p != nil {
		s.setCandidates(now, p, in.Candidates)
		s.setHome(now, p, in.Home)
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
		s.lull(p)
	}
	delete(s.peers, p.ID)
	delete(s.byShort, p.short)
}

// SetCandidates takes the addresses that are now known for a peer. New ones are
// asked at once if somebody wants to send to it. A peer that is not in the map
// is passed over.
func (s *Set) SetCandidates(now time.Time, id string, list []netip.AddrPort) {
	if p := s.peers[id]; p != nil {
		s.setCandidates(now, p, s.commons.clean(list, MaxCandidates))
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

// SetHome takes the relay at which a peer is at home now; "" is none. It is asked
// at once if somebody wants to send to the peer.
func (s *Set) SetHome(now time.Time, id string, r Relay) {
	if p := s.peers[id]; p != nil {
		s.setHome(now, p, r)
	}
}

func (s *Set) setHome(now time.Time, p *peer, r Relay) {
	if p.Home == r {
		return
	}
	p.Home = r
	if p.m != nil {
		p.m.setHome(now, r)
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
	p.m = &machine{commons: &s.commons, why: WhyIdle}
	s.awake[p] = struct{}{}
	if p.Home != "" {
		p.m.add(&candidate{way: Through(p.Home), given: true})
	}
	if p.lastGood.IsValid() && !slices.Contains(p.Candidates, p.lastGood) {
		p.m.add(&candidate{way: Direct(p.lastGood)})
	}
	for _, a := range p.Candidates {
		p.m.add(&candidate{way: Direct(a), given: true})
	}
}

// lull takes a peer's machine away.
func (s *Set) lull(p *peer) {
	p.m = nil
	delete(s.awake, p)
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

// Heard says that a packet that is no probe came from a peer on this way. It need
// not be told of each, nor be authentic: a few times a second is enough, and it
// only makes us ask later or sooner. A way on which the peer was never asked, nor
// asked us, is passed over.
func (s *Set) Heard(now time.Time, id string, from Way) {
	if p := s.peers[id]; p != nil && p.m != nil {
		p.m.heardPacket(now, from)
		s.finish(now, p)
	}
}

// each lets every machine take an event.
func (s *Set) each(now time.Time, event func(*machine)) {
	for _, p := range slices.SortedFunc(maps.Keys(s.awake), func(a, b *peer) int { return strings.Compare(a.ID, b.ID) }) {
		event(p.m)
		s.finish(now, p)
	}
}

// NetworkChanged says that addresses or routes of this machine changed, or that
// it slept (the boot-time clock ran on, and others did not): every path that is
// in use is asked at once, and our addresses are looked for anew.
func (s *Set) NetworkChanged(now time.Time) {
	s.ownAt, s.gathering = time.Time{}, time.Time{}
	if len(s.awake) > 0 {
		s.gather(now)
	}
	s.each(now, func(m *machine) { m.networkChanged(now) })
}

// SetRelays takes the relays that this node may use. Peers whose home cannot be
// reached are looked for at the others.
func (s *Set) SetRelays(list []Relay) {
	s.commons.relays = slices.Clone(list)
	maps.DeleteFunc(s.commons.away, func(r Relay, _ bool) bool { return !slices.Contains(list, r) })
}

// RelayUp says that datagrams reach a relay. It makes no path, and only has us ask.
func (s *Set) RelayUp(now time.Time, r Relay) {
	delete(s.commons.away, r)
	s.each(now, func(m *machine) { m.relayUp(now, r) })
}

// RelayDown says that datagrams do not reach a relay. It ends no path, and only has
// us ask.
func (s *Set) RelayDown(now time.Time, r Relay) {
	s.each(now, func(m *machine) { m.relayDown(now, r) })
}

// RelayAway says that a relay could not be reached, until RelayUp.
func (s *Set) RelayAway(now time.Time, r Relay) {
	if slices.Contains(s.commons.relays, r) && !s.commons.away[r] {
		s.commons.away[r] = true
		s.each(now, func(m *machine) { m.seekElsewhere(now) })
	}
}

// SetOwn takes the addresses at which this node may be reached, as far as it
// knows: its own, and those that STUN servers saw. Calls name the first MaxOwn.
func (s *Set) SetOwn(now time.Time, list []netip.AddrPort) {
	list = s.commons.clean(list, MaxOwn)
	changed := !slices.Equal(list, s.own)
	s.own, s.ownAt = list, now
	if changed {
		s.each(now, func(m *machine) { m.ownChanged(now) })
	}
}

// gather asks for our addresses, unless they are known or were asked for just now.
func (s *Set) gather(now time.Time) {
	known := !s.ownAt.IsZero() && now.Sub(s.ownAt) < ownFresh
	if known || !s.gathering.IsZero() && now.Sub(s.gathering) < gatherGap {
		return
	}
	s.gathering = now
	s.actions = append(s.actions, Action{Do: Gather})
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
