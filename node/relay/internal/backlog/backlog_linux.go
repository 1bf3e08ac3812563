package backlog

import (
	"net"

	"golang.org/x/sys/unix"
)

// most is how many bytes the kernel holds that it has not sent yet: enough that
// a fast connection never waits for us.
const most = 128 << 10

// bound sets TCP_NOTSENT_LOWAT (tcp(7)). A kernel that refuses it buffers more:
// that costs delay and nothing else.
func bound(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, most)
	})
}
