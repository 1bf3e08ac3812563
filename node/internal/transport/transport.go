// Package transport carries sealed datagrams to peers, over UDP or through relays.
// It gives wireguard-go one conn.Bind, and each peer of the map one virtual
// endpoint for life; where that leads is decided by the path machine (package
// path) alone. Who speaks with the relays is the caller's: Config.Relay and
// FromRelay are all that transport knows of them.
//
// It wraps conn.NewDefaultBind, so batches and the kernel's segmentation and
// receive offloads stay whole, and adds nothing to a datagram's way but two
// atomic loads a batch when it leaves, and when it arrives a comparison, and a
// look-up of the sender where it is another than the one before. What comes over a
// relay is looked up each for itself, and copied once.
//
// Invariants
//   - Nothing leaves for a peer before it answered a probe. The latest WireGuard
//     handshake message is kept and leaves the moment a path is found; other
//     datagrams without a path are dropped, as on any network.
//   - What arrives keeps its real sender's endpoint: WireGuard's cookies and rate
//     limits are about the sender. What comes over a relay has an endpoint per
//     node key. Only STUN is taken out (size set to zero, which wireguard-go skips).
//   - What a relay brings from a node that is not in the map never reaches
//     WireGuard, nor the path machines. What a peer of the map sends over relays is
//     bounded in number and memory, and leaves the oldest behind.
//   - Our part of a datagram's way allocates nothing.
//   - A datagram that a path of IPv6 is known not to carry leaves in fragments.
//   - One goroutine, Run's, owns the path machines. Receive functions hand it
//     probes over a bounded channel and drop when that is full; no caller ever
//     waits for it, except in Ping.
//
// For the plane's author: wireguard-go replaces a peer's endpoint by the real
// sender's of every authentic packet (Peer.SetEndpointFromPacket). Call
// device.DisableSomeRoamingForBrokenMobileSemantics once, before any peer
// exists, and create each of our peers with its endpoint line in the same
// IpcSet: only a peer *created with* an endpoint is then exempt. A stock peer
// must be created without one and get it by a second IpcSet, lest it stop to
// roam. wireguard-go's own route listener watches only its own bind: call
// NetworkChanged when addresses or routes change.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// PathInfo says how a peer is reached, or why it is not.
type PathInfo = path.Info

// scheme stands before a peer's ID in the text of its virtual endpoint, as a plane
// writes it (plane.Peer.Endpoint).
const scheme = "cordon:"

// Errors that callers branch on.
var (
	// ErrUnknownPeer means that the last SetPeers did not name the peer.
	ErrUnknownPeer = errors.New("peer is not in the map")
	// ErrNoAnswer means that a peer was asked at all its addresses in vain; the
	// PathInfo that comes with it says more.
	ErrNoAnswer = errors.New("peer does not answer")
	// ErrStopped means that Run has ended.
	ErrStopped = errors.New("transport has stopped")
	// ErrRunning means that Run was called twice.
	ErrRunning = errors.New("transport runs or has run already; make a new one")
)

// Config is what a Transport needs. Self and Path are required.
type Config struct {
	Self key.NodePublic
	Path *key.PathPrivate
	// Port to listen on, UDP, both address families; 0: any, and the same one
	// again after the bind was closed, if it is still free.
	Port uint16
	// Bind has the sockets; nil: those of conn.NewDefaultBind.
	Bind conn.Bind
	// Log takes moves of paths (info) and trouble; nil: nowhere.
	Log *slog.Logger
	// Mark is put on every datagram that leaves (SO_MARK), so that routing can
	// keep it out of the mesh; 0: none.
	Mark uint32
	// OnPath is called when a path is found, moves, is lost or turns out to carry
	// datagrams of another size, by the goroutine of Run. It must return soon; it may
	// call every method but Ping.
	OnPath func(peer string, info PathInfo)
	// OnOpen is called when sockets were opened, at the first time and at every
	// later one, likewise: the port may be another.
	OnOpen func(port uint16)
	// OnGather is called, likewise, when the addresses at which this node may be
	// reached are wanted, as they are now: tell them by SetOwn.
	OnGather func()
	// OnSTUN is given what stun.Is holds for the answer of a STUN server, by the
	// sockets' receivers. It must not block, and must not keep the datagram.
	OnSTUN func(from netip.AddrPort, datagram []byte)
	// Relay hands a datagram for a node to a relay, and tells whether that took it.
	// It is called by any goroutine, must not block, and must not keep the datagram.
	// nil: no relay is used, whatever the map says.
	Relay func(relay path.Relay, to key.NodePublic, datagram []byte) bool
	// OnlyRelays sends nothing over UDP, and takes nothing from there, whatever the
	// map and peers say.
	OnlyRelays bool
}

// Peer is what the map says about a peer, as far as transport goes.
type Peer struct {
	ID         string
	NodeKey    key.NodePublic
	PathKey    key.PathPublic
	Candidates []netip.AddrPort
	Home       path.Relay // where the peer is at home; "": nowhere
}

// Transport has the sockets of a node. Its methods may be called from any
// goroutine.
type Transport struct {
	log      *slog.Logger
	onPath   func(string, PathInfo)
	onOpen   func(uint16)
	onGather func()
	onSTUN   func(netip.AddrPort, []byte)
	relay    func(path.Relay, key.NodePublic, []byte) bool // nil: none
	noUDP    bool                                          // neither out nor in
	self     probe.Short
	bind     *bind
	mail     mailbox
	inbox    chan datagram
	relayed  *queue // from FromRelay to wireguard-go
	port     atomic.Uint32
	idle     [path.MaxCandidates + 1]*PathInfo // never changed

	started atomic.Bool
	stopped chan struct{} // closed when Run ends

	mu      sync.RWMutex
	members members
	// senders are the same peers by node key. Replaced whole, under mu.
	senders atomic.Pointer[map[key.NodePublic]*sender]

	// Run's.
	set   *path.Set
	led   map[string]*endpoint             // of the peers that the path machines know
	via   map[netip.AddrPort]conn.Endpoint // where authentic probes came in
	pings map[string][]chan pong
	tired []*endpoint // to be asked again whether they are busy
	rest  time.Time   // when to do so

	hearing hearing
}

// New makes a transport. Sockets are opened by the bind's Open, which
// wireguard-go calls; paths are found while Run runs.
func New(c Config) (*Transport, error) {
	set, err := path.NewSet(path.Config{Self: c.Self, Key: c.Path, OnlyRelays: c.OnlyRelays})
	if err != nil {
		return nil, fmt.Errorf("making the transport: %w", err)
	}
	if c.Bind == nil {
		c.Bind = newDefaultBind()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnPath == nil {
		c.OnPath = func(string, PathInfo) {}
	}
	if c.OnOpen == nil {
		c.OnOpen = func(uint16) {}
	}
	if c.OnGather == nil {
		c.OnGather = func() {}
	}
	if c.OnSTUN == nil {
		c.OnSTUN = func(netip.AddrPort, []byte) {}
	}
	t := &Transport{
		log: c.Log, onPath: c.OnPath, onOpen: c.OnOpen, onGather: c.OnGather, onSTUN: c.OnSTUN,
		self: probe.ShortOf(c.Self), idle: idleInfos(), relay: c.Relay, noUDP: c.OnlyRelays, relayed: newQueue(),
		mail: newMailbox(), inbox: make(chan datagram, inboxSize), stopped: make(chan struct{}),
		members: newMembers(), set: set,
		via: map[netip.AddrPort]conn.Endpoint{}, pings: map[string][]chan pong{},
	}
	t.hearing.sources.Store(new(map[netip.AddrPort]*source))
	t.senders.Store(new(map[key.NodePublic]*sender))
	t.bind = &bind{t: t, inner: c.Bind, port: c.Port, mark: c.Mark}
	return t, nil
}

// Bind is what wireguard-go's device is given.
func (t *Transport) Bind() conn.Bind { return t.bind }

// Port is the UDP port in use; 0 before the bind was first opened.
func (t *Transport) Port() uint16 { return uint16(t.port.Load()) }

// SetPeers takes the whole set of peers. Their virtual endpoints exist when it
// returns. A peer that cannot be told from another is left out, and logged.
func (t *Transport) SetPeers(peers []Peer) {
	in := make([]path.Peer, len(peers))
	for i, p := range peers {
		in[i] = path.Peer{ID: p.ID, Node: p.NodeKey, Path: p.PathKey, Candidates: p.Candidates, Home: p.Home}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.members.set(t, peers)
	now := t.members.now
	senders := t.sendersOf(peers)
	t.senders.Store(&senders)
	t.mail.tell(func(at time.Time) { t.setPeers(at, in, now) }) // under mu: in the order of the calls
}

// SetCandidates takes the addresses that are now known for a peer.
func (t *Transport) SetCandidates(peer string, list []netip.AddrPort) {
	list = append([]netip.AddrPort(nil), list...)
	t.mail.tell(func(now time.Time) { t.set.SetCandidates(now, peer, list) })
}

// SetHome takes the relay at which a peer is at home now; "": nowhere. A later
// SetPeers says it anew.
func (t *Transport) SetHome(peer string, relay path.Relay) {
	t.mail.tell(func(now time.Time) { t.set.SetHome(now, peer, relay) })
}

// SetRelays takes the relays that this node may use.
func (t *Transport) SetRelays(list []path.Relay) {
	list = append([]path.Relay(nil), list...)
	t.mail.tell(func(time.Time) { t.set.SetRelays(list) })
}

// SetOwn takes the addresses at which this node may be reached, as far as it
// knows, the likeliest first: peers are told of them over relays.
func (t *Transport) SetOwn(list []netip.AddrPort) {
	list = append([]netip.AddrPort(nil), list...)
	t.mail.tell(func(now time.Time) { t.set.SetOwn(now, list) })
}

// RelayUp says that datagrams reach a relay: paths that may lead through it are
// probed at once.
func (t *Transport) RelayUp(relay path.Relay) {
	t.mail.tell(func(now time.Time) { t.set.RelayUp(now, relay) })
}

// RelayDown says that datagrams do not reach a relay: paths that lead through it are
// probed at once.
func (t *Transport) RelayDown(relay path.Relay) {
	t.mail.tell(func(now time.Time) { t.set.RelayDown(now, relay) })
}

// RelayAway says that a relay could not be reached, until RelayUp: peers that are at
// home there are looked for elsewhere.
func (t *Transport) RelayAway(relay path.Relay) {
	t.mail.tell(func(now time.Time) { t.set.RelayAway(now, relay) })
}

// AskSTUN sends a request to a STUN server, from the sockets that carry the tunnels.
func (t *Transport) AskSTUN(server netip.AddrPort, request []byte) error {
	if t.noUDP {
		return errNoUDP
	}
	ep, err := t.bind.inner.ParseEndpoint(server.String())
	if err != nil {
		return err
	}
	return t.bind.inner.Send([][]byte{request}, ep)
}

// Want says that somebody wants to send to a peer, which need not be in the
// WireGuard device yet: OnPath tells when it can be reached. It never waits.
func (t *Transport) Want(peer string) {
	if v := t.endpoint(peer); v != nil {
		v.want()
	}
}

// HasPath tells whether packets for a peer have somewhere to go.
func (t *Transport) HasPath(peer string) bool {
	v := t.endpoint(peer)
	return v != nil && v.route.Load() != nil
}

// NetworkChanged says that addresses or routes of this machine changed. Local
// addresses that were kept for paths are forgotten, and paths in use are probed.
func (t *Transport) NetworkChanged() { t.mail.tell(t.networkChanged) }

// Paths says of each peer of the map how it is reached.
func (t *Transport) Paths() map[string]PathInfo {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make(map[string]PathInfo, len(t.members.now))
	for id, v := range t.members.now {
		out[id] = *v.info.Load()
	}
	return out
}

// endpoint is that of a peer of the map, or nil.
func (t *Transport) endpoint(id string) *endpoint {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.members.now[id]
}

type pong struct {
	info PathInfo
	ok   bool
}

// Ping probes a peer now and waits for its answer. Without one it returns
// ErrNoAnswer when all addresses were probed in vain, ErrUnknownPeer,
// ErrStopped, or the context's error.
func (t *Transport) Ping(ctx context.Context, peer string) (PathInfo, error) {
	v := t.endpoint(peer)
	if v == nil {
		return PathInfo{Why: path.WhyUnknown}, fmt.Errorf("pinging %q: %w", peer, ErrUnknownPeer)
	}
	back := make(chan pong, 1)
	t.mail.tell(func(now time.Time) {
		t.pings[peer] = append(t.pings[peer], back)
		t.set.Ping(now, peer)
	})
	select {
	case p := <-back:
		if !p.ok {
			return p.info, fmt.Errorf("pinging %q: %w: %s", peer, ErrNoAnswer, p.info.Why)
		}
		return p.info, nil
	case <-ctx.Done():
		in := *v.info.Load()
		return in, fmt.Errorf("pinging %q: %w: %s", peer, ctx.Err(), in.Why)
	case <-t.stopped:
		return *v.info.Load(), fmt.Errorf("pinging %q: %w", peer, ErrStopped)
	}
}
