package userspace

import (
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

// Bounds of a flight.
const (
	// roomFor is how many packets may be under way inside of wireguard-go in one
	// direction before no more are read. A batch more may then come, so that there
	// is work for each of its steps; with room for several batches rates fall,
	// because their buffers outgrow the processor's caches.
	roomFor = 64
	// lostAfter is how long a flight without room waits before it takes what is
	// under way for lost: wireguard-go drops packets without a word, such as
	// those for a peer that has no session, or forged ones. Who floods us with
	// such delays others by this much in roomFor packets, and no more.
	lostAfter = time.Millisecond
)

// flight bounds what is under way between the two ends of wireguard-go.
//
// wireguard-go's own queues hold 1,024 batches of 128 packets, each in a buffer
// of 64 KiB, and TCP fills whatever queue it finds: hundreds of megabytes, and
// delay for everybody who shares the tunnel. With a bound the kernel holds what
// waits, where the limits of its TCP see it.
type flight struct {
	under atomic.Int64
	room  chan struct{} // has a token after there was room
}

func newFlight() *flight { return &flight{room: make(chan struct{}, 1)} }

// await waits until there is room. The clock is the caller's own.
func (f *flight) await(clock *time.Timer) {
	if f.under.Load() < roomFor {
		return
	}
	clock.Reset(lostAfter)
	defer clock.Stop()
	for f.under.Load() >= roomFor {
		select {
		case <-f.room:
		case <-clock.C:
			f.under.Store(0)
		}
	}
}

func (f *flight) enter(packets int) {
	if packets > 0 {
		f.under.Add(int64(packets))
	}
}

// leave never counts below zero: wireguard-go makes packets of its own, and what
// was taken for lost may still come.
func (f *flight) leave(packets int) {
	for {
		was := f.under.Load()
		now := max(0, was-int64(packets))
		if !f.under.CompareAndSwap(was, now) {
			continue
		}
		if was >= roomFor && now < roomFor {
			select {
			case f.room <- struct{}{}:
			default:
			}
		}
		return
	}
}

func stoppedClock() *time.Timer {
	clock := time.NewTimer(time.Hour)
	clock.Stop()
	return clock
}

// countedBind is the bind that wireguard-go sees: the real one, with what comes
// counted into one flight and what leaves out of the other, and with initiations
// taken by way of the reception.
type countedBind struct {
	conn.Bind
	in, out   *flight
	reception *reception
}

// Open wraps the receive functions, each of which has a goroutine of its own.
func (b *countedBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	fns, actual, err := b.Bind.Open(port)
	if err != nil {
		return nil, 0, err
	}
	for i, receive := range fns {
		clock := stoppedClock()
		fns[i] = func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
			b.in.await(clock)
			n, err := receive(bufs, sizes, eps)
			for i, size := range sizes[:n] {
				if isInitiation(bufs[i][:size]) && b.reception.take(bufs[i][:size], eps[i]) {
					sizes[i] = 0 // wireguard-go passes over it
				}
			}
			b.in.enter(dataAmong(bufs, sizes[:n]))
			return n, err
		}
	}
	return append(fns, b.reception.open()), actual, nil
}

// Close ends the receive functions.
func (b *countedBind) Close() error {
	b.reception.close()
	return b.Bind.Close()
}

// dataAmong counts the datagrams that hold a packet. Handshakes and keepalives
// never reach the TUN.
func dataAmong(bufs [][]byte, sizes []int) (n int) {
	for i, size := range sizes {
		if size > device.MessageKeepaliveSize && bufs[i][0] == device.MessageTransportType {
			n++
		}
	}
	return n
}

func (b *countedBind) Send(bufs [][]byte, ep conn.Endpoint) error {
	err := b.Bind.Send(bufs, ep)
	b.out.leave(len(bufs))
	return err
}
