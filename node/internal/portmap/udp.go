package portmap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Reasons for which a gateway counts as one that does not speak a protocol.
var (
	errSilent       = errors.New("no answer")
	errClosed       = errors.New("nobody listens there")
	errOtherVersion = errors.New("it speaks another version")
	errMalformed    = errors.New("malformed")
)

const (
	// gatewayPort is PCP's and NAT-PMP's.
	gatewayPort = 5351
	// firstTry is how long to wait before a request is repeated, then twice
	// that, and so on (RFC 6886, section 3.1).
	firstTry = 250 * time.Millisecond
)

type control = func(network, address string, c syscall.RawConn) error

// doorsOf gives the doors of a network's gateway; none, if it has none.
func doorsOf(n Network, c control) []door {
	if !n.usable() {
		return nil
	}
	u := udp{gateway: n.Gateway, local: n.Local, control: c}
	doors := []door{newPCP(n, u)}
	if n.Gateway.Is4() {
		doors = append(doors, &natpmp{u, n}, newUPnP(n, c))
	}
	return doors
}

// udp asks a gateway in single datagrams.
type udp struct {
	gateway, local netip.Addr
	control        control
}

// ask sends request, again and again, until take says that a datagram is the
// answer, and what it means. The socket is connected: the kernel lets in nothing
// but what comes from the gateway's address and port.
func (u udp) ask(ctx context.Context, request []byte, take func(b []byte) (done bool, err error)) error {
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(u.local, 0)), Control: u.control}
	conn, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(u.gateway, gatewayPort).String())
	if err != nil {
		return fmt.Errorf("cannot be asked from here: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	for wait := firstTry; ; wait *= 2 {
		if _, err := conn.Write(request); err != nil {
			return reason(err)
		}
		conn.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil { // its end may have come before our deadline
			return errSilent
		}
		done, err := read(conn, take)
		if done || !errors.Is(err, os.ErrDeadlineExceeded) {
			return reason(err)
		}
	}
}

// read reads until take takes a datagram or the socket fails.
func read(conn net.Conn, take func([]byte) (bool, error)) (done bool, err error) {
	b := make([]byte, pcpMaxSize+1) // one more: what is too long shows
	for {
		n, err := conn.Read(b)
		if err != nil {
			return false, err
		}
		if done, err := take(b[:n]); done {
			return true, err
		}
	}
}

// reason puts a socket's error into words for people.
func reason(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSilent
	}
	return err
}
