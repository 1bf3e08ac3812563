package transport

import (
	"maps"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/node/internal/path"
)

// hearEvery is how often the machines are told that a peer's packets come in.
const hearEvery = 200 * time.Millisecond

// source is an address from which a peer's authentic probes came, or a peer as
// the relays know it.
type source struct {
	peer  string
	known atomic.Bool // Run knows already that packets come from there
}

// heard says that a packet came on a way.
type heard struct {
	*source
	from path.Way
}

// hearing tells Run from which peers packets come, a few times a second. It goes
// by the sender's address, which may be forged: the path machine knows that. Of
// what comes over relays FromRelay tells.
type hearing struct {
	// sources is replaced whole by Run, and read by the receive functions.
	sources atomic.Pointer[map[netip.AddrPort]*source]

	// Run's.
	heard []heard
	due   time.Time // when sources may tell again
}

// learn remembers whose address from is.
func (h *hearing) learn(peer string, from netip.AddrPort) {
	old := h.sources.Load()
	if s := (*old)[from]; s != nil && s.peer == peer {
		return
	}
	sources := make(map[netip.AddrPort]*source, len(*old)+1)
	if len(*old) < maxVia {
		maps.Copy(sources, *old)
	}
	sources[from] = &source{peer: peer}
	h.sources.Store(&sources)
}

// listen looks who sent a batch. Packets of one sender come one after the other.
func (t *Transport) listen(eps []conn.Endpoint, sizes []int) {
	sources := *t.hearing.sources.Load()
	if len(sources) == 0 {
		return
	}
	var last netip.AddrPort
	for i, ep := range eps {
		std, ok := ep.(*conn.StdNetEndpoint)
		if !ok || sizes[i] == 0 || std.AddrPort == last {
			continue
		}
		last = std.AddrPort
		from := path.Direct(last)
		s := sources[from.Addr]
		if s != nil && !s.known.Load() && s.known.CompareAndSwap(false, true) {
			t.mail.hear(s, from)
		}
	}
}

// takeHeard tells the machines who was heard, and lets sources tell again when
// it is time.
func (t *Transport) takeHeard(now time.Time, news []heard) {
	h := &t.hearing
	for _, s := range news {
		t.set.Heard(now, s.peer, s.from)
	}
	h.heard = append(h.heard, news...)
	switch {
	case len(h.heard) == 0:
	case h.due.IsZero():
		h.due = now.Add(hearEvery)
	case !now.Before(h.due):
		for _, s := range h.heard {
			s.known.Store(false)
		}
		h.heard, h.due = h.heard[:0], time.Time{}
	}
}
