package netstack

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// ErrProhibited is the end of a dial, exchange or ping that a filter refused,
// on this node or on the peer: an ICMP "administratively prohibited" about it
// arrived. `cordon status` knows the rule that decided.
var ErrProhibited = errors.New("administratively prohibited: the policy does not permit this flow")

// ErrNoAddress is what dialling gives before SetAddresses gave the stack an
// address of the destination's family.
var ErrNoAddress = errors.New("no mesh address")

// opError wraps err as the net package would, with what was attempted on which
// ends. Callers find syscall.ECONNREFUSED, syscall.EHOSTUNREACH and the like,
// ErrProhibited, net.ErrClosed or os.ErrDeadlineExceeded by errors.Is.
func opError(op, network string, src, dst netip.AddrPort, err error) error {
	e := &net.OpError{Op: op, Net: network, Err: err}
	if src.IsValid() {
		e.Source = netAddr(network, src)
	}
	if dst.IsValid() {
		e.Addr = netAddr(network, dst)
	}
	return e
}

func netAddr(network string, ap netip.AddrPort) net.Addr {
	switch {
	case strings.HasPrefix(network, "tcp"):
		return net.TCPAddrFromAddrPort(ap)
	case strings.HasPrefix(network, "udp"):
		return net.UDPAddrFromAddrPort(ap)
	}
	return &net.IPAddr{IP: ap.Addr().AsSlice()}
}

// sysError turns a stack's error into the one that a socket of the operating
// system would give for it, so that callers need only know the latter.
func sysError(err tcpip.Error) error {
	switch err.(type) {
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET
	case *tcpip.ErrConnectionAborted, *tcpip.ErrAborted:
		return syscall.ECONNABORTED
	case *tcpip.ErrHostUnreachable:
		return syscall.EHOSTUNREACH
	case *tcpip.ErrNetworkUnreachable:
		return syscall.ENETUNREACH
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	case *tcpip.ErrPortInUse:
		return syscall.EADDRINUSE
	case *tcpip.ErrNoPortAvailable, *tcpip.ErrBadLocalAddress:
		return syscall.EADDRNOTAVAIL
	case *tcpip.ErrMessageTooLong:
		return syscall.EMSGSIZE
	case *tcpip.ErrClosedForSend:
		return syscall.EPIPE
	case *tcpip.ErrClosedForReceive, *tcpip.ErrInvalidEndpointState:
		return net.ErrClosed
	}
	return errors.New(err.String())
}

// fromAdapter does the same for errors that the stack's net.Conn adapter made:
// it keeps their text alone.
func fromAdapter(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	if op.Timeout() {
		op.Err = os.ErrDeadlineExceeded
		return op
	}
	for _, known := range []tcpip.Error{
		&tcpip.ErrConnectionRefused{}, &tcpip.ErrConnectionReset{}, &tcpip.ErrConnectionAborted{}, &tcpip.ErrAborted{},
		&tcpip.ErrHostUnreachable{}, &tcpip.ErrNetworkUnreachable{}, &tcpip.ErrTimeout{}, &tcpip.ErrMessageTooLong{},
		&tcpip.ErrClosedForSend{}, &tcpip.ErrInvalidEndpointState{}, &tcpip.ErrBadLocalAddress{},
	} {
		if op.Err.Error() == known.String() {
			op.Err = sysError(known)
			break
		}
	}
	return op
}

// isRefusal says that an exchange was refused but its socket lives.
func isRefusal(err error) bool {
	for _, why := range []error{ErrProhibited, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}
