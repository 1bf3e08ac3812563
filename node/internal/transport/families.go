package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"sync/atomic"
	"unsafe"

	"golang.zx2c4.com/wireguard/conn"
)

// families is the default bind with the sending of IPv4 and of IPv6 kept apart.
//
// conn.StdNetBind draws the address that it sends to from one pool for both
// families, and copies an IPv6 address into one that served IPv4 before it
// lengthens it: four bytes are the new address's and twelve are those of the
// last IPv6 send, so the datagram goes to a stranger. Where peers have both
// families that loses probes and handshakes; WireGuard then waits 5 s.
// (WireGuard/wireguard-go pull request 135.)
//
// So IPv6 is sent by a second value of the same sockets with pools of its own.
type families struct {
	four atomic.Pointer[conn.StdNetBind] // opens, receives, closes, and sends IPv4
	six  atomic.Pointer[conn.StdNetBind] // sends IPv6; nil: not open

	sockets [2]atomic.Pointer[net.UDPConn] // of IPv4 and IPv6; nil: there is none
	cutter  cutter
}

// newDefaultBind gives what conn.NewDefaultBind gives, in a families if it needs it.
func newDefaultBind() conn.Bind {
	inner := conn.NewDefaultBind()
	std, ok := inner.(*conn.StdNetBind)
	if !ok {
		return inner
	}
	f := new(families) // closed until Open
	f.four.Store(std)
	return f
}

// Open begins with a fresh value each time: a copy must not share pools that
// were used.
func (f *families) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	if f.six.Load() != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	four, ok := conn.NewStdNetBind().(*conn.StdNetBind)
	if !ok {
		panic("transport: NewStdNetBind gives no StdNetBind") // it is named after it
	}
	fns, actual, err := four.Open(port)
	if err != nil {
		return nil, 0, err
	}
	smaller := f.BatchSize() < four.BatchSize()
	for i, family := range []string{"ipv4", "ipv6"} {
		c := socketOf(four, family)
		f.sockets[i].Store(c)
		if c == nil {
			continue
		}
		if smaller {
			at := min(i, len(fns)-1) // one each, in this order, for the sockets that there are
			fns[at] = withSurplus(fns[at], splits(four, family))
		}
		if err := letFragment(c); err != nil {
			return nil, 0, errors.Join(fmt.Errorf("letting datagrams of UDP port %d be fragmented: %w", actual, err), four.Close())
		}
	}
	six := new(conn.StdNetBind)
	reflect.ValueOf(six).Elem().Set(reflect.ValueOf(four).Elem())
	f.four.Store(four)
	f.six.Store(six)
	return fns, actual, nil
}

// Close closes the sockets of both.
func (f *families) Close() error {
	f.six.Store(nil)
	for i := range f.sockets {
		f.sockets[i].Store(nil)
	}
	f.cutter.close()
	return f.four.Load().Close()
}

// Send is by the address's family.
func (f *families) Send(bufs [][]byte, ep conn.Endpoint) error {
	if six := f.six.Load(); six != nil && ep.DstIP().Is6() {
		return six.Send(bufs, ep)
	}
	return f.four.Load().Send(bufs, ep)
}

// SendWhole sends a datagram that must not be fragmented. What others send on the
// socket in the same moment is kept whole too, which costs them nothing on a path
// that carries it.
func (f *families) SendWhole(datagram []byte, ep conn.Endpoint) error {
	i := 0
	if ep.DstIP().Is6() {
		i = 1
	}
	c := f.sockets[i].Load()
	if c == nil {
		return net.ErrClosed
	}
	if err := keepWhole(c); err != nil {
		return err
	}
	return errors.Join(f.Send([][]byte{datagram}, ep), letFragment(c))
}

// SendInPieces sends over IPv6 a datagram that the path does not carry whole. Where
// fragments cannot be made it is sent as any other.
func (f *families) SendInPieces(datagram []byte, ep conn.Endpoint) error {
	std, ok := ep.(*conn.StdNetEndpoint)
	c := f.sockets[1].Load()
	if !ok || c == nil || !cuttable(std, datagram) {
		return f.Send([][]byte{datagram}, ep)
	}
	port := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	if f.cutter.send(netip.AddrPortFrom(std.SrcIP(), port), std.AddrPort, datagram) != nil {
		return f.Send([][]byte{datagram}, ep)
	}
	return nil
}

// cuttable tells whether a datagram can be sent in pieces. An address of one link
// is not: it would need the link's name, and a link carries what it is asked to.
func cuttable(ep *conn.StdNetEndpoint, datagram []byte) bool {
	dst := ep.DstIP()
	return len(datagram)+udpSize > pieceLoad && dst.Is6() && !dst.Is4In6() && !dst.IsLinkLocalUnicast()
}

// socketOf gives the socket in a field of a bind, which has no other door to it;
// nil: there is none.
func socketOf(b *conn.StdNetBind, name string) *net.UDPConn {
	field := reflect.ValueOf(b).Elem().FieldByName(name)
	if !field.IsValid() || field.Type() != reflect.TypeFor[*net.UDPConn]() {
		panic("transport: conn.StdNetBind has no socket " + name) // a test notices before anybody else
	}
	return *(**net.UDPConn)(unsafe.Pointer(field.UnsafeAddr()))
}

// splits tells whether a bind reads coalesced datagrams from the family's socket.
func splits(b *conn.StdNetBind, family string) bool {
	field := reflect.ValueOf(b).Elem().FieldByName(family + "RxOffload")
	if field.Kind() != reflect.Bool {
		panic("transport: conn.StdNetBind does not say whether it splits what comes over " + family)
	}
	return field.Bool()
}

// SetMark marks the sockets of both.
func (f *families) SetMark(mark uint32) error {
	f.cutter.setMark(mark)
	return f.four.Load().SetMark(mark)
}

// ParseEndpoint reads an address and port.
func (f *families) ParseEndpoint(text string) (conn.Endpoint, error) {
	return f.four.Load().ParseEndpoint(text)
}

// BatchSize is how many datagrams one receive function gives at a time.
func (f *families) BatchSize() int { return min(batch, f.four.Load().BatchSize()) }
