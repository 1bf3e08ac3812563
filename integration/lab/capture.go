//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keepPackets bounds what a capture remembers; it counts without bound.
const keepPackets = 4096

// Capture sees every IP packet, in both directions, that passes a link of a
// host from the moment it was made. Large sends may be seen before the network
// card would have cut them into packets.
type Capture struct {
	where string
	want  func([]byte) bool
	file  *os.File
	done  chan struct{}

	draining sync.Mutex // by the reader, or whoever asks; taken before mu

	mu      sync.Mutex
	count   int
	packets [][]byte
	lost    int
	stopped bool
}

// Capture starts to capture on a link of the host (eth0, a TUN, ...); want says
// which packets, from the IP header on, are kept and counted, and nil is all.
func (h *Host) Capture(link string, want func(packet []byte) bool) *Capture {
	h.lab.t.Helper()
	c := &Capture{where: h.Name + " " + link, want: want, done: make(chan struct{})}
	err := h.Do(func() error { return c.open(link) })
	if err != nil {
		h.lab.t.Fatalf("capture on %s %s: %v", h.Name, link, err)
	}
	go c.read()
	h.lab.atEnd(func() { c.Stop() })
	return c
}

// CaptureUnderlay captures on every link of the topology of every machine, nodes
// and routers alike. Interfaces that programs make are not among them.
func (l *Lab) CaptureUnderlay(want func(packet []byte) bool) []*Capture {
	l.t.Helper()
	var all []*Capture
	for _, m := range l.top.Machines {
		for i := range m.Links {
			all = append(all, l.Host(m.Name).Capture(ethName(i), want))
		}
	}
	return all
}

// Where names the host and the link.
func (c *Capture) Where() string { return c.where }

func (c *Capture) open(link string) error {
	device, err := net.InterfaceByName(link)
	if err != nil {
		return err
	}
	// SOCK_DGRAM takes the link header off, so Ethernet and TUN look alike.
	// Protocol 0 lets nothing in before the socket is bound to its link.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	c.file = os.NewFile(uintptr(fd), "capture of "+c.where)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index, Protocol: networkOrder(unix.ETH_P_ALL)})
}

func (c *Capture) read() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	raw.Read(func(fd uintptr) bool {
		c.drain(int(fd))
		return false // until the deadline that Stop sets
	})
}

// drain takes everything that waits in the socket.
func (c *Capture) drain(fd int) {
	c.draining.Lock()
	defer c.draining.Unlock()
	buf := make([]byte, 128<<10)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		c.take(buf[:n])
	}
}

func (c *Capture) take(packet []byte) {
	if v := packet[0] >> 4; v != 4 && v != 6 {
		return // ARP and the like
	}
	if c.want != nil && !c.want(packet) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	if len(c.packets) < keepPackets {
		c.packets = append(c.packets, bytes.Clone(packet))
	}
}

// catchUp looks at all that has passed the link so far: a busy machine lets the reader
// fall behind, and what it has not seen would be taken for what was not there.
func (c *Capture) catchUp() {
	if raw, err := c.file.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { c.drain(int(fd)) }) // fails when the capture has ended, and saw all
	}
}

// Count is how many packets were wanted so far.
func (c *Capture) Count() int {
	c.catchUp()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// Packets gives the wanted packets so far, the first 4,096 of them.
func (c *Capture) Packets() [][]byte {
	c.catchUp()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.packets)
}

// Stop ends the capture, after all that had passed the link was looked at, and
// gives the packets. An error says that the kernel dropped some, so that their
// absence proves nothing.
func (c *Capture) Stop() ([][]byte, error) {
	c.mu.Lock()
	again := c.stopped
	c.stopped = true
	c.mu.Unlock()
	if !again {
		c.file.SetReadDeadline(time.Now())
		<-c.done
		c.finish()
	}
	if c.lost > 0 {
		return c.packets, fmt.Errorf("capture on %s: the kernel dropped %d packets", c.where, c.lost)
	}
	return c.packets, nil
}

func (c *Capture) finish() {
	defer c.file.Close()
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		c.drain(int(fd))
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			c.lost = int(stats.Drops)
		}
	})
}

// Containing wants packets that hold the bytes anywhere, such as a word that
// must never leave in clear.
func Containing(text string) func([]byte) bool {
	return func(packet []byte) bool { return bytes.Contains(packet, []byte(text)) }
}

// Touching wants packets whose outer source or destination lies in one of the
// prefixes, such as the mesh's own ranges on a link of the underlay.
func Touching(prefixes ...netip.Prefix) func([]byte) bool {
	return func(packet []byte) bool {
		src, dst := outerAddrs(packet)
		for _, p := range prefixes {
			if p.Contains(src) || p.Contains(dst) {
				return true
			}
		}
		return false
	}
}

// UDPFrom wants UDP datagrams that one of the addresses sends.
func UDPFrom(addrs ...netip.Addr) func([]byte) bool {
	return func(packet []byte) bool {
		src, _ := outerAddrs(packet)
		return slices.Contains(addrs, src) && (src.Is4() && packet[9] == unix.IPPROTO_UDP || src.Is6() && packet[6] == unix.IPPROTO_UDP)
	}
}

func outerAddrs(packet []byte) (src, dst netip.Addr) {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		src, _ = netip.AddrFromSlice(packet[12:16])
		dst, _ = netip.AddrFromSlice(packet[16:20])
	case len(packet) >= 40 && packet[0]>>4 == 6:
		src, _ = netip.AddrFromSlice(packet[8:24])
		dst, _ = netip.AddrFromSlice(packet[24:40])
	}
	return src, dst
}
