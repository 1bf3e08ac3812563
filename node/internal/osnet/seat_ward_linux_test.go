package osnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

const ana, ben, visiting = 1000, 1001, 1002 // uids: ana and ben have seats

var (
	anas4, anas6 = netip.MustParseAddr("100.64.7.1"), netip.MustParseAddr("fd00:c0de::7:1")
	bens4, bens6 = netip.MustParseAddr("100.64.7.2"), netip.MustParseAddr("fd00:c0de::7:2")
)

func shared() osnet.Want {
	w := mesh()
	w.Seats = []osnet.Seat{{UID: ana, Addresses: []netip.Addr{anas4, anas6}}, {UID: ben, Addresses: []netip.Addr{bens4, bens6}}}
	return w
}

// visit is what a peer hears: a datagram, or all that came by a connection.
type visit struct {
	from  netip.Addr
	words string
}

// ward is a machine of several people, at the end of a tunnel without a filter. The
// peer at the other end is in a namespace of its own, and tells who comes.
type ward struct {
	*osnet.Network
	here   netns.NsHandle
	visits chan visit
	asleep sync.RWMutex // while it is held, the peer reads from no new connection
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{here: namespace(t), visits: make(chan visit, 100)}
	w.Network = newNetwork(t, osnet.Config{})
	dev := open(t, w.Network)
	must(t, w.Apply(shared()))
	there, err := netns.New()
	must(t, err)
	must(t, netns.Set(w.here))
	t.Cleanup(func() { there.Close() })
	in(t, there, func() error {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			return err
		}
		n, err := osnet.New(osnet.Config{})
		if err != nil {
			return err
		}
		t.Cleanup(func() { n.Close() })
		far := open(t, n)
		pump(t, dev, far)
		pump(t, far, dev)
		if err := n.Apply(osnet.Want{Addresses: []netip.Addr{peer4, peer6}, Routes: []netip.Prefix{range4, range6}, Guards: []netip.Prefix{range4, range6}}); err != nil {
			return err
		}
		return w.receive(t)
	})
	return w
}

// pump is a tunnel in one direction, which ends with either device.
func pump(t *testing.T, from, to tun.Device) {
	ended := make(chan struct{})
	t.Cleanup(func() { from.Close(); <-ended })
	go func() {
		defer close(ended)
		bufs, sizes := make([][]byte, from.BatchSize()), make([]int, from.BatchSize())
		for i := range bufs {
			bufs[i] = make([]byte, 65536+16)
		}
		for {
			n, err := from.Read(bufs, sizes, 16)
			if err != nil {
				return
			}
			for i := range n {
				if _, err := to.Write([][]byte{bufs[i][:16+sizes[i]]}, 16); err != nil {
					return
				}
			}
		}
	}()
}

// receive listens at the peer, on port 443 for connections and 5000 for datagrams.
func (w *ward) receive(t *testing.T) error {
	l, err := net.Listen("tcp", "[::]:443")
	if err != nil {
		return err
	}
	c, err := net.ListenPacket("udp", "[::]:5000")
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); c.Close(); all.Wait() })
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { conn.Close() })
			all.Go(func() {
				defer conn.Close()
				w.asleep.RLock()
				defer w.asleep.RUnlock()
				words, _ := io.ReadAll(conn)
				w.visits <- visit{conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(), string(words)}
			})
		}
	})
	all.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			w.visits <- visit{from.(*net.UDPAddr).AddrPort().Addr().Unmap(), string(buf[:n])}
		}
	})
	return nil
}

// as runs f with that account's rights on sockets: they are whose file system user
// the thread is that opens them.
func (w *ward) as(t *testing.T, uid int, f func() error) {
	t.Helper()
	in(t, w.here, func() error {
		unix.SetfsuidRetUid(uid)
		if is, _ := unix.SetfsuidRetUid(-1); is != uid {
			return errors.New("the thread's account did not change")
		}
		return f()
	})
}

// peerOf is the peer's address of the same family.
func peerOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return peer4
	}
	return peer6
}

// dial connects from an address, or any if it is the zero one, to the peer.
func dial(network string, from netip.Addr, is4 bool) (net.Conn, error) {
	to, port := peer6, uint16(443)
	if is4 {
		to = peer4
	}
	d := net.Dialer{Timeout: patience}
	switch {
	case network == "udp":
		port = 5000
		if from.IsValid() {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
	case from.IsValid():
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d.DialContext(context.Background(), network, netip.AddrPortFrom(to, port).String())
}

// says sends words to the peer, in a connection of its own.
func says(network string, from netip.Addr, is4 bool, words string) error {
	c, err := dial(network, from, is4)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c, words)
	return errors.Join(err, c.Close())
}

// heard gives what came to the peer next.
func (w *ward) heard(t *testing.T) visit {
	t.Helper()
	select {
	case v := <-w.visits:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came to the peer")
	}
	return visit{}
}

// silent fails if anything came but the words that are said now.
func (w *ward) silent(t *testing.T, what string) {
	t.Helper()
	w.as(t, visiting, func() error { return says("udp", netip.Addr{}, true, "the end") })
	for v := w.heard(t); v.words != "the end"; v = w.heard(t) {
		t.Errorf("%s: %q came from %s", what, v.words, v.from)
	}
}

// forge sends a datagram by a raw socket of IP, as root may.
func forge(src netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	p := []byte{0x45, 0, 0, 30, 0, 0, 0, 0, 64, syscall.IPPROTO_UDP, 0, 0}
	p = append(append(p, src.AsSlice()...), peer4.AsSlice()...)
	p = append(p, 0x30, 0x39, 5000>>8, 5000&0xff, 0, 10, 0, 0, 'm', 'e')
	return unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: peer4.As4()})
}
