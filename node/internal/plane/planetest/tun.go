package planetest

import (
	"os"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/node/internal/plane"
)

// TUN is a tun.Device in memory. Sent batches wait until they are read; what is
// written to it waits until it is drained.
type TUN struct {
	outbound chan [][]byte
	events   chan tun.Event
	batch    int

	mu     sync.Mutex
	got    [][]byte
	failed error
	late   chan struct{} // closed when the read deadline is past
	once   sync.Once
	closed chan struct{}
}

// NewTUN makes a TUN that reads and writes up to batch packets at a time.
func NewTUN(batch int) *TUN {
	t := &TUN{
		outbound: make(chan [][]byte, 1024), events: make(chan tun.Event, 1),
		batch: batch, closed: make(chan struct{}), late: make(chan struct{}),
	}
	t.events <- tun.EventUp
	return t
}

// Send lets the machine send packets, as one batch.
func (t *TUN) Send(packets ...[]byte) { t.outbound <- packets }

// Drain gives copies of what was written since the last call.
func (t *TUN) Drain() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	got := t.got
	t.got = nil
	return got
}

// Fail makes the device go away, as when its link is deleted.
func (t *TUN) Fail(err error) {
	t.mu.Lock()
	t.failed = err
	t.mu.Unlock()
	close(t.outbound)
}

// SetReadDeadline ends Reads if the time is past, until the zero time is set.
func (t *TUN) SetReadDeadline(at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.late:
		if at.IsZero() {
			t.late = make(chan struct{})
		}
	default:
		if !at.IsZero() {
			close(t.late)
		}
	}
	return nil
}

func (t *TUN) deadline() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.late
}

// Read gives the next batch that was sent.
func (t *TUN) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	select {
	case <-t.closed:
		return 0, os.ErrClosed
	case <-t.deadline():
		return 0, os.ErrDeadlineExceeded
	case packets, ok := <-t.outbound:
		if !ok {
			t.mu.Lock()
			defer t.mu.Unlock()
			return 0, t.failed
		}
		for i, p := range packets {
			sizes[i] = copy(bufs[i][offset:], p)
		}
		return len(packets), nil
	}
}

// Write keeps copies of the packets.
func (t *TUN) Write(bufs [][]byte, offset int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range bufs {
		t.got = append(t.got, append([]byte(nil), b[offset:]...))
	}
	return len(bufs), nil
}

// Close ends the device.
func (t *TUN) Close() error {
	t.once.Do(func() {
		close(t.closed)
		close(t.events)
	})
	return nil
}

// Closed tells whether Close was called.
func (t *TUN) Closed() bool {
	select {
	case <-t.closed:
		return true
	default:
		return false
	}
}

// File, MTU, Name, Events and BatchSize complete tun.Device.
func (t *TUN) File() *os.File           { return nil }
func (t *TUN) MTU() (int, error)        { return plane.DefaultMTU, nil }
func (t *TUN) Name() (string, error)    { return "memory", nil }
func (t *TUN) Events() <-chan tun.Event { return t.events }
func (t *TUN) BatchSize() int           { return t.batch }
