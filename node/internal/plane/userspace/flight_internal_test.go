package userspace

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
)

// datagrams is a conn.Bind that receives one batch again and again.
type datagrams struct {
	conn.Bind
	batch [][]byte
}

func (d *datagrams) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	return []conn.ReceiveFunc{func(bufs [][]byte, sizes []int, _ []conn.Endpoint) (int, error) {
		for i, b := range d.batch {
			sizes[i] = copy(bufs[i], b)
		}
		return len(d.batch), nil
	}}, 1, nil
}

func (d *datagrams) Send([][]byte, conn.Endpoint) error { return nil }

// sealed is a datagram of WireGuard's transport, for who looks no further.
func sealed(size int) []byte {
	b := make([]byte, size)
	b[0] = device.MessageTransportType
	return b
}

// again runs step until it blocks, and says how often it ended and how long it
// took when something made room at last.
func again(t *testing.T, step func(), room func()) (times int, waited time.Duration) {
	t.Helper()
	ended := make(chan struct{}, 1)
	for ; ; times++ {
		start := time.Now()
		go func() { step(); ended <- struct{}{} }()
		synctest.Wait()
		select {
		case <-ended:
			if times > roomFor {
				t.Fatal("nothing bounds what is under way")
			}
			continue
		default:
		}
		room()
		<-ended
		return times, time.Since(start)
	}
}

func TestReadWaitsForWhatIsUnderWay(t *testing.T) {
	for _, tt := range []struct {
		what   string
		ports  []uint16
		leave  int // packets that are sent when a Read waits
		times  int // how many Reads do not wait
		waited time.Duration
	}{
		{"room is made", []uint16{53, 54, 99, 55, 56}, 1, roomFor / 4, 0},
		{"as much as there was is not enough", []uint16{53, 54, 55, 56, 57, 58, 59}, 6, (roomFor + 6) / 7, 2 * lostAfter},
		{"all are lost", []uint16{53, 54}, 0, roomFor / 2, lostAfter},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := guarded(t, &script{packets: outbound(tt.ports...)})
				b := &countedBind{Bind: &datagrams{}, in: g.in, out: g.out, reception: newReception()}
				bufs, sizes := buffers(8)
				read := func() { _, _ = g.Read(bufs, sizes, offset) }
				var sent [][]byte
				for range tt.leave {
					sent = append(sent, sealed(60))
				}
				times, waited := again(t, read, func() { _ = b.Send(sent, nil) })
				if times != tt.times || waited != tt.waited {
					t.Errorf("%d reads, then one waited %v; want %d, and %v", times, waited, tt.times, tt.waited)
				}
			})
		})
	}
}

// TestReceiveWaitsForWhatIsUnderWay has as much come as the TUN takes or the
// filter refuses; handshakes and keepalives never get there, and do not count.
func TestReceiveWaitsForWhatIsUnderWay(t *testing.T) {
	handshake := make([]byte, device.MessageInitiationSize)
	handshake[0] = device.MessageInitiationType
	for _, tt := range []struct {
		what   string
		batch  [][]byte
		times  int
		waited time.Duration
		taken  []uint16 // ports of what the TUN is given meanwhile
	}{
		{"the TUN takes", [][]byte{handshake, sealed(60), sealed(device.MessageKeepaliveSize), sealed(60)}, roomFor / 2, 0, []uint16{53}},
		{"the filter refuses", [][]byte{sealed(60)}, roomFor, 0, []uint16{99}},
		{"all are forged", [][]byte{sealed(60)}, roomFor, lostAfter, nil},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := guarded(t, &script{})
				b := &countedBind{Bind: &datagrams{batch: tt.batch}, in: g.in, out: g.out, reception: newReception()}
				fns, _, err := b.Open(0)
				if err != nil {
					t.Fatal(err)
				}
				bufs, sizes := buffers(8)
				var inner [][]byte
				for _, port := range tt.taken {
					inner = append(inner, append(make([]byte, offset), planetest.UDP(planetest.B4, planetest.A4, 5000, port)...))
				}
				times, waited := again(t, func() { _, _ = fns[0](bufs, sizes, make([]conn.Endpoint, len(bufs))) }, func() { _, _ = g.Write(inner, offset) })
				if times != tt.times || waited != tt.waited {
					t.Errorf("%d batches, then one waited %v; want %d, and %v", times, waited, tt.times, tt.waited)
				}
			})
		})
	}
}

// What wireguard-go says of its own accord makes no room.
func TestFlightCountsDataAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guarded(t, &script{packets: outbound(53, 54)})
		b := &countedBind{Bind: &datagrams{}, in: g.in, out: g.out, reception: newReception()}
		bufs, sizes := buffers(8)
		keepalives := [][]byte{sealed(device.MessageKeepaliveSize), make([]byte, device.MessageInitiationSize)}
		_, waited := again(t, func() { _, _ = g.Read(bufs, sizes, offset) }, func() { _ = b.Send(keepalives, nil) })
		if waited != lostAfter {
			t.Errorf("waited %v, want %v", waited, lostAfter)
		}
	})
}

// voyage is a flight with a log of what is under way, the oldest batch first.
type voyage struct {
	*flight
	clock *time.Timer

	mu  sync.Mutex
	log [][][]byte
}

func sail() *voyage { return &voyage{flight: newFlight(), clock: stoppedClock()} }

func batchOf(packets int) (bufs [][]byte) {
	for range packets {
		bufs = append(bufs, sealed(60))
	}
	return bufs
}

// enter awaits room and lets packets in; it gives how long that took.
func (v *voyage) enter(bufs [][]byte) time.Duration {
	start := time.Now()
	v.await(v.clock, bufs)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flight.enter(len(bufs), bufs[len(bufs)-1])
	v.log = append(v.log, bufs)
	return time.Since(start)
}

// land lets all batches leave that are under way, and counts their packets.
func (v *voyage) land() (packets int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, bufs := range v.log {
		v.come(bufs)
		v.leave(len(bufs))
		packets += len(bufs)
	}
	v.log = nil
	return packets
}

// Where the processor is slow, packets leave one by one.
func TestSlowIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := sail()
		v.enter(batchOf(roomFor - 1))
		v.enter(batchOf(roomFor))
		go func() {
			for range roomFor {
				time.Sleep(lostAfter - 1)
				v.leave(1)
			}
		}()
		if waited, want := v.enter(batchOf(1)), roomFor*(lostAfter-1); waited != want {
			t.Errorf("room after %v, want %v", waited, want)
		}
	})
}

// Where other programs have the processor, nothing leaves for a while, and all of
// it comes.
func TestFlightLearnsThatNothingWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := sail()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 {
				v.enter(batchOf(roomFor))
			}
		}()
		for round, most := range []int{5, 2, 1, 1, 1, 2, 2, 2} { // batches
			away := 10 * lostAfter
			if most == 2 && round > 2 {
				away += lostAtMost
			}
			time.Sleep(away)
			if under := v.land(); under > most*roomFor {
				t.Errorf("round %d: %d packets were under way after %v, want at most %d", round, under, away, most*roomFor)
			}
		}
		for range 20 {
			time.Sleep(lostAfter)
			v.land()
		}
		<-done
	})
}

// A batch too many, let in since others were taken for lost, is made up for.
func TestFlightCountsAgainWhatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := sail()
		old := batchOf(roomFor)
		v.enter(old)
		v.enter(batchOf(roomFor))
		v.come(old)
		v.leave(roomFor)
		time.AfterFunc(lostAfter/2, func() { v.leave(1) })
		if waited := v.enter(batchOf(1)); waited != lostAfter/2 {
			t.Errorf("waited %v for room, want %v", waited, lostAfter/2)
		}
	})
}

// What wireguard-go drops delays others no longer than it must, be their buffers
// used again or not.
func TestDroppedPacketsDelayOthersLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := sail()
		bufs := batchOf(roomFor)
		v.enter(bufs)
		v.land()
		for round := range 5 {
			v.enter(bufs) // for nobody
			v.log = nil
			if waited := v.enter(bufs); waited != lostAfter {
				t.Errorf("round %d: others waited %v, want %v", round, waited, lostAfter)
			}
			v.land()
		}
		for range 10 {
			v.enter(bufs)
		}
		if waited := v.enter(bufs); waited != lostAtMost {
			t.Errorf("nobody else sends: the next waited %v, want %v", waited, lostAtMost)
		}
		v.land()
		for range 2 {
			v.enter(bufs)
		}
		if waited := v.enter(bufs); waited != lostAfter {
			t.Errorf("others send again: the next waited %v, want %v", waited, lostAfter)
		}
	})
}
