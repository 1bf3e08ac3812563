package path

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// candidate is one way on which the peer may be reached.
type candidate struct {
	way    Way
	given  bool // the map names it
	called bool // the peer's last call names it

	next  time.Time // when it is asked again; zero: not
	tries int       // requests since the last answer, or since the search began

	flights  []flight
	lastSent time.Time
	heard    time.Time // last authentic request from there
	answered time.Time // last authentic answer
	traffic  time.Time // last packet of another kind that came from there, authentic or not
	rtt      time.Duration
	mapped   netip.AddrPort

	probation
	mtu pathMTU
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

// clean gives the first usable addresses of a list in one form each, without
// doubles, at most so many; none where only relays are used.
func (s *commons) clean(list []netip.AddrPort, most int) []netip.AddrPort {
	if s.onlyRelays {
		return nil
	}
	out := make([]netip.AddrPort, 0, min(len(list), most))
	for _, a := range list {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if len(out) < most && usable(a) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// learnt tells whether only the peer's requests told of the way.
func (c *candidate) learnt() bool { return !c.given && !c.called }

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
	if c.rtt == 0 || took < c.rtt/2 {
		c.rtt = took // one that waited for a neighbour's address, such as the first, is soon forgotten
	} else {
		c.rtt += (took - c.rtt) / 8 // RFC 6298 section 2
	}
	c.answered, c.mapped, c.tries = now, mapped, 0
	return true
}

// answeredWithin tells whether the last answer is so young.
func (c *candidate) answeredWithin(d time.Duration, now time.Time) bool {
	return !c.answered.IsZero() && now.Sub(c.answered) < d
}

// wait is how long an answer may take before the request counts as missed.
func (c *candidate) wait() time.Duration { return min(max(2*c.rtt, minWait), maxWait) }

// class sorts round-trip times by doublings of a millisecond.
func (c *candidate) class() int { return bits.Len64(uint64(c.rtt / time.Millisecond)) }

// local tells whether the address is of a local network: traffic that can stay
// in the building should.
func (c *candidate) local() bool {
	return c.way.Addr.Addr().IsPrivate() || c.way.Addr.Addr().IsLoopback()
}

// better tells whether c deserves to take over from a working path. Direct
// beats relayed, and the peer's home another relay. Else c must be a class
// faster, and by a quarter at least, so that two addresses at the edge of a
// class do not take turns; or as fast, and local.
func (c *candidate) better(than *candidate) bool {
	switch {
	case c.way.Relayed() != than.way.Relayed():
		return !c.way.Relayed()
	case c.way.Relayed() && c.given != than.given:
		return c.given
	case c.class() < than.class():
		return c.rtt < than.rtt*3/4
	}
	return c.class() == than.class() && c.local() && !than.local()
}

// probation keeps a way that failed as the path from becoming it again before
// it has answered for a while without a gap. Each failure doubles the while, so
// a way that comes and goes cannot drag traffic to and fro.
type probation struct {
	length time.Duration // zero: none
	since  time.Time     // when the answers without a gap began; zero: not yet
}

// begin notes that the way failed after it had been the path for so long.
func (p *probation) begin(held time.Duration) {
	if held >= steadyAfter {
		p.length = 0
	}
	p.length, p.since = min(max(2*p.length, minProbation), maxProbation), time.Time{}
}

// over takes note of an answer, and tells whether the way may be the path.
func (p *probation) over(now time.Time) bool {
	if p.since.IsZero() {
		p.since = now
	}
	return now.Sub(p.since) >= p.length
}

// gap takes note that answers are missing.
func (p *probation) gap() { p.since = time.Time{} }
