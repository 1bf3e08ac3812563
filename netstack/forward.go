package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Forward accepts on ln, a listener of this machine, and carries each connection
// to target ("host:port" of the mesh) through the stack. A connection whose
// target refuses is reset. It blocks until ctx ends, and then returns nil; it
// closes ln. Mind who can reach ln: whoever connects speaks as this node.
func (s *Stack) Forward(ctx context.Context, ln net.Listener, target string, limits Limits) error {
	limits, err := limits.orDefaults()
	if err == nil {
		err = checkTarget(target)
	}
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	return serve(ctx, ln, limits.Conns, func(ctx context.Context, c net.Conn) {
		s.join(ctx, c, limits, func(ctx context.Context) (net.Conn, error) {
			return s.DialContext(ctx, "tcp", target)
		})
	})
}

// Expose makes target, a TCP service that this machine reaches ("host:port"),
// reachable at one port of the stack: at, whose address may be the zero Addr for
// all of the stack's. Nothing else of this machine is. The service sees
// connections from this machine, so one that trusts loopback trusts everybody
// whom the policy lets reach this port. It blocks until ctx ends, and then
// returns nil.
func (s *Stack) Expose(ctx context.Context, at netip.AddrPort, target string, limits Limits) error {
	limits, err := limits.orDefaults()
	if err == nil {
		err = checkTarget(target)
	}
	if err != nil {
		return err
	}
	ln, err := s.Listen("tcp", at)
	if err != nil {
		return fmt.Errorf("expose %s: %w", target, err)
	}
	var host net.Dialer
	return serve(ctx, ln, limits.Conns, func(ctx context.Context, c net.Conn) {
		s.join(ctx, c, limits, func(ctx context.Context) (net.Conn, error) {
			return host.DialContext(ctx, "tcp", target)
		})
	})
}

// join dials and splices; a failed dial resets c.
func (s *Stack) join(ctx context.Context, c net.Conn, limits Limits, dial func(context.Context) (net.Conn, error)) {
	bounded, cancel := context.WithTimeout(ctx, dialTimeout)
	out, err := dial(bounded)
	cancel()
	if err != nil {
		abort(c)
		return
	}
	defer context.AfterFunc(ctx, func() { out.Close() })()
	s.splice(c, out, limits.Idle)
}

func checkTarget(target string) error {
	host, port, err := net.SplitHostPort(target)
	if err == nil && host == "" {
		err = errors.New("the host is missing")
	}
	if err == nil {
		if n, perr := strconv.ParseUint(port, 10, 16); perr != nil || n == 0 {
			err = fmt.Errorf("%q is no port: give a number from 1 to 65535", port)
		}
	}
	if err != nil {
		return fmt.Errorf("netstack: forward to %q: give it as host:port: %w", target, err)
	}
	return nil
}
