package pathtest

import "fmt"

// Site is a kind of network that a node may be in.
type Site struct {
	Name string
	// NATs lead from the node to the internet, the nearest first; none: the node
	// has a public address.
	NATs []Behaviour
	Wall Wall
}

// Sites gives the kinds of networks that clinicians join from.
func Sites() []Site {
	behind := func(b ...Behaviour) Site {
		name := b[0].Name
		for _, outer := range b[1:] {
			name += " behind " + outer.Name
		}
		return Site{Name: name, NATs: b}
	}
	const A, AP = AddressDependent, AddressAndPortDependent
	var (
		restricted = Behaviour{Name: "address restricted", Filtering: A}
		preserving = Behaviour{Name: "port preserving", Filtering: AP, Preserve: true}
		perHost    = Behaviour{Name: "mapping per address", Mapping: A, Filtering: A}
		perPort    = Behaviour{Name: "mapping per port, open", Mapping: AP}
		masquerade = Behaviour{Name: "masquerade", Mapping: AP, Filtering: AP, Preserve: true}
		carrier    = Behaviour{Name: "carrier", Filtering: AP, Random: true}
		oneToOne   = Behaviour{Name: "1:1", Static: true}
	)
	return []Site{
		{Name: "public"},
		{Name: "outbound only", Wall: Guarded},
		behind(FullCone()), behind(restricted), behind(HomeRouter()), behind(preserving),
		behind(perHost), behind(perPort), behind(masquerade), behind(Symmetric()), behind(oneToOne),
		behind(HomeRouter(), carrier), behind(masquerade, Symmetric()),
		{Name: "UDP blocked", NATs: []Behaviour{HomeRouter()}, Wall: UDPBlocked},
	}
}

// Settle puts a node into a site of its own; number tells sites apart, from 1.
func (s Site) Settle(n *Internet, d *Node, number int) *NIC {
	lan := func(depth int) string { return fmt.Sprintf("%s-%d-%d", d.name, number, depth) }
	var outer *NAT
	for depth := len(s.NATs) - 1; depth >= 0; depth-- {
		address := fmt.Sprintf("192.0.2.%d", number)
		if outer != nil {
			address = fmt.Sprintf("100.64.%d.2", number)
		}
		outer = n.NATBehind(outer, lan(depth), address, s.NATs[depth])
	}
	var c *NIC
	if outer == nil {
		c = d.Public(fmt.Sprintf("198.51.100.%d", number))
	} else {
		c = d.Private(outer.lan, fmt.Sprintf("192.168.%d.2", number), outer)
	}
	c.SetWall(s.Wall)
	return c
}

// seen is how a site looks from the internet: several NATs map and filter as the
// strictest of them.
type seen struct {
	mapping, filtering Dependence
	// foretold: the address that STUN servers see is the one that peers will see.
	foretold bool
}

func (s Site) seen() seen {
	out := seen{foretold: true}
	if s.Wall == Guarded {
		out.filtering = AddressAndPortDependent
	}
	for _, b := range s.NATs {
		out.mapping = max(out.mapping, b.Mapping)
		if !b.Static {
			out.filtering = max(out.filtering, b.Filtering)
		}
		out.foretold = out.foretold && (b.Mapping == EndpointIndependent || b.Preserve)
	}
	return out
}

// CanBeDirect tells from RFC 4787's kinds alone whether nodes in two sites can
// reach each other directly, when each knows what STUN servers tell the other,
// and both send at the same time. It knows nothing of how the machine works.
func CanBeDirect(a, b Site) bool {
	if a.Wall == UDPBlocked || b.Wall == UDPBlocked {
		return false
	}
	x, y := a.seen(), b.seen()
	if y.foretold {
		x, y = y, x
	}
	switch {
	case x.foretold && y.foretold:
		return true // each sends to where the other will come from
	case x.foretold:
		// y comes from a port that x did not send to: x must look at the address
		// alone, or at nothing.
		return x.filtering != AddressAndPortDependent
	}
	// Neither is foretold. One must let anybody in at the port that STUN saw, the
	// other let that one in from another port; and one of them must keep its port
	// for all ports of a peer, else each answer comes from yet another.
	opens := func(s seen) bool { return s.filtering == EndpointIndependent }
	lets := func(s seen) bool { return s.filtering != AddressAndPortDependent }
	steady := func(s seen) bool { return s.mapping == AddressDependent }
	return (opens(x) && lets(y) || opens(y) && lets(x)) && (steady(x) || steady(y))
}
