package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
)

// WireGuard's handshake messages, by their first byte and size (the WireGuard
// paper, section 5.4). They are at the head of a batch of one.
const (
	initiation, initiationSize = 1, 148
	response, responseSize     = 2, 92
	// holdFor is how long a held handshake message is worth sending. WireGuard
	// makes a new one after 5 s.
	holdFor = 6 * time.Second
)

// endpoint is the virtual endpoint of a peer: the same wherever the path leads. It
// is a conn.Endpoint.
type endpoint struct {
	t     *Transport
	id    string
	route atomic.Pointer[route] // nil: no path
	busy  atomic.Bool           // Run knows already that there is traffic
	sick  atomic.Bool           // Run knows already that the kernel or a relay refuses
	info  atomic.Pointer[PathInfo]
	whole atomic.Int32   // see wholeOf
	node  key.NodePublic // Run's: the node key, as the path machines know it

	mu   sync.Mutex // held, and route against it
	held *held      // nil: there never was one, as for most of a large map
}

// held is a handshake message that waits for a path.
type held struct {
	data [initiationSize]byte
	len  int // 0: none waits
	at   time.Time
}

// route is where a path leads. It is never changed, only replaced: a send may be
// reading it.
type route struct {
	to path.Way

	// Of a direct one.
	real conn.Endpoint // with the local address to send from, unless bare
	bare bool

	// Of a relayed one.
	node    key.NodePublic // as whom the relay knows the peer
	refused error          // what send gives when the relay takes nothing
}

func newEndpoint(t *Transport, id string) *endpoint {
	v := &endpoint{t: t, id: id}
	v.info.Store(t.idle[0])
	return v
}

// send is the way of every datagram to a peer of the map.
func (v *endpoint) send(bufs [][]byte) error {
	if !v.busy.Load() {
		v.want()
	}
	r := v.route.Load()
	if r == nil {
		if r = v.hold(bufs); r == nil {
			return nil
		}
	}
	if r.to.Relayed() {
		return v.sendOver(bufs, r)
	}
	if err := v.sendDirect(bufs, r); err != nil {
		return v.resend(bufs, r, err)
	}
	return nil
}

func (v *endpoint) sendDirect(bufs [][]byte, r *route) error {
	if most := int(v.whole.Load()); most != 0 && longest(bufs) > most {
		return v.t.bind.sendNarrow(bufs, r.real, most)
	}
	return v.t.bind.inner.Send(bufs, r.real)
}

func longest(bufs [][]byte) (size int) {
	for _, b := range bufs {
		size = max(size, len(b))
	}
	return size
}

// want tells Run, once in a while, that there is traffic.
func (v *endpoint) want() {
	if v.busy.CompareAndSwap(false, true) {
		v.t.mail.want(v)
	}
}

// hold keeps a handshake message until there is a path. If one has been found
// meanwhile, it is returned instead.
func (v *endpoint) hold(bufs [][]byte) *route {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.route.Load(); r != nil {
		return r
	}
	if len(bufs) == 1 && handshake(bufs[0]) {
		if v.held == nil {
			v.held = new(held)
		}
		v.held.len, v.held.at = copy(v.held.data[:], bufs[0]), time.Now()
	}
	return nil
}

func handshake(b []byte) bool {
	return len(b) == initiationSize && b[0] == initiation || len(b) == responseSize && b[0] == response
}

// resend tries once more without the local address that worked before: it may
// be gone, which the kernel reports (EINVAL, ENETUNREACH) before anybody has
// told us of a change.
func (v *endpoint) resend(bufs [][]byte, r *route, cause error) error {
	var gso conn.ErrUDPGSODisabled // the datagrams left; wireguard-go looks into it
	if errors.As(cause, &gso) || errors.Is(cause, net.ErrClosed) {
		return cause
	}
	if v.sick.CompareAndSwap(false, true) {
		v.t.mail.tell(func(now time.Time) { v.t.trouble(now, v, r) })
	}
	if r.bare {
		return cause
	}
	fresh := v.forget(r)
	if fresh == nil {
		return cause
	}
	return v.sendDirect(bufs, fresh)
}

// forget replaces route r by one that leads to the same address and leaves the
// local address open. It returns nil if r was no longer the route, or is relayed.
func (v *endpoint) forget(r *route) *route {
	if r.to.Relayed() {
		return nil
	}
	real, err := v.t.bind.inner.ParseEndpoint(r.to.Addr.String())
	if err != nil {
		return nil
	}
	fresh := &route{to: r.to, real: real, bare: true}
	if !v.route.CompareAndSwap(r, fresh) {
		return nil
	}
	return fresh
}

// lead makes the path lead to r (nil: nowhere) and returns the handshake message
// that waited for it, if it is still worth sending.
func (v *endpoint) lead(r *route, now time.Time) (waited []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.route.Store(r)
	if v.held == nil {
		return nil
	}
	if r != nil && v.held.len > 0 && now.Sub(v.held.at) < holdFor {
		waited = append(waited, v.held.data[:v.held.len]...)
	}
	v.held.len = 0
	return waited
}

// ClearSrc is called by wireguard-go when a handshake fails: the local address
// may be at fault.
func (v *endpoint) ClearSrc() {
	if r := v.route.Load(); r != nil && !r.bare {
		v.forget(r)
	}
}

// DstToString is what ParseEndpoint reads.
func (v *endpoint) DstToString() string { return scheme + v.id }

// DstToBytes names the peer; wireguard-go asks it of received endpoints only.
func (v *endpoint) DstToBytes() []byte { return []byte(v.id) }

// DstIP is where the path leads now; the zero Addr if nowhere, or to a relay.
func (v *endpoint) DstIP() netip.Addr {
	if r := v.route.Load(); r != nil {
		return r.to.Addr.Addr()
	}
	return netip.Addr{}
}

// SrcIP is the local address that the path uses, if it is known.
func (v *endpoint) SrcIP() netip.Addr {
	if r := v.route.Load(); r != nil && !r.to.Relayed() {
		return r.real.SrcIP()
	}
	return netip.Addr{}
}

// SrcToString is SrcIP as text.
func (v *endpoint) SrcToString() string { return v.SrcIP().String() }
