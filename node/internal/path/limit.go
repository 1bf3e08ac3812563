package path

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// rate is events per second, and how many may come at once.
type rate struct{ perSecond, burst float64 }

// Limits on what probes cost. Functions, not variables: nothing may change them.
func requestsPerPeer() rate { return rate{20, MaxCandidates + maxReflexive} }
func answersPerPeer() rate  { return rate{50, 50} }

// requestsInTotal and requestsPerHost limit requests to addresses that have not
// answered lately: a map or a call may name anybody's. A host is an IPv4 address
// or an IPv6 /64; a hospital's whole site may stand behind one.
func requestsInTotal() rate { return rate{500, 250} }
func requestsPerHost() rate { return rate{50, 100} }

// callsPerPeer limits the calls of a peer that are heeded, and learntPerPeer how
// fast its requests teach us new addresses: two NATs that use another port for
// every destination would otherwise make both ends ask each other for ever.
func callsPerPeer() rate  { return rate{0.5, 6} }
func learntPerPeer() rate { return rate{0.25, 2 * maxReflexive} }

// checksOfStrangers limits integrity checks on requests and calls from where
// nobody ever answered us: at 0.4 us each, a flood of forgeries costs a
// millisecond a second. What comes from a way that did answer has a budget of
// its own, checksPerPeer, which strangers cannot use up.
func checksOfStrangers() rate { return rate{2000, 500} }
func checksPerPeer() rate     { return rate{500, 100} }

// bucket is a token bucket. The zero bucket is full.
type bucket struct {
	spent float64 // tokens taken and not yet refilled
	at    time.Time
}

// take takes a token, or says when there will be one.
func (b *bucket) take(now time.Time, r rate) (ok bool, at time.Time) {
	if ok, at = b.ready(now, r); ok {
		b.spent++
	}
	return ok, at
}

// ready tells whether there is a token, or when there will be one.
func (b *bucket) ready(now time.Time, r rate) (ok bool, at time.Time) {
	if past := now.Sub(b.at).Seconds(); past > 0 {
		b.spent = max(0, b.spent-past*r.perSecond)
	}
	b.at = now
	if b.spent+1 <= r.burst {
		return true, now
	}
	missing := (b.spent + 1 - r.burst) / r.perSecond
	return false, now.Add(time.Duration(missing*float64(time.Second)) + time.Millisecond)
}

// targets are the hosts that were asked lately and need not know us. The limit
// in total bounds them: a bucket is full again after two seconds without a
// request, and is then thrown away.
type targets map[netip.Prefix]*bucket

// maxTargets is where full buckets are looked for.
const maxTargets = 2048

func hostOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // fits any address
	return p
}

// of gives the bucket of a host.
func (t targets) of(now time.Time, a netip.Addr) *bucket {
	host := hostOf(a)
	b := t[host]
	if b == nil {
		if len(t) >= maxTargets {
			t.sweep(now)
		}
		b = &bucket{at: now}
		t[host] = b
	}
	return b
}

func (t targets) sweep(now time.Time) {
	r := requestsPerHost()
	for host, b := range t {
		if now.Sub(b.at).Seconds()*r.perSecond >= b.spent {
			delete(t, host)
		}
	}
}

// commons is what the machines of one Set share.
type commons struct {
	newID   func() probe.ID
	linkMTU int
	total   bucket
	targets targets

	onlyRelays bool
	relays     []Relay        // all that this node may use
	away       map[Relay]bool // those that cannot be reached
}

// budget takes a request out of the shared limits, or says when it may be sent.
func (s *commons) budget(now time.Time, to netip.Addr) (ok bool, at time.Time) {
	if ok, at := s.total.ready(now, requestsInTotal()); !ok {
		return false, at
	}
	if ok, at := s.targets.of(now, to).take(now, requestsPerHost()); !ok {
		return false, at
	}
	s.total.spent++
	return true, now
}
