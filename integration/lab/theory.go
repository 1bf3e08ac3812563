//go:build linux

package lab

// seen is how a site looks from the internet: several NATs map and filter as
// the strictest of them.
type seen struct {
	mapping, filtering Dependence
	// foretold: the address that a STUN server sees is the one that peers see.
	foretold bool
}

func (s Site) seen() seen {
	out := seen{filtering: AddressAndPortDependent, foretold: true}
	if s.Bare || len(s.NATs) > 0 {
		out.filtering = EndpointIndependent
	}
	for _, n := range s.NATs {
		out.mapping, out.filtering = max(out.mapping, n.Mapping), max(out.filtering, n.Filtering)
		out.foretold = out.foretold && n.Mapping == EndpointIndependent
	}
	return out
}

// CanBeDirect tells from the kinds alone whether nodes in two sites can reach
// each other directly, when each knows what a STUN server tells the other and
// both send at the same time. It knows nothing of how Cordon works.
// TestPlainSocketsReachEachOtherAsTheorySays has sockets try it.
func CanBeDirect(a, b Site) bool {
	if a.Wall != Outbound || b.Wall != Outbound {
		return false
	}
	if a.IPv6 && b.IPv6 {
		return true // both walls are opened from inside
	}
	if a.NoIPv4 || b.NoIPv4 {
		return false
	}
	x, y := a.seen(), b.seen()
	switch {
	case x.foretold && y.foretold:
		return true // each sends to where the other will come from
	case x.foretold:
		return x.filtering != AddressAndPortDependent // y comes from a port that x did not send to
	case y.foretold:
		return y.filtering != AddressAndPortDependent
	}
	return false
}

// CanBeDirectWithin is [CanBeDirect] for two nodes of one site.
func CanBeDirectWithin(s Site) bool {
	return !s.Apart || s.NATs[len(s.NATs)-1].Hairpin
}
