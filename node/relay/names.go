package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/node/internal/reasons"
)

const (
	lookupWithin = 3 * time.Second
	maxAddresses = 16
	// stagger is how long one address has for itself before the next is tried at
	// the same time (RFC 8305 section 5).
	stagger = 250 * time.Millisecond
)

// names remembers the addresses of one host. A name server that is down, or that
// lies since we are behind a captive portal, must not cut a node off from a relay
// that it spoke to an hour ago.
type names struct {
	mu   sync.Mutex
	good netip.Addr   // that answered as the relay last
	last []netip.Addr // what the name server last said
}

// find gives where to try, in order, at most maxAddresses: what the name server
// says, what answered last, what it said last, what the map says.
func (n *names) find(ctx context.Context, host string, known []netip.Addr, lookup func(context.Context, string) ([]netip.Addr, error)) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWithin)
	defer cancel()
	said, err := lookup(ctx, host)
	n.mu.Lock()
	defer n.mu.Unlock()
	try := slices.Concat(interleave(said), []netip.Addr{n.good}, n.last, known)
	if len(said) > 0 {
		n.last = said[:min(len(said), maxAddresses)]
	}
	var out []netip.Addr
	for _, a := range try {
		if a.IsValid() && !slices.Contains(out, a) && len(out) < maxAddresses {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no address of %s is known: %w", host, reasons.Join(err, ctx.Err()))
	}
	return out, nil
}

// interleave puts the families one behind the other by turns, the first one's
// first: where one of them leads nowhere, the next try is of the other.
func interleave(in []netip.Addr) (out []netip.Addr) {
	var first, other []netip.Addr
	for _, a := range in {
		if a = a.Unmap(); a.Is4() == in[0].Unmap().Is4() {
			first = append(first, a)
		} else {
			other = append(other, a)
		}
	}
	for i := range max(len(first), len(other)) {
		out = append(out, first[min(i, len(first)):min(i+1, len(first))]...)
		out = append(out, other[min(i, len(other)):min(i+1, len(other))]...)
	}
	return out
}

// answered notes that the relay was at the other end of conn.
func (n *names) answered(remote net.Addr) {
	if at, err := netip.ParseAddrPort(remote.String()); err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.good = at.Addr().Unmap()
	}
}

func (n *names) known() []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.good.IsValid() {
		return append([]netip.Addr{n.good}, n.last...)
	}
	return slices.Clone(n.last)
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

type attempt struct {
	conn net.Conn
	err  error
}

// race dials the addresses, each a moment after the one before, or at once when
// that failed, and gives the first connection. It waits for all attempts to end.
func race(ctx context.Context, dial dialFunc, at []netip.Addr, port string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan attempt, len(at))
	var winner net.Conn
	var problems []error
	next, running := time.NewTimer(0), 0
	defer next.Stop()
	for started := 0; running > 0 || started < len(at) && winner == nil; {
		due := next.C
		if started == len(at) || winner != nil {
			due = nil
		}
		select {
		case <-due:
			go func(a netip.Addr) {
				conn, err := dial(ctx, "tcp", net.JoinHostPort(a.String(), port))
				results <- attempt{conn, err}
			}(at[started])
			started, running = started+1, running+1
			next.Reset(stagger)
		case r := <-results:
			running--
			switch {
			case r.err != nil:
				problems = append(problems, r.err)
				next.Reset(0)
			case winner == nil:
				winner = r.conn
				cancel()
			default:
				r.conn.Close()
			}
		}
	}
	if winner == nil {
		return nil, reasons.Join(problems...)
	}
	return winner, nil
}
