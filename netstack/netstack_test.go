package netstack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/netstack"
)

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]netstack.Config{
		"MTU below IPv6's least": {MTU: 1279},
		"MTU beyond a datagram":  {MTU: 65_500},
		"unspecified":            {Addresses: []netip.Addr{netip.IPv4Unspecified()}},
		"loopback":               {Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
		"multicast":              {Addresses: []netip.Addr{netip.MustParseAddr("ff02::1")}},
		"zone":                   {Addresses: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}},
		"no address":             {Addresses: []netip.Addr{{}}},
	} {
		if s, err := netstack.New(c); err == nil {
			s.Close()
			t.Errorf("%s: New accepted it", name)
		}
	}
}

func TestTransferBothFamilies(t *testing.T) {
	for _, to := range []netip.Addr{b4, b6} {
		t.Run(to.String(), func(t *testing.T) {
			l := newLink(t, 0)
			ln := listen(t, l.b, netip.AddrPortFrom(to, 104))
			background(t, echo(ln))
			c, err := l.a.DialContext(withPatience(t), "tcp", join(to, 104))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			want := make([]byte, 4<<20)
			for i := range want {
				want[i] = byte(rand.Uint32())
			}
			go func() {
				c.Write(want)
				c.(interface{ CloseWrite() error }).CloseWrite()
			}()
			c.SetReadDeadline(time.Now().Add(patience))
			got, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			if sha256.Sum256(got) != sha256.Sum256(want) {
				t.Fatalf("%d bytes came back, not the %d that were sent", len(got), len(want))
			}
		})
	}
}

func TestMTUIsKept(t *testing.T) {
	for _, mtu := range []int{1280, 1420, 9000} {
		l := newLink(t, mtu)
		if got, _ := l.a.Device().MTU(); got != mtu {
			t.Errorf("MTU() = %d, want %d", got, mtu)
		}
		background(t, echo(listen(t, l.b, netip.AddrPortFrom(b4, 104))))
		c, err := l.a.DialContext(withPatience(t), "tcp", join(b4, 104))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		go c.Write(make([]byte, 1<<20))
		if _, err := io.CopyN(io.Discard, c, 1<<20); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if _, _, largest := l.seen(); largest > mtu || largest < mtu-60 {
			t.Errorf("largest packet is %d bytes, want the MTU, %d, less what TCP options leave free", largest, mtu)
		}
	}
}

func TestUDPBothWays(t *testing.T) {
	l := newLink(t, 0)
	for _, to := range []netip.Addr{b4, b6} {
		pc, err := l.b.ListenPacket("udp", netip.AddrPortFrom(netip.Addr{}, 514))
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.a.DialContext(withPatience(t), "udp", join(to, 514))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		pc.SetDeadline(time.Now().Add(patience))
		// Larger than the MTU: the stack cuts it up and puts it together again.
		question := bytes.Repeat([]byte("hl7"), 1000)
		if _, err := c.Write(question); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4000)
		n, from, err := pc.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:n], question) {
			t.Fatalf("read %d bytes, %v; want the %d sent", n, err, len(question))
		}
		if _, err := pc.WriteTo([]byte("ack"), from); err != nil {
			t.Fatal(err)
		}
		if n, err = c.Read(buf); err != nil || string(buf[:n]) != "ack" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		c.Close()
		pc.Close()
	}
}

func TestPingIsAnswered(t *testing.T) {
	l := newLink(t, 0)
	for _, to := range []netip.Addr{b4, b6} {
		rtt, err := l.a.Ping(withPatience(t), to)
		if err != nil || rtt <= 0 {
			t.Errorf("ping %s: %v, %v", to, rtt, err)
		}
	}
}

func TestPingOfNobodyEndsWithItsContext(t *testing.T) {
	l := newLink(t, 0)
	l.setJudge(func([]byte) (bool, []byte) { return false, nil })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.a.Ping(ctx, b4); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ping = %v, want the context's end", err)
	}
}

func TestAddressesComeLateAndGo(t *testing.T) {
	l := newLink(t, 0)
	if err := l.a.SetAddresses(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := l.a.DialContext(withPatience(t), "tcp", join(b4, 104)); !errors.Is(err, netstack.ErrNoAddress) {
		t.Fatalf("dial without an address = %v, want ErrNoAddress", err)
	}
	background(t, echo(listen(t, l.b, netip.AddrPortFrom(netip.Addr{}, 104))))
	if err := l.a.SetAddresses([]netip.Addr{a4, a4, a6}); err != nil {
		t.Fatal(err)
	}
	if got := l.a.Addresses(); len(got) != 2 {
		t.Errorf("addresses = %v, want each once", got)
	}
	stays, err := l.a.DialContext(withPatience(t), "tcp", join(b6, 104))
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	goes, err := l.a.DialContext(withPatience(t), "tcp", join(b4, 104))
	if err != nil {
		t.Fatal(err)
	}
	defer goes.Close()
	if err := l.a.SetAddresses([]netip.Addr{a6}); err != nil {
		t.Fatal(err)
	}
	goes.SetDeadline(time.Now().Add(patience))
	if _, err := goes.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read of a flow whose address went = %v, want its end", err)
	}
	stays.SetDeadline(time.Now().Add(patience))
	if _, err := stays.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(stays, make([]byte, 1)); err != nil {
		t.Errorf("a flow whose address stayed: %v", err)
	}
}

func TestNamesAreResolvedByTheGivenFunctionAlone(t *testing.T) {
	l := newLink(t, 0)
	if _, err := l.a.DialContext(withPatience(t), "tcp", "localhost:104"); err == nil || !strings.Contains(err.Error(), "no resolver") {
		t.Errorf("dial of a name without a resolver = %v", err)
	}
	s := newStack(t, netstack.Config{Addresses: []netip.Addr{a4}, Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "pacs.mesh" {
			return nil, nil
		}
		return []netip.Addr{a4}, nil
	}})
	background(t, echo(listen(t, s, netip.AddrPortFrom(a4, 104))))
	c, err := s.DialContext(withPatience(t), "tcp", "pacs.mesh:104")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	var missing *net.DNSError
	if _, err := s.DialContext(withPatience(t), "tcp", "ris.mesh:104"); !errors.As(err, &missing) || !missing.IsNotFound {
		t.Errorf("dial of an unknown name = %v, want not found", err)
	}
}

func TestDialRefusesWhatItCannotDo(t *testing.T) {
	l := newLink(t, 0)
	for _, d := range []struct{ network, addr, why string }{
		{"tcp", "100.64.0.2", "host:port"},
		{"udp", "100.64.0.2:0", "no port"},
		{"udp4", "100.64.0.2:70000", "no port"},
		{"tcp4", "[fd00:c0de::2]:1", "family"},
		{"tcp6", "100.64.0.2:1", "family"},
		{"sctp", "100.64.0.2:1", "not known"},
		{"udp6", "[fe80::1%eth0]:1", "zone"},
	} {
		c, err := l.a.DialContext(withPatience(t), d.network, d.addr)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), d.why) {
			t.Errorf("dial %s %s = %v, want an error about %q", d.network, d.addr, err, d.why)
		}
	}
	if ln, err := l.a.Listen("tcp6", netip.AddrPortFrom(a4, 1)); err == nil {
		ln.Close()
		t.Error("tcp6 listens at an IPv4 address")
	}
	if ln, err := l.a.Listen("tcp4", netip.AddrPortFrom(a6, 1)); err == nil {
		ln.Close()
		t.Error("tcp4 listens at an IPv6 address")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	l := newLink(t, 0)
	ln := listen(t, l.b, netip.AddrPortFrom(b4, 104))
	accepted := make(chan net.Conn, 1)
	ended := make(chan error, 2)
	go func() {
		c, _ := ln.Accept()
		accepted <- c
		_, err := ln.Accept()
		ended <- err
	}()
	c, err := l.a.DialContext(withPatience(t), "tcp", join(b4, 104))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	served := <-accepted
	go func() {
		_, err := served.Read(make([]byte, 1))
		ended <- err
	}()
	dev := l.b.Device()
	if ev := <-dev.Events(); ev != tun.EventUp {
		t.Errorf("first event = %v, want up", ev)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal("a second Close:", err)
	}
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("a blocked call ended without an error")
		}
	}
	if _, open := <-dev.Events(); open {
		t.Error("events are not closed")
	}
	if _, err := dev.Write([][]byte{make([]byte, 40)}, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close = %v", err)
	}
	if _, err := dev.Read([][]byte{make([]byte, 2000)}, make([]int, 1), 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close = %v", err)
	}
	if _, err := l.b.DialContext(withPatience(t), "tcp", join(a4, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial after close = %v", err)
	}
	if _, err := l.b.Listen("tcp", netip.AddrPortFrom(b4, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen after close = %v", err)
	}
}

func TestDeviceOutlivesGarbage(t *testing.T) {
	l := newLink(t, 0)
	dev := l.b.Device()
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		p := make([]byte, r.IntN(200))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		if len(p) > 0 && r.IntN(3) > 0 {
			p[0] = []byte{0x45, 0x60}[r.IntN(2)]
		}
		if n, err := dev.Write([][]byte{p}, 0); n != 1 || err != nil {
			t.Fatalf("write = %d, %v", n, err)
		}
	}
	if _, err := l.a.Ping(withPatience(t), b4); err != nil {
		t.Error(err)
	}
}

// Segments that wait in the device to be merged are all delivered when their
// batch ends: many flows in one batch, and nothing after it.
func TestABatchOfManyFlowsIsDelivered(t *testing.T) {
	const flows, part = 24, 40_000 // more than a first window, so the first segment has no PSH
	l := newLink(t, 0)
	ln := listen(t, l.b, netip.AddrPortFrom(b4, 104))
	var senders, receivers []net.Conn
	for range flows {
		c, err := l.a.DialContext(withPatience(t), "tcp", join(b4, 104))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		served, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer served.Close()
		senders, receivers = append(senders, c), append(receivers, served)
	}
	written := make(chan struct{})
	passed := make(map[uint16]bool) // source ports: each flow's first segment alone
	l.setJudge(func(p []byte) (bool, []byte) {
		<-written
		port := uint16(p[20])<<8 | uint16(p[21])
		if len(p) < 1000 || passed[port] {
			return false, nil
		}
		passed[port] = true
		return true, nil
	})
	for _, c := range senders {
		if _, err := c.Write(make([]byte, part)); err != nil {
			t.Fatal(err)
		}
	}
	close(written)
	for i, c := range receivers {
		c.SetDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			t.Fatalf("flow %d: %v", i, err)
		}
	}
	l.setJudge(nil)
}
