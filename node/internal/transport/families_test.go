package transport_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// A peer reached over IPv6 gets what is its own, whatever was sent over IPv4
// and to other IPv6 addresses before, and again after the sockets were reopened.
func TestIPv6DatagramsReachTheirPeerAmidIPv4(t *testing.T) {
	path := key.NewPath()
	node := key.NewNode()
	tr, err := transport.New(transport.Config{Self: node.Public(), Path: &path})
	if err != nil {
		t.Fatal(err)
	}
	bind := tr.Bind()
	four, six := listenUDP(t, "127.0.0.1"), listenUDP(t, "::1")
	for run := range 2 {
		if _, _, err := bind.Open(0); err != nil {
			t.Fatal(err)
		}
		other, v4, v6 := endpoint(t, bind, "[fe80::99]:9"), endpoint(t, bind, four.LocalAddr().String()), endpoint(t, bind, six.LocalAddr().String())
		const count = 50
		for i := range count {
			bind.Send([][]byte{{1}}, other) // refused without a link, and its address is remembered
			if err := bind.Send([][]byte{{4}}, v4); err != nil {
				t.Fatal(err)
			}
			if err := bind.Send([][]byte{{6}}, v6); err != nil {
				t.Fatalf("run %d, datagram %d over IPv6: %v", run, i, err)
			}
		}
		for what, from := range map[string]net.PacketConn{"IPv4": four, "IPv6": six} {
			if got := receiveAll(from, count); got != count {
				t.Errorf("run %d: %d of %d datagrams came over %s", run, got, count, what)
			}
		}
		if _, _, err := bind.Open(0); err == nil {
			t.Error("opened twice")
		}
		if err := bind.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func listenUDP(t *testing.T, host string) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(fmt.Errorf("this test needs loopback in both families: %w", err))
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func endpoint(t *testing.T, b conn.Bind, text string) conn.Endpoint {
	t.Helper()
	ep, err := b.ParseEndpoint(text)
	if err != nil {
		t.Fatal(err)
	}
	return ep
}

func receiveAll(from net.PacketConn, count int) (got int) {
	from.SetReadDeadline(time.Now().Add(10 * time.Second))
	for buf := make([]byte, 16); got < count; got++ {
		if _, _, err := from.ReadFrom(buf); err != nil {
			return got
		}
	}
	return got
}
