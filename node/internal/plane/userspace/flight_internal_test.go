package userspace

import (
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
		{"as much as there was is not enough", []uint16{53, 54, 55, 56, 57, 58, 59}, 6, (roomFor + 6) / 7, lostAfter},
		{"all are lost", []uint16{53, 54}, 0, roomFor / 2, lostAfter},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := guarded(t, &script{packets: outbound(tt.ports...)})
				b := &countedBind{Bind: &datagrams{}, in: g.in, out: g.out, reception: newReception()}
				bufs, sizes := buffers(8)
				read := func() { _, _ = g.Read(bufs, sizes, offset) }
				times, waited := again(t, read, func() { _ = b.Send(make([][]byte, tt.leave), nil) })
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

// What wireguard-go says of its own accord gives no room beyond what there is.
func TestFlightNeverCountsBelowZero(t *testing.T) {
	f := newFlight()
	f.leave(10 * roomFor)
	f.enter(roomFor)
	if f.under.Load() != roomFor {
		t.Errorf("%d under way, want %d", f.under.Load(), roomFor)
	}
}
