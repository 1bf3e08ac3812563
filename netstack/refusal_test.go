package netstack_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/netstack"
)

func onesSum(sum uint32, b []byte) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return sum
}

// unreachable is the ICMP error that a filter answers packet with.
func unreachable(packet []byte, code byte) []byte {
	body := append([]byte{3, code, 0, 0, 0, 0, 0, 0}, packet[:min(len(packet), 500)]...)
	if packet[0]>>4 == 4 {
		head := make([]byte, 20)
		head[0], head[8], head[9] = 0x45, 64, 1
		binary.BigEndian.PutUint16(head[2:], uint16(20+len(body)))
		copy(head[12:], packet[16:20])
		copy(head[16:], packet[12:16])
		binary.BigEndian.PutUint16(head[10:], ^uint16(onesSum(0, head)))
		binary.BigEndian.PutUint16(body[2:], ^uint16(onesSum(0, body)))
		return append(head, body...)
	}
	body[0] = 1
	head := make([]byte, 40)
	head[0], head[6], head[7] = 0x60, 58, 64
	binary.BigEndian.PutUint16(head[4:], uint16(len(body)))
	copy(head[8:], packet[24:40])
	copy(head[24:], packet[8:24])
	sum := onesSum(uint32(len(body))+58, head[8:40])
	binary.BigEndian.PutUint16(body[2:], ^uint16(onesSum(sum, body)))
	return append(head, body...)
}

// refusing is a filter that lets nothing pass and answers with one ICMP code
// per family.
func refusing(code4, code6 byte) verdict {
	return func(p []byte) (bool, []byte) {
		if p[0]>>4 == 4 {
			return false, unreachable(p, code4)
		}
		return false, unreachable(p, code6)
	}
}

var refusals = []struct {
	name         string
	code4, code6 byte
	want         error
}{
	{"prohibited", 13, 1, netstack.ErrProhibited},
	{"prohibited, other codes", 10, 5, netstack.ErrProhibited},
	{"host", 1, 3, syscall.EHOSTUNREACH},
	{"network", 0, 0, syscall.ENETUNREACH},
	{"port", 3, 4, syscall.ECONNREFUSED},
}

func TestRefusalEndsTheDialAtOnce(t *testing.T) {
	l := newLink(t, 0)
	for _, r := range refusals {
		l.setJudge(refusing(r.code4, r.code6))
		for _, to := range []netip.Addr{b4, b6} {
			c, err := l.a.DialContext(withPatience(t), "tcp", join(to, 104))
			if err == nil {
				c.Close()
			}
			if !errors.Is(err, r.want) {
				t.Errorf("%s: dial %s = %v, want %v", r.name, to, err, r.want)
			}
		}
	}
}

func TestRefusalEndsThePingAtOnce(t *testing.T) {
	l := newLink(t, 0)
	for _, r := range refusals {
		l.setJudge(refusing(r.code4, r.code6))
		for _, to := range []netip.Addr{b4, b6} {
			if _, err := l.a.Ping(withPatience(t), to); !errors.Is(err, r.want) {
				t.Errorf("%s: ping %s = %v, want %v", r.name, to, err, r.want)
			}
		}
	}
}

func TestRefusalIsTheNextReadOfAUDPSocket(t *testing.T) {
	l := newLink(t, 0)
	for _, r := range refusals {
		l.setJudge(refusing(r.code4, r.code6))
		for _, to := range []netip.Addr{b4, b6} {
			c, err := l.a.DialContext(withPatience(t), "udp", join(to, 514))
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(patience))
			for range 2 { // the socket lives on, and is told again
				if _, err := c.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, r.want) {
					t.Errorf("%s: read from %s = %v, want %v", r.name, to, err, r.want)
				}
			}
			c.Close()
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l := newLink(t, 0)
	for _, to := range []netip.Addr{b4, b6} {
		if _, err := l.a.DialContext(withPatience(t), "tcp", join(to, 22)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial %s = %v, want refused", to, err)
		}
		c, err := l.a.DialContext(withPatience(t), "udp", join(to, 22))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		c.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("udp %s = %v, want refused", to, err)
		}
		c.Close()
	}
}

// A forged or late error must not end what the peers' own packets do not.
func TestEstablishedConnectionOutlivesICMPErrors(t *testing.T) {
	l := newLink(t, 0)
	background(t, echo(listen(t, l.b, netip.AddrPortFrom(b4, 104))))
	c, err := l.a.DialContext(withPatience(t), "tcp", join(b4, 104))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.setJudge(func(p []byte) (bool, []byte) { return true, unreachable(p, 13) })
	c.SetDeadline(time.Now().Add(patience))
	for range 3 {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

// An error about one flow is none about its neighbour, and one about a fragment
// speaks of ports that are not there.
func TestRefusalMeansItsFlowAlone(t *testing.T) {
	l := newLink(t, 0)
	background(t, echo(listen(t, l.b, netip.AddrPortFrom(netip.Addr{}, 104))))
	for name, forge := range map[string]func(p []byte){
		"source port":   func(p []byte) { p[21]++ },
		"port":          func(p []byte) { p[23]++ },
		"source":        func(p []byte) { p[15]++ },
		"destination":   func(p []byte) { p[19]++ },
		"protocol":      func(p []byte) { p[9] = 17 },
		"fragment":      func(p []byte) { p[7] = 1 },
		"header length": func(p []byte) { p[0] = 0x44 },
	} {
		l.setJudge(func(p []byte) (bool, []byte) {
			answer := unreachable(p, 13)
			forge(answer[28:])
			binary.BigEndian.PutUint16(answer[22:], 0)
			binary.BigEndian.PutUint16(answer[22:], ^uint16(onesSum(0, answer[20:])))
			return true, answer
		})
		c, err := l.a.DialContext(withPatience(t), "tcp", join(b4, 104))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.Close()
	}
}

// The filter cuts a revoked flow with a reset.
func TestResetEndsALiveConnection(t *testing.T) {
	l := newLink(t, 0)
	ln := listen(t, l.b, netip.AddrPortFrom(b4, 104))
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := ln.Accept()
		accepted <- c
	}()
	c, err := l.a.DialContext(withPatience(t), "tcp", join(b4, 104))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(<-accepted).(interface{ Abort() }).Abort()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read = %v, want a reset", err)
	}
}

// What was garbled before it was sealed is not delivered.
func TestGarbledPacketsAreNotDelivered(t *testing.T) {
	l := newLink(t, 0)
	for _, to := range []netip.Addr{b4, b6} {
		pc, err := l.b.ListenPacket("udp", netip.AddrPortFrom(to, 514))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		l.setJudge(func(p []byte) (bool, []byte) {
			if n++; n == 1 {
				p[len(p)-1] ^= 1
			}
			return true, nil
		})
		c, err := l.a.DialContext(withPatience(t), "udp", join(to, 514))
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("first"))
		c.Write([]byte("second"))
		pc.SetDeadline(time.Now().Add(patience))
		buf := make([]byte, 10)
		if m, _, err := pc.ReadFrom(buf); err != nil || string(buf[:m]) != "second" {
			t.Errorf("read %q, %v; want the whole datagram", buf[:m], err)
		}
		c.Close()
		pc.Close()
	}
}
