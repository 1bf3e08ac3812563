package path

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// candidate is one address at which the peer may be reached.
type candidate struct {
	addr  netip.AddrPort
	given bool // the map names it; else learnt from an authentic request

	next  time.Time // when it is asked again; zero: not
	tries int       // requests since the last answer, or since the search began

	flights  []flight
	lastSent time.Time
	heard    time.Time // last authentic request from there
	answered time.Time // last authentic answer
	rtt      time.Duration
	mapped   netip.AddrPort
}

// flight is a request that has no answer yet.
type flight struct {
	id   probe.ID
	sent time.Time
}

// usable tells whether a datagram may be sent to an address that somebody
// named. Link-local addresses need a zone, which means nothing on another
// machine.
func usable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() &&
		!ip.IsLinkLocalUnicast() && ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// clean gives the usable addresses of a list in one form each, without doubles,
// at most MaxCandidates.
func clean(list []netip.AddrPort) []netip.AddrPort {
	out := make([]netip.AddrPort, 0, min(len(list), MaxCandidates))
	for _, a := range list {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if len(out) < MaxCandidates && usable(a) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

func (c *candidate) sent(id probe.ID, now time.Time) {
	if len(c.flights) == maxFlights {
		c.flights = slices.Delete(c.flights, 0, 1)
	}
	c.flights = append(c.flights, flight{id, now})
	c.lastSent = now
	c.tries++
}

// land takes an answer to one of the requests in flight. Requests sent before
// it are forgotten: their answers have nothing new to say.
func (c *candidate) land(id probe.ID, mapped netip.AddrPort, now time.Time) bool {
	i := slices.IndexFunc(c.flights, func(f flight) bool { return f.id == id })
	if i < 0 {
		return false
	}
	took := max(now.Sub(c.flights[i].sent), time.Microsecond)
	c.flights = slices.Delete(c.flights, 0, i+1)
	if c.rtt == 0 {
		c.rtt = took
	} else {
		c.rtt += (took - c.rtt) / 8 // RFC 6298 section 2
	}
	c.answered, c.mapped, c.tries = now, mapped, 0
	return true
}

// wait is how long an answer may take before the request counts as missed.
func (c *candidate) wait() time.Duration { return min(max(2*c.rtt, minWait), maxWait) }

// class sorts round-trip times by doublings of a millisecond.
func (c *candidate) class() int { return bits.Len64(uint64(c.rtt / time.Millisecond)) }

// local tells whether the address is of a local network: traffic that can stay
// in the building should.
func (c *candidate) local() bool { return c.addr.Addr().IsPrivate() || c.addr.Addr().IsLoopback() }

// better tells whether c deserves to take over from a working path: a class
// less, and by a quarter at least, so that two addresses at the edge of a class
// do not take turns; or as good, and local.
func (c *candidate) better(than *candidate) bool {
	if c.class() < than.class() {
		return c.rtt < than.rtt*3/4
	}
	return c.class() == than.class() && c.local() && !than.local()
}
