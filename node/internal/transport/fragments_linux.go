package transport

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// letFragment has a socket's datagrams fragmented on the way rather than dropped,
// and has the kernel go by its own link alone. What ICMP says of a path's MTU is
// anybody's to forge, and where it counts, a batch of segments that are longer is
// refused whole (EINVAL).
func letFragment(c *net.UDPConn) error { return discover(c, unix.IP_PMTUDISC_OMIT) }

// keepWhole has a socket's datagrams arrive in one piece or not at all, whatever
// the kernel believes of the path.
func keepWhole(c *net.UDPConn) error { return discover(c, unix.IP_PMTUDISC_PROBE) }

// discover sets how a socket discovers MTUs; the numbers are the same for IPv4 and
// IPv6 (ip(7), ipv6(7)).
func discover(c *net.UDPConn, how int) (failed error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	level, option := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
	if at, ok := c.LocalAddr().(*net.UDPAddr); ok && at.IP.To4() == nil {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
	}
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, how) })
	return errors.Join(err, failed)
}
