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
}

// maxKeepalive is what the 16 bits of WireGuard's setting hold.
const maxKeepalive = 65535 * time.Second

func (s *Stock) validate() error {
	if s.Keepalive < 0 || s.Keepalive > maxKeepalive || s.Keepalive%time.Second != 0 {
		return fmt.Errorf("keepalive %s is not a whole number of seconds up to 65535", s.Keepalive)
	}
	if s.Endpoint != (netip.AddrPort{}) && (s.Endpoint.Port() == 0 || s.Endpoint.Addr().Zone() != "" || s.Endpoint.Addr().Is4In6()) {
		return fmt.Errorf("endpoint %s is no address and port", s.Endpoint)
	}
	return nil
}
