package transport

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// maxRelayed is the longest datagram that a relay's frame takes.
const maxRelayed = 64 << 10

// ErrNotSent means that a relay took nothing: there is no connection to it, or the
// datagram is longer than its frames.
var ErrNotSent = errors.New("relay did not take the datagram")

// sender is the endpoint of what a peer of the map sends over relays, whichever
// relay it comes by: one per node key, so that WireGuard's cookies and rate limits
// are about the sender, and not about the relay. It is a conn.Endpoint.
type sender struct {
	t     *Transport
	node  key.NodePublic
	raw   [key.Size]byte // the node key
	ip    netip.Addr     // made from it
	short probe.Short
	heard source // its way is that of the last packet
	last  atomic.Pointer[path.Relay]
}

func newSender(t *Transport, p Peer) *sender {
	return &sender{
		t: t, node: p.NodeKey, raw: p.NodeKey.Raw(), ip: addressOf(p.NodeKey),
		short: probe.ShortOf(p.NodeKey), heard: source{peer: p.ID},
	}
}

// addressOf gives the address under which WireGuard's rate limit knows a relayed
// sender: fd43:6f72:646f::/48 (a unique local prefix, RFC 4193, which spells
// "Cordo") and 80 bits of the node key's hash. Nothing is ever sent to it.
func addressOf(node key.NodePublic) netip.Addr {
	raw := node.Raw()
	sum := sha256.Sum256(append([]byte("cordon relayed sender\x00"), raw[:]...))
	a := [16]byte{0xfd, 'C', 'o', 'r', 'd', 'o'}
	copy(a[6:], sum[:])
	return netip.AddrFrom16(a)
}

// sendersOf gives those of a list of peers; who was there before keeps his. The
// caller holds mu.
func (t *Transport) sendersOf(peers []Peer) map[key.NodePublic]*sender {
	before := *t.senders.Load()
	out := make(map[key.NodePublic]*sender, len(peers))
	for _, p := range peers {
		s := before[p.NodeKey]
		switch {
		case out[p.NodeKey] != nil || p.NodeKey.IsZero():
			continue // the path machines leave it out too
		case s == nil || s.heard.peer != p.ID:
			s = newSender(t, p)
		}
		if s.short != t.self {
			out[p.NodeKey] = s
		}
	}
	return out
}

// FromRelay takes what a relay says that a node sent. What is not from a peer of
// the map is dropped: else any client of the relay could reach WireGuard, or use
// up what a peer's probes may cost. It never waits, and keeps nothing of the
// datagram. While the bind is closed, nothing is taken.
func (t *Transport) FromRelay(relay path.Relay, from key.NodePublic, datagram []byte) {
	s := (*t.senders.Load())[from]
	if s == nil || relay == "" || !t.relayed.isOpen() {
		return
	}
	if probe.Is(datagram) {
		t.takeRelayed(relay, s, datagram)
		return
	}
	s.by(relay)
	if !s.heard.known.Load() && s.heard.known.CompareAndSwap(false, true) {
		t.mail.hear(&s.heard, path.Through(relay))
	}
	t.relayed.push(s, datagram)
}

// takeRelayed hands a probe to Run. A relay proves who sends: a request that
// names another sender is forged.
func (t *Transport) takeRelayed(relay path.Relay, s *sender, b []byte) {
	if h, ok := probe.Peek(b); ok && (h.Kind == probe.Answer || h.Sender == s.short) {
		t.take(datagram{relay: relay}, h, b)
	}
}

// by remembers the relay by which the sender was heard last.
func (s *sender) by(relay path.Relay) {
	if last := s.last.Load(); last == nil || *last != relay {
		now := relay // only here does it cost memory
		s.last.Store(&now)
	}
}

// send is the way of what is for whoever sent a datagram, a cookie: back over the
// relay by which he was heard last.
func (s *sender) send(bufs [][]byte) error {
	relay := *s.last.Load() // WireGuard has the endpoint from a datagram
	if err := s.t.overRelay(relay, s.node, bufs); err != nil {
		return fmt.Errorf("sending back through relay %q: %w", relay, err)
	}
	return nil
}

// overRelay hands datagrams to a relay, each for itself. The error is
// net.ErrClosed, or ErrNotSent if one was not taken.
func (t *Transport) overRelay(relay path.Relay, to key.NodePublic, bufs [][]byte) (err error) {
	if !t.relayed.isOpen() {
		return net.ErrClosed
	}
	for _, b := range bufs {
		if len(b) > maxRelayed || !t.relay(relay, to, b) {
			err = ErrNotSent
		}
	}
	return err
}

// sendOver is send of an endpoint whose path leads through a relay. A relay that
// takes nothing is told to Run, which probes the path at once.
func (v *endpoint) sendOver(bufs [][]byte, r *route) error {
	err := v.t.overRelay(r.to.Relay, r.node, bufs)
	if !errors.Is(err, ErrNotSent) {
		return err
	}
	if v.sick.CompareAndSwap(false, true) {
		v.t.mail.tell(func(now time.Time) { v.t.trouble(now, v, r) })
	}
	return r.refused
}

// ClearSrc does nothing: the connection to the relay is not ours.
func (s *sender) ClearSrc() {}

// DstToString is for people; ParseEndpoint does not read it.
func (s *sender) DstToString() string { return "relayed:" + s.node.String() }

// DstToBytes is the node key: cookies are bound to it. No address has its length.
func (s *sender) DstToBytes() []byte { return s.raw[:] }

// DstIP stands for the node key where WireGuard limits handshakes by address.
func (s *sender) DstIP() netip.Addr { return s.ip }

// SrcIP is not known, nor SrcToString.
func (s *sender) SrcIP() netip.Addr { return netip.Addr{} }

// SrcToString is empty.
func (s *sender) SrcToString() string { return "" }
