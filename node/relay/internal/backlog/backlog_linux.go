package backlog

import (
	"net"

	"golang.org/x/sys/unix"
)

// bound sets TCP_NOTSENT_LOWAT (tcp(7)). A kernel that refuses it buffers more:
// that costs delay and nothing else.
func bound(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, Most)
	})
}
