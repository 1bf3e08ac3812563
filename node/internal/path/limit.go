package path

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/pace"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// Limits on what probes cost. Functions, not variables: nothing may change them.
func requestsPerPeer() pace.Rate {
	return pace.Rate{PerSecond: 20, Burst: MaxCandidates + maxReflexive}
}
func answersPerPeer() pace.Rate { return pace.Rate{PerSecond: 50, Burst: 50} }

// requestsInTotal and requestsPerHost limit requests to addresses that have not
// answered lately: a map or a call may name anybody's. A host is an IPv4 address
// or an IPv6 /64; a hospital's whole site may stand behind one.
func requestsInTotal() pace.Rate { return pace.Rate{PerSecond: 500, Burst: 250} }
func requestsPerHost() pace.Rate { return pace.Rate{PerSecond: 50, Burst: 100} }

// callsPerPeer limits the calls of a peer that are heeded, and learntPerPeer how
// fast its requests teach us new addresses: two NATs that use another port for
// every destination would otherwise make both ends ask each other for ever.
func callsPerPeer() pace.Rate  { return pace.Rate{PerSecond: 0.5, Burst: 6} }
func learntPerPeer() pace.Rate { return pace.Rate{PerSecond: 0.25, Burst: 2 * maxReflexive} }

// checksOfStrangers limits integrity checks on requests and calls from where
// nobody ever answered us: at 0.4 us each, a flood of forgeries costs a
// millisecond a second. What comes from a way that did answer has a budget of
// its own, checksPerPeer, which strangers cannot use up.
func checksOfStrangers() pace.Rate { return pace.Rate{PerSecond: 2000, Burst: 500} }
func checksPerPeer() pace.Rate     { return pace.Rate{PerSecond: 500, Burst: 100} }

// targets are the hosts that were asked lately and need not know us. The limit
// in total bounds them: a bucket is full again after two seconds without a
// request, and is then thrown away.
type targets map[netip.Prefix]*pace.Bucket

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
func (t targets) of(now time.Time, a netip.Addr) *pace.Bucket {
	host := hostOf(a)
	b := t[host]
	if b == nil {
		if len(t) >= maxTargets {
			t.sweep(now)
		}
		b = new(pace.Bucket)
		t[host] = b
	}
	return b
}

func (t targets) sweep(now time.Time) {
	r := requestsPerHost()
	for host, b := range t {
		if b.Full(now, r) {
			delete(t, host)
		}
	}
}

// commons is what the machines of one Set share.
type commons struct {
	newID   func() probe.ID
	linkMTU int
	total   pace.Bucket
	targets targets

	onlyRelays bool
	relays     []Relay        // all that this node may use
	away       map[Relay]bool // those that cannot be reached
}

// budget takes a request out of the shared limits, or says when it may be sent.
func (s *commons) budget(now time.Time, to netip.Addr) (ok bool, at time.Time) {
	if ok, at := s.total.Ready(now, requestsInTotal()); !ok {
		return false, at
	}
	if ok, at := s.targets.of(now, to).Take(now, requestsPerHost()); !ok {
		return false, at
	}
	return s.total.Take(now, requestsInTotal())
}
