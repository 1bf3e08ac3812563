package transport

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var errNoSource = errors.New("the kernel names no IPv6 address to send from")

// cutter sends datagrams over IPv6 in fragments. The kernel would cut by what ICMP
// says of the path, which may never come and is anybody's to forge, or by its own
// link alone; so the fragments are made here and leave by a raw socket, which
// needs CAP_NET_RAW. The zero value is ready.
type cutter struct {
	mu      sync.Mutex
	tried   bool  // to open the socket
	refused error // why there is none; valid if tried
	socket  int   // valid if tried and not refused
	mark    uint32
	to      unix.SockaddrInet6
	pieces  pieces
	sources map[netip.Addr]chosen // by destination
}

// chosen is from which address the kernel sends to some destination.
type chosen struct {
	addr  netip.Addr
	until time.Time // when it is asked again
}

const (
	// sourceFor is how long after a change of routes fragments may leave from where
	// nobody answers.
	sourceFor = time.Second
	// maxSources bounds what is remembered of destinations.
	maxSources = 64
	// anyPort is what a socket is connected to that sends nothing.
	anyPort = 9
)

// send sends one datagram, or gives why it cannot. An invalid address to send from
// is the kernel's to choose.
func (c *cutter) send(from, to netip.AddrPort, datagram []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return err
	}
	if !from.Addr().IsValid() {
		src, err := c.sourceTo(to.Addr())
		if err != nil {
			return err
		}
		from = netip.AddrPortFrom(src, from.Port())
	}
	c.to.Addr = to.Addr().As16()
	c.pieces.begin(from, to, datagram, rand.Uint32())
	for b := c.pieces.next(); b != nil; b = c.pieces.next() {
		if err := unix.Sendto(c.socket, b, 0, &c.to); err != nil {
			return err
		}
	}
	return nil
}

// open opens the socket, which sends IPv6 packets with their headers and receives
// nothing. The caller holds mu.
func (c *cutter) open() error {
	if !c.tried {
		c.socket, c.refused = marked(unix.SOCK_RAW, unix.IPPROTO_RAW, c.mark)
		c.tried = true
	}
	return c.refused
}

// sourceTo gives the address that the kernel takes for a destination: it chooses
// for a socket that is connected as for one that is not. The caller holds mu.
func (c *cutter) sourceTo(to netip.Addr) (netip.Addr, error) {
	now := time.Now()
	if s, ok := c.sources[to]; ok && now.Before(s.until) {
		return s.addr, nil
	}
	socket, err := marked(unix.SOCK_DGRAM, 0, c.mark)
	if err != nil {
		return netip.Addr{}, err
	}
	defer unix.Close(socket)
	if err := unix.Connect(socket, &unix.SockaddrInet6{Addr: to.As16(), Port: anyPort}); err != nil {
		return netip.Addr{}, err
	}
	name, err := unix.Getsockname(socket)
	own, ok := name.(*unix.SockaddrInet6)
	if err != nil || !ok {
		return netip.Addr{}, errors.Join(errNoSource, err)
	}
	if len(c.sources) >= maxSources || c.sources == nil {
		c.sources = map[netip.Addr]chosen{}
	}
	s := chosen{netip.AddrFrom16(own.Addr), now.Add(sourceFor)}
	c.sources[to] = s
	return s.addr, nil
}

// marked makes a socket of IPv6 with a mark.
func marked(kind, protocol int, mark uint32) (int, error) {
	s, err := unix.Socket(unix.AF_INET6, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil || mark == 0 {
		return s, err
	}
	if err = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
		unix.Close(s)
	}
	return s, err
}

// setMark marks what leaves from now on.
func (c *cutter) setMark(mark uint32) {
	c.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark = mark
}

// close closes the socket. The next send opens another.
func (c *cutter) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tried && c.refused == nil {
		unix.Close(c.socket)
	}
	c.tried = false
}
