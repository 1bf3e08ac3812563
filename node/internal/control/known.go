package control

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"

	"github.com/cordonmesh/cordon/node/internal/reasons"
)

const (
	knownFile = "coordinator.json"
	maxKnown  = 4
)

// known remembers where the coordinator was. A name server that is down, or that
// lies since we are behind a captive portal, must not cut a node off from a
// coordinator that it spoke to an hour ago. An address counts when the mesh root
// was proved there; so a lie is not remembered, and an address that became
// somebody else's costs one attempt.
type known struct {
	dir  *Dir
	host string

	mu       sync.Mutex
	list     []netip.Addr // the last proved first
	dialled  netip.Addr   // since the last proof
	attempts int          // since then
}

// knownAddresses is known's form on the disk.
type knownAddresses struct {
	Host      string       `json:"host"`
	Addresses []netip.Addr `json:"addresses"`
}

// newKnown reads what the last run knew of the coordinator; what is damaged or
// of another host counts as nothing.
func newKnown(d *Dir, address string) *known {
	k := &known{dir: d}
	if u, err := url.Parse(address); err == nil {
		k.host = u.Hostname()
	}
	var kept knownAddresses
	if ok, err := d.readJSON(knownFile, &kept); ok && err == nil && kept.Host == k.host {
		k.list = kept.Addresses[:min(len(kept.Addresses), maxKnown)]
	}
	return k
}

// dial tries what the name server says and then what is known, or every other
// time the reverse, until one of them was proved.
func (k *known) dial(dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host != k.host {
			return dial(ctx, network, address) // a proxy's
		}
		var problems []error
		for _, at := range k.order(host) {
			conn, err := dial(ctx, network, net.JoinHostPort(at, port))
			if err == nil {
				k.reached(conn.RemoteAddr())
				return conn, nil
			}
			if problems = append(problems, err); ctx.Err() != nil {
				break
			}
		}
		return nil, reasons.Join(problems...)
	}
}

func (k *known) order(host string) (try []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range k.list {
		if a.IsValid() && a.String() != host {
			try = append(try, a.String())
		}
	}
	k.attempts++
	if k.attempts%2 == 1 {
		return slices.Insert(try, 0, host)
	}
	return append(try, host)
}

func (k *known) reached(at net.Addr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a, err := netip.ParseAddrPort(at.String()); err == nil {
		k.dialled = a.Addr().Unmap().WithZone("")
	}
}

// proved keeps the address of the connection at hand.
func (k *known) proved() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempts = 0
	a := k.dialled
	if !a.IsValid() || len(k.list) > 0 && k.list[0] == a {
		return nil
	}
	if _, err := netip.ParseAddr(k.host); err == nil {
		return nil // it has no name
	}
	others := slices.DeleteFunc(slices.Clone(k.list), func(have netip.Addr) bool { return have == a })
	k.list = slices.Insert(others, 0, a)
	k.list = k.list[:min(len(k.list), maxKnown)]
	return k.dir.writeJSON(knownFile, knownAddresses{k.host, k.list})
}
