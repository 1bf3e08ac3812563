package path

import "net/netip"

// Relay names a relay as the map does. Empty: none.
type Relay string

// Way is one way to a peer: an address of the underlay, or a relay, which knows
// the peer by its node key. The zero Way leads nowhere. Ways are comparable.
type Way struct {
	// Addr is where datagrams are sent. Valid iff Relay is empty, and the way
	// leads somewhere.
	Addr netip.AddrPort
	// Relay is the relay through which datagrams are sent; empty: none.
	Relay Relay
}

// Direct is the way to an address of the underlay.
func Direct(a netip.AddrPort) Way {
	return Way{Addr: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
}

// Through is the way through a relay.
func Through(r Relay) Way { return Way{Relay: r} }

// IsValid tells whether the way leads somewhere.
func (w Way) IsValid() bool { return w.Relay != "" || w.Addr.IsValid() }

// Relayed tells whether the way leads through a relay.
func (w Way) Relayed() bool { return w.Relay != "" }

// String gives the address, or the relay's name after "relay ".
func (w Way) String() string {
	switch {
	case w.Relayed():
		return "relay " + string(w.Relay)
	case w.Addr.IsValid():
		return w.Addr.String()
	}
	return "nowhere"
}
