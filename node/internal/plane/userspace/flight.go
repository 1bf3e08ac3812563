package userspace

import (
	"slices"
	"sync"
	"time"
)

// Bounds of a flight.
const (
	// roomFor is how many packets may be under way inside of wireguard-go in one
	// direction before no more are read. A batch more may then come, so that there
	// is work for each of its steps; with room for several batches rates fall,
	// because their buffers outgrow the processor's caches.
	roomFor = 64
	// lostAfter is for how long nothing leaves a flight without room until it takes
	// what is under way for lost: wireguard-go drops packets without a word, such as
	// those for a peer that has no session, or forged ones. Who floods us with
	// such delays others by this much in roomFor packets, and hardly more.
	lostAfter = time.Millisecond
	// lostAtMost is what that becomes where other programs keep wireguard-go from
	// running: there nothing leaves for a while, and all of it is still to come.
	lostAtMost = 16 * lostAfter
)

// flight bounds what is under way between the two ends of wireguard-go.
//
// wireguard-go's own queues hold 1,024 batches, each packet in a buffer of 64 KiB,
// and TCP fills whatever queue it finds: hundreds of megabytes, and delay for
// everybody who shares the tunnel. With a bound the kernel holds what waits, where
// the limits of its TCP see it.
//
// A packet is known by its buffer, which is wireguard-go's from end to end. One
// that was taken for lost and leaves all the same proves that all were under way;
// one that was dropped shows itself by its buffer being used again.
type flight struct {
	room chan struct{} // has a token after there was room

	mu       sync.Mutex
	under    int
	left     uint64 // so far
	newest   *byte  // the buffer of the packet that entered last
	patience time.Duration

	lapse lapse
}

// lapse is what is known since packets were last taken for lost.
type lapse struct {
	newest  *byte  // of them; nil: there are none, it came, or it was dropped
	left    uint64 // of the flight, at that moment
	entered int    // since
	wrong   bool   // they came
}

func newFlight() *flight { return &flight{room: make(chan struct{}, 1), patience: lostAfter} }

// await waits until there is room for what will be read into bufs. The clock is
// the caller's own.
func (f *flight) await(clock *time.Timer, bufs [][]byte) {
	left, patience, full := f.look(bufs)
	if !full {
		return
	}
	clock.Reset(patience)
	defer clock.Stop()
	for full {
		select {
		case <-f.room:
			_, _, full = f.look(bufs)
		case <-clock.C:
			if left, patience, full = f.miss(left, bufs); full {
				clock.Reset(patience)
			}
		}
	}
}

// look tells whether there is no room, how much has left, and how long to wait for
// more. The buffers are those that are free for what will be read.
func (f *flight) look(free [][]byte) (left uint64, patience time.Duration, full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heed(free)
	return f.left, f.patience, f.under >= roomFor
}

// miss takes what is under way for lost if nothing left since so much had, and
// tells as look does.
func (f *flight) miss(before uint64, free [][]byte) (left uint64, patience time.Duration, full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under < roomFor || f.left != before {
		return f.left, f.patience, f.under >= roomFor
	}
	switch {
	case f.left == f.lapse.left: // nor since the time before
		f.wait()
	case !f.lapse.wrong:
		f.patience = lostAfter
	}
	f.lapse = lapse{newest: f.newest, left: f.left}
	f.heed(free)
	f.under = 0
	return f.left, f.patience, false
}

// heed looks whether the packet that would prove a lapse wrong was dropped.
func (f *flight) heed(free [][]byte) {
	if f.lapse.newest != nil && holds(free, f.lapse.newest) {
		f.lapse.newest = nil
	}
}

// wait has the next wait be longer.
func (f *flight) wait() { f.patience = min(2*f.patience, lostAtMost) }

// enter counts packets, the last of them in that buffer.
func (f *flight) enter(packets int, last []byte) {
	if packets == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.under += packets
	f.lapse.entered += packets
	f.newest = &last[0]
}

// come is told of packets that are about to leave.
func (f *flight) come(bufs [][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lapse.newest == nil || !holds(bufs, f.lapse.newest) {
		return
	}
	// All that came before it have left by now, and hardly any that came later.
	f.under = f.lapse.entered + len(bufs)
	f.lapse.newest, f.lapse.wrong = nil, true
	f.wait()
}

// leave never counts below zero: what was taken for lost may still come.
func (f *flight) leave(packets int) {
	f.mu.Lock()
	was := f.under
	f.under = max(0, was-packets)
	f.left += uint64(packets)
	made := was >= roomFor && f.under < roomFor
	f.mu.Unlock()
	if !made {
		return
	}
	select {
	case f.room <- struct{}{}:
	default:
	}
}

func holds(bufs [][]byte, buffer *byte) bool {
	return slices.ContainsFunc(bufs, func(b []byte) bool { return len(b) > 0 && &b[0] == buffer })
}

func stoppedClock() *time.Timer {
	clock := time.NewTimer(time.Hour)
	clock.Stop()
	return clock
}
