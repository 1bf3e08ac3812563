package dns

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// early has a socket take an address that the machine has not got yet: the
// interface comes up a moment later, and may die and come again.
func early(network, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		if strings.HasSuffix(network, "6") {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
		} else {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
		}
	})
	if err == nil {
		err = failed
	}
	return err
}
