package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
	"github.com/cordonmesh/cordon/node/internal/path/stun"
)

// errNoUDP is what is said to whoever wants UDP where only relays are used.
var errNoUDP = errors.New("this node sends through relays only")

// inboxSize is how many probes may wait for Run. A flood beyond is dropped.
const inboxSize = 256

// datagram is a probe on its way to Run, copied: the buffer is wireguard-go's.
type datagram struct {
	from  conn.Endpoint // nil: it came over a relay
	relay path.Relay    // that relay
	len   int
	data  [probe.MaxSize]byte
	large []byte // instead of data, if it is padded
}

func (d *datagram) bytes() []byte {
	if d.large != nil {
		return d.large
	}
	return d.data[:d.len]
}

// way is the one on which the probe came.
func (d *datagram) way() path.Way {
	if d.relay != "" {
		return path.Through(d.relay)
	}
	return path.Direct(addrOf(d.from))
}

// bind is the conn.Bind that wireguard-go gets. It may be closed and opened
// again: wireguard-go does so when the port changes and when the device goes
// down and up.
type bind struct {
	t     *Transport
	inner conn.Bind

	mu   sync.Mutex
	port uint16 // the configured one; 0: any
	mark uint32
}

// Open opens the sockets. Port 0 means the configured port, else the one that
// was in use before, else any.
func (b *bind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fns, actual, err := b.open(port)
	if err != nil {
		return nil, 0, err
	}
	if b.mark != 0 {
		if err := b.inner.SetMark(b.mark); err != nil {
			b.inner.Close()
			return nil, 0, fmt.Errorf("marking the socket of UDP port %d with %#x: %w (CAP_NET_ADMIN is needed)", actual, b.mark, err)
		}
	}
	for i, fn := range fns {
		fns[i] = b.t.receiver(fn)
	}
	if b.t.relay != nil {
		fns = append(fns, b.t.relayed.open())
	}
	b.t.port.Store(uint32(actual))
	b.t.mail.tell(b.t.networkChanged)
	b.t.mail.tell(func(time.Time) { b.t.onOpen(actual) })
	return fns, actual, nil
}

func (b *bind) open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	if port == 0 {
		port = b.port
	}
	if before := b.t.Port(); port == 0 && before != 0 {
		// Peers know the old port; another program may have it now.
		if fns, actual, err := b.inner.Open(before); err == nil {
			return fns, actual, nil
		}
	}
	fns, actual, err := b.inner.Open(port)
	if err != nil {
		return nil, 0, fmt.Errorf("opening UDP port %d: %w", port, err)
	}
	return fns, actual, nil
}

// Close closes the sockets, and the way to the relays; the receive functions
// return net.ErrClosed.
func (b *bind) Close() error {
	b.t.relayed.close()
	return b.inner.Close()
}

// SetMark marks what leaves, now and after the next Open.
func (b *bind) SetMark(mark uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.inner.SetMark(mark); err != nil {
		return err
	}
	b.mark = mark
	return nil
}

// BatchSize is that of the bind underneath.
func (b *bind) BatchSize() int { return b.inner.BatchSize() }

// ParseEndpoint gives the virtual endpoint for "cordon:" and the ID of a peer
// of the map, or of who left it and is in the device yet. Any other text is for the bind underneath: a stock peer.
func (b *bind) ParseEndpoint(text string) (conn.Endpoint, error) {
	id, ours := strings.CutPrefix(text, scheme)
	if !ours {
		return b.inner.ParseEndpoint(text)
	}
	b.t.mu.RLock()
	defer b.t.mu.RUnlock()
	if v := b.t.members.find(id); v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("endpoint %q: %w; call SetPeers first", text, ErrUnknownPeer)
}

// Send sends to where the peer's path leads, or, for the endpoint of a stock peer
// or of whoever is sent a cookie, to just there.
func (b *bind) Send(bufs [][]byte, ep conn.Endpoint) error {
	switch to := ep.(type) {
	case *endpoint:
		return to.send(bufs)
	case *sender:
		return to.send(bufs)
	}
	if b.t.noUDP {
		return errNoUDP
	}
	return b.inner.Send(bufs, ep)
}

// sendProbe sends a probe; whole: in one piece or not at all, as far as the bind
// underneath can.
func (b *bind) sendProbe(datagram []byte, ep conn.Endpoint, whole bool) error {
	if w, can := b.inner.(interface {
		SendWhole([]byte, conn.Endpoint) error
	}); can && whole {
		return w.SendWhole(datagram, ep)
	}
	return b.inner.Send([][]byte{datagram}, ep)
}

// sendNarrow sends to where a path does not carry more than most bytes whole.
func (b *bind) sendNarrow(bufs [][]byte, ep conn.Endpoint, most int) error {
	cutter, can := b.inner.(interface {
		SendInPieces([]byte, conn.Endpoint) error
	})
	if !can {
		return b.inner.Send(bufs, ep)
	}
	for i := range bufs {
		var err error
		if len(bufs[i]) > most {
			err = cutter.SendInPieces(bufs[i], ep)
		} else {
			err = b.inner.Send(bufs[i:i+1], ep)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// receiver wraps a receive function: STUN is taken out, all else stays where it
// was written.
func (t *Transport) receiver(fn conn.ReceiveFunc) conn.ReceiveFunc {
	return func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		n, err := fn(bufs, sizes, eps)
		if t.noUDP {
			clear(sizes[:n])
			return n, err
		}
		for i := range n {
			if b := bufs[i][:sizes[i]]; probe.Is(b) {
				sizes[i] = 0
				if stun.Is(b) {
					t.onSTUN(addrOf(eps[i]), b)
				} else if h, ok := probe.Peek(b); ok {
					t.take(datagram{from: eps[i]}, h, b)
				}
			}
		}
		t.listen(eps[:n], sizes)
		return n, err
	}
}

// take hands a probe to Run, as d, if it can be one for us and there is room.
func (t *Transport) take(d datagram, h probe.Header, b []byte) {
	if h.Kind != probe.Answer && h.Receiver != t.self {
		return
	}
	if len(t.inbox) == cap(t.inbox) {
		return // before a padded one costs memory
	}
	if d.len = copy(d.data[:], b); d.len < len(b) {
		d.large = bytes.Clone(b)
	}
	select {
	case t.inbox <- d:
	default:
	}
}

// addrOf gives the address of a received endpoint, as package path writes it.
func addrOf(ep conn.Endpoint) netip.AddrPort {
	addr := netip.AddrPort{}
	if std, ok := ep.(*conn.StdNetEndpoint); ok {
		addr = std.AddrPort
	} else {
		addr, _ = netip.ParseAddrPort(ep.DstToString())
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
