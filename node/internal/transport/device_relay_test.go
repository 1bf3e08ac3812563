package transport_test

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// wall is a bind that can lose all that it sends.
type wall struct {
	conn.Bind
	up atomic.Bool
}

func (w *wall) Send(bufs [][]byte, ep conn.Endpoint) error {
	if w.up.Load() {
		return nil
	}
	return w.Bind.Send(bufs, ep)
}

// stream sends numbered packets from a to b, one in 5 ms, until end.
type stream struct {
	sent    int
	arrived []time.Time // by number; zero: lost
}

func flow(a, b *machine) (end func() stream) {
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				sent <- n
				return
			case <-time.After(5 * time.Millisecond):
			}
			packet := tuntest.Ping(b.ip, a.ip)
			binary.BigEndian.PutUint32(packet[len(packet)-4:], uint32(n))
			a.tun.Outbound <- packet
		}
	}()
	quit, got := make(chan struct{}), make(chan []time.Time)
	go func() {
		var arrived []time.Time
		for {
			select {
			case packet := <-b.tun.Inbound:
				n := int(binary.BigEndian.Uint32(packet[len(packet)-4:]))
				for len(arrived) <= n {
					arrived = append(arrived, time.Time{})
				}
				arrived[n] = time.Now()
			case <-quit:
				got <- arrived
				return
			}
		}
	}()
	return func() stream {
		close(stop)
		n := <-sent
		time.Sleep(200 * time.Millisecond) // for the last to arrive
		close(quit)
		return stream{n, <-got}
	}
}

func (s stream) lost() (n int) {
	n = s.sent - len(s.arrived)
	for _, at := range s.arrived {
		if at.IsZero() {
			n++
		}
	}
	return n
}

// gap is the longest while in which nothing arrived.
func (s stream) gap() (longest time.Duration) {
	var last time.Time
	for _, at := range s.arrived {
		if !at.IsZero() {
			if !last.IsZero() {
				longest = max(longest, at.Sub(last))
			}
			last = at
		}
	}
	return longest
}

// until waits for both paths to lead there.
func until(t *testing.T, what string, ok func(a, b path.Info) bool, a, b *machine) {
	t.Helper()
	for start := time.Now(); !ok(a.Paths()["b"], b.Paths()["a"]); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("no %s path: %+v, %+v", what, a.Paths()["b"], b.Paths()["a"])
		}
	}
}

func relayedBoth(a, b path.Info) bool { return a.Relay == "r1" && b.Relay == "r1" }
func directBoth(a, b path.Info) bool  { return a.Endpoint.IsValid() && b.Endpoint.IsValid() }

func TestTwoDevicesMoveBetweenRelayAndDirectWayAndLoseNothing(t *testing.T) {
	r := newRelays()
	walls := map[string]*wall{"a": {Bind: conn.NewDefaultBind()}, "b": {Bind: conn.NewDefaultBind()}}
	machineOf := func(id, ip string) *machine {
		return newMachineOn(t, r.node(t, id, transport.Config{Bind: walls[id]}), ip)
	}
	a, b := machineOf("a", "10.9.0.1"), machineOf("b", "10.9.0.2")
	defer a.run(t)()
	defer b.run(t)()
	defer a.dev.Close()
	defer b.dev.Close()
	raise := func(up bool) { walls["a"].up.Store(up); walls["b"].up.Store(up) }
	raise(true)
	toA, toB := a.peer(), b.peer()
	toA.Home, toB.Home = "r1", "r1"
	a.SetPeers([]transport.Peer{toB})
	b.SetPeers([]transport.Peer{toA})
	a.add(t, b)
	b.add(t, a)

	a.reach(t, b)
	b.reach(t, a)
	until(t, "relayed", relayedBoth, a, b)

	end := flow(a, b)
	time.Sleep(300 * time.Millisecond)
	raise(false)
	a.SetCandidates("b", []netip.AddrPort{b.loopback()})
	until(t, "direct", directBoth, a, b)
	time.Sleep(300 * time.Millisecond)
	if s := end(); s.lost() != 0 || s.sent < 50 {
		t.Errorf("the move to the direct way lost %d packets of %d", s.lost(), s.sent)
	}

	end = flow(a, b)
	time.Sleep(300 * time.Millisecond)
	raise(true)
	until(t, "relayed", relayedBoth, a, b)
	time.Sleep(300 * time.Millisecond)
	s := end()
	if s.gap() > 1500*time.Millisecond || s.lost() == 0 {
		t.Errorf("nothing arrived for %v after the direct way was cut, and %d packets of %d are lost", s.gap(), s.lost(), s.sent)
	}
	t.Logf("cut: a gap of %v", s.gap())

	// The device reopens its sockets, and the queue of relayed datagrams with them.
	if err := b.dev.BindUpdate(); err != nil {
		t.Fatal(err)
	}
	a.reach(t, b)
	b.reach(t, a)
}
