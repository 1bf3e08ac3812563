package portmap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	// firstTry is how long to wait before a request is repeated, then twice
	// that, and so on (RFC 6886, section 3.1). PCP's own three seconds are meant
	// for servers far away, and for clients that never give up; ours asks five
	// times in a step, then leaves the gateway in peace for longer than PCP asks.
	firstTry = 250 * time.Millisecond
	// jitter is RAND of RFC 6887, section 8.1.1: nodes that one event woke
	// together do not go on together.
	jitter = 0.1
)

// udp asks a gateway in single datagrams.
type udp struct {
	gateway netip.AddrPort
	local   netip.Addr
	dial    func(ctx context.Context, network string, local netip.Addr, to netip.AddrPort) (net.Conn, error)
}

// ask sends request, again and again, until take says that a datagram is the
// answer, and what it means, or ctx ends. The socket is connected, and a new one
// for each request: the kernel lets in nothing but what comes from the gateway's
// address and port, and no answer to an earlier request.
func (u udp) ask(ctx context.Context, request []byte, take func(b []byte) (done bool, err error)) error {
	conn, err := u.dial(ctx, "udp", u.local, u.gateway)
	if err != nil {
		return fmt.Errorf("cannot be asked from here: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	for wait := firstTry; ; wait *= 2 {
		if _, err := conn.Write(request); err != nil {
			return reason(err)
		}
		conn.SetReadDeadline(time.Now().Add(jittered(wait)))
		if ctx.Err() != nil { // its end may have come before our deadline
			return errSilent
		}
		done, err := read(conn, take)
		if done || !errors.Is(err, os.ErrDeadlineExceeded) {
			return reason(err)
		}
	}
}

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64()))
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
