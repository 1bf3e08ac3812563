package coordinator

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// giveUp sets TCP_USER_TIMEOUT (tcp(7)), which accepted connections inherit.
func giveUp(_, _ string, c syscall.RawConn) (err error) {
	unused := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unheard.Milliseconds()))
	})
	if unused != nil {
		return unused
	}
	return err
}
