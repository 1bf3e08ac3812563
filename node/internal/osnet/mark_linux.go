package osnet

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Control marks a socket as ours, so that what it sends never enters the tunnel.
// Give it to net.Dialer or net.ListenConfig for everything that speaks beneath
// the tunnel: WireGuard's socket, the relay, the coordinator, STUN.
func Control(mark uint32) func(network, address string, c syscall.RawConn) error {
	return func(network, address string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark))
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return fmt.Errorf("osnet: mark the %s socket for %s: %w%s", network, address, err, hint(err))
		}
		return nil
	}
}
