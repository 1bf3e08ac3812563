package plane

import (
	"fmt"
	"net/netip"
	"time"
)

// Stock is what a plane needs to know of a stock peer besides: a plain WireGuard
// client, set up by hand, which this node fronts. Nobody else has a tunnel with it:
// to the other peers it is behind this node, and what they say to each other goes
// through here, by the two tunnels alone. It roams as WireGuard does, and has no
// virtual endpoint.
type Stock struct {
	Endpoint  netip.AddrPort // where it is until it is heard from; zero: not known
	Keepalive time.Duration  // whole seconds between keepalives to it; 0: none

	// Heard is where the peer was last heard, for one that is made anew and has no
	// Endpoint. It is of no matter to one that is there.
	Heard netip.AddrPort
}

// At is where a peer that is made anew is looked for; the zero AddrPort: nowhere.
func (s *Stock) At() netip.AddrPort {
	if s.Endpoint.IsValid() {
		return s.Endpoint
	}
	return s.Heard
}

// Same tells whether a peer that is there may stay as it is.
func (s *Stock) Same(o *Stock) bool {
	return s == o || s != nil && o != nil && s.Endpoint == o.Endpoint && s.Keepalive == o.Keepalive
}

// maxKeepalive is what the 16 bits of WireGuard's setting hold.
const maxKeepalive = 65535 * time.Second

func (s *Stock) validate() error {
	if s.Keepalive < 0 || s.Keepalive > maxKeepalive || s.Keepalive%time.Second != 0 {
		return fmt.Errorf("keepalive %s is not a whole number of seconds up to 65535", s.Keepalive)
	}
	for _, at := range []netip.AddrPort{s.Endpoint, s.Heard} {
		if at != (netip.AddrPort{}) && (at.Port() == 0 || at.Addr().Zone() != "" || at.Addr().Is4In6()) {
			return fmt.Errorf("endpoint %s is no address and port", at)
		}
	}
	return nil
}
