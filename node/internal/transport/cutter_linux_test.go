package transport_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/node/internal/transport"
)

// reassembled is how many datagrams over IPv6 this network has put together.
func reassembled(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/snmp6")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "Ip6ReasmOKs")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// What leaves in pieces arrives whole, from the socket's own port, judged by a
// kernel; without CAP_NET_RAW it leaves as anything does.
func TestPiecesArriveWhole(t *testing.T) {
	bind := transport.NewDefaultBind()
	_, port, err := bind.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer bind.Close()
	to := listenUDP(t, "::1").(*net.UDPConn)
	ep := endpoint(t, bind, to.LocalAddr().String())
	send := bind.(interface {
		SendInPieces([]byte, conn.Endpoint) error
	}).SendInPieces
	random := rand.NewChaCha8([32]byte{})
	before, cut := reassembled(t), 0
	for _, size := range []int{1, 1224, 1225, 1226, 1312, 2455, 2456, 2457, 9000, 65_527} {
		datagram, buf := make([]byte, size), make([]byte, size+1)
		random.Read(datagram)
		if err := send(datagram, ep); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		to.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, from, err := to.ReadFromUDPAddrPort(buf)
		if want := netip.AddrPortFrom(netip.IPv6Loopback(), port); err != nil || from != want || !bytes.Equal(buf[:n], datagram) {
			t.Errorf("%d bytes: %d came from %s, %v, want the same from %s", size, n, from, err, want)
		}
		if size > 1224 {
			cut++
		}
	}
	if got := reassembled(t) - before; os.Geteuid() == 0 && got < cut {
		t.Errorf("%d datagrams were put together, want %d", got, cut)
	}
	datagram := make([]byte, 1312)
	if n := testing.AllocsPerRun(50, func() { send(datagram, ep) }); os.Geteuid() == 0 && n != 0 {
		t.Errorf("%v allocations for a datagram in pieces", n)
	}
}
