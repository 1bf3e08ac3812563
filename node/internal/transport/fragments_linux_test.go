package transport_test

import (
	"testing"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/node/internal/transport"
)

// What a tunnel sends may be fragmented on the way, and a probe of the path's MTU
// may not, whatever the kernel was told of the path.
func TestProbesOfTheMTUAloneAreKeptWhole(t *testing.T) {
	bind := transport.NewDefaultBind()
	if _, _, err := bind.Open(0); err != nil {
		t.Fatal(err)
	}
	defer bind.Close()
	whole := bind.(interface {
		SendWhole([]byte, conn.Endpoint) error
	})
	for i, at := range []string{"127.0.0.1:9", "[::1]:9"} {
		expect := func(when string) {
			t.Helper()
			raw, err := transport.SocketsOf(bind)[i].SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			level, option := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
			if i == 1 {
				level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
			}
			raw.Control(func(fd uintptr) {
				if how, err := unix.GetsockoptInt(int(fd), level, option); err != nil || how != unix.IP_PMTUDISC_OMIT {
					t.Errorf("%s, %s: the socket discovers MTUs by %d, %v", at, when, how, err)
				}
			})
		}
		expect("when opened")
		// The loopback's MTU is 65,536 bytes: nothing larger leaves whole.
		for size, fits := range map[int]bool{1472: true, 65_507: i == 0} {
			if err := whole.SendWhole(make([]byte, size), endpoint(t, bind, at)); (err == nil) != fits {
				t.Errorf("%s: %d bytes in one piece: %v", at, size, err)
			}
		}
		expect("after probes")
	}
}
