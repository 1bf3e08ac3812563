package userspace

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cordonmesh/cordon/acl/filter"
)

// Bounds of what waits for peers, as a system bounds what waits for a neighbour's
// address (RFC 4861 section 7.2.2): whoever sends hears nothing meanwhile, and
// sends again.
const (
	lobbySize  = 256 // packets
	lobbyShare = 32  // of them for one peer
	waitFor    = 10 * time.Second
	// askEvery is how often the keeper is told of the packets for one peer.
	askEvery = time.Second
)

// lobby holds packets that this machine may send, for peers that wireguard-go
// does not have yet. Where there is no room the oldest are lost.
type lobby struct {
	bell  chan struct{} // for the keeper; has room for one
	ready atomic.Int32  // peers that have arrived and are waited for

	mu      sync.Mutex
	packets []waiting             // the oldest first
	calls   []*member             // those whom the keeper must look at
	asked   map[*member]time.Time // when it was last told of a packet for them
}

type waiting struct {
	to      *member
	data    []byte
	since   time.Time
	version uint32 // of the rules that permitted it
}

func newLobby() *lobby {
	return &lobby{bell: make(chan struct{}, 1), asked: map[*member]time.Time{}}
}

// enter takes a copy of a permitted packet, and tells false if it may go straight
// to wireguard-go.
func (l *lobby) enter(m *member, packet []byte, version uint32) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.in.Load() {
		return false
	}
	l.drop(func(w *waiting) bool { return now.Sub(w.since) > waitFor })
	if m.waiting >= lobbyShare {
		l.lose(slices.IndexFunc(l.packets, func(w waiting) bool { return w.to == m }))
	} else if len(l.packets) >= lobbySize {
		l.lose(0)
	}
	l.packets = append(l.packets, waiting{to: m, data: bytes.Clone(packet), since: now, version: version})
	m.waiting++
	if at, ok := l.asked[m]; !ok || now.Sub(at) >= askEvery {
		l.asked[m] = now
		l.call(m)
	}
	return true
}

func (l *lobby) call(m *member) {
	l.calls = append(l.calls, m)
	select {
	case l.bell <- struct{}{}:
	default:
	}
}

// recall has the keeper look at m again, if packets wait for it.
func (l *lobby) recall(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.waiting > 0 {
		l.call(m)
	}
}

// called gives those whom the keeper must look at.
func (l *lobby) called() []*member {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	l.calls = nil
	return calls
}

// arrive notes that wireguard-go has m, and tells whether packets wait for it.
func (l *lobby) arrive(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.in.Load() || m.arrived {
		return m.arrived
	}
	if m.waiting == 0 {
		m.in.Store(true)
		return false
	}
	m.arrived = true
	l.ready.Add(1)
	return true
}

// bar lets no packet for m go straight to wireguard-go any more.
func (l *lobby) bar(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.in.Store(false)
	delete(l.asked, m)
	if m.arrived {
		m.arrived = false
		l.ready.Add(-1)
	}
}

// forget is bar for one that has left the map: what waits for it is lost.
func (l *lobby) forget(m *member) {
	l.bar(m)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(func(w *waiting) bool { return w.to == m })
}

// expire drops what has waited for too long, and forgets whom it was for.
func (l *lobby) expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.asked, func(_ *member, at time.Time) bool { return now.Sub(at) >= askEvery })
	l.drop(func(w *waiting) bool { return now.Sub(w.since) > waitFor })
}

func (l *lobby) drop(which func(w *waiting) bool) {
	l.packets = slices.DeleteFunc(l.packets, func(w waiting) bool {
		gone := which(&w)
		if gone {
			l.gone(w.to)
		}
		return gone
	})
}

func (l *lobby) lose(i int) {
	l.gone(l.packets[i].to)
	l.packets = slices.Delete(l.packets, i, i+1)
}

// gone takes note that a packet waits for m no more.
func (l *lobby) gone(m *member) {
	if m.waiting--; m.waiting == 0 && m.arrived {
		m.arrived = false
		m.in.Store(true)
		l.ready.Add(-1)
	}
}

// take moves packets whose peer has arrived into the places of a batch from n on,
// in their order, and gives how many are then taken. Those that were permitted by
// other rules than those of now go only if may says so.
func (l *lobby) take(bufs [][]byte, sizes []int, n, offset int, batch filter.Batch, may func([]byte) bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(func(w *waiting) bool {
		if !w.to.arrived || n == len(bufs) {
			return false
		}
		if w.version == batch.Version() || may(w.data) {
			sizes[n] = copy(bufs[n][offset:], w.data)
			n++
		}
		return true
	})
	return n
}
