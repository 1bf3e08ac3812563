package userspace_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
)

// A packet waits for a path, and those behind it do not overtake it.
func TestPacketsWaitForAPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.ways.lead(false)
		c.a.tun.Send(there(1), planetest.UDP(planetest.A4, planetest.B4, 1, 54))
		c.a.tun.Send(there(2), there(3))
		c.tunnels("without a path", c.a, 0)
		if n := c.ways.questions(); n != 1 {
			t.Errorf("a path was asked for %d times within a second, want once", n)
		}
		time.Sleep(2 * time.Second)
		c.a.tun.Send(there(4))
		c.tunnels("without a path", c.a, 0)
		if n := c.ways.questions(); n != 2 {
			t.Errorf("a path was asked for %d times by packets two seconds apart, want twice", n)
		}
		c.ways.lead(true)
		c.a.Found("n-b")
		c.a.Found("n-nobody")
		c.a.tun.Send(there(5))
		c.arrive("when there is a path", c.b, there(1), there(2), there(3), there(4), there(5))
		c.tunnels("with a path", c.a, 1)
		asked := c.ways.questions()
		c.a.tun.Send(there(6))
		c.arrive("later", c.b, there(6))
		c.a.Found("n-b")
		c.tunnels("a path moved", c.a, 1)
		if n := c.ways.questions(); n != asked {
			t.Errorf("a path was asked for %d times more although the peer is there", n-asked)
		}
	})
}

// A path by itself brings in nobody.
func TestPathAloneStartsNoTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.a.Found("n-b")
		c.tunnels("after a path was found", c.a, 0)
	})
}

// What waits is bounded, in number for all and for each, and in time; where there
// is no room the oldest go.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.ways.lead(false)
		for i := range 40 {
			c.a.tun.Send(there(uint16(i)))
		}
		synctest.Wait()
		c.ways.lead(true)
		c.a.Found("n-b")
		var want [][]byte
		for i := range 32 {
			want = append(want, there(uint16(8+i)))
		}
		c.arrive("32 of 40", c.b, want...)
		c.until(0, 0)

		c.ways.lead(false)
		c.a.tun.Send(there(1))
		time.Sleep(6 * time.Second)
		c.a.tun.Send(there(2))
		time.Sleep(6 * time.Second)
		synctest.Wait()
		c.ways.lead(true)
		c.a.tun.Send(there(3))
		c.arrive("two of three", c.b, there(2), there(3))
		c.until(0, 0)

		c.ways.lead(false)
		c.a.tun.Send(there(1))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		c.ways.lead(true)
		c.a.Found("n-b")
		c.tunnels("for a packet of long ago", c.a, 0)
	})
}

// A scan of a large mesh whose machines are off costs no peer of wireguard-go,
// and no more than the bound of packets.
func TestScanOfTheUnreachableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.ways.lead(false)
		for i := range 1000 {
			at := planetest.Address(fmt.Sprintf("100.65.%d.%d", i/250, i%250))
			k := key.NewTunnel()
			c.cfgA.Peers = append(c.cfgA.Peers, peer(fmt.Sprintf("n-%d", i), k.Public(), at))
		}
		c.configure(c.a, &c.cfgA)
		c.a.tun.Send(there(1))
		for i := range 1000 {
			at := planetest.Address(fmt.Sprintf("100.65.%d.%d", i/250, i%250))
			c.a.tun.Send(planetest.UDP(planetest.A4, at, 5000, 53))
		}
		synctest.Wait()
		if n := c.ways.questions(); n != 1001 {
			t.Errorf("a path was asked for %d times, want once for each", n)
		}
		c.tunnels("after the scan", c.a, 0)
		if n := c.a.Waiting(); n != 256 {
			t.Errorf("%d packets wait, want 256", n)
		}
		c.cfgA.Peers = c.cfgA.Peers[:1]
		c.configure(c.a, &c.cfgA)
		if n := c.a.Waiting(); n != 0 {
			t.Errorf("%d packets wait for peers that have left the map", n)
		}
	})
}

// A right that ends while a packet waits ends for that packet too.
func TestWaitingPacketsAreJudgedByTheRulesOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.permit(53, 54)
		c.ways.lead(false)
		other := planetest.UDP(planetest.A4, planetest.B4, 2, 54)
		c.a.tun.Send(there(1), other, there(3))
		synctest.Wait()
		c.configure(c.b, &c.cfgB)
		rules := c.cfgA.Rules
		c.permit(54)
		c.cfgB.Rules = rules // the receiver permits what it did
		c.configure(c.b, &c.cfgB)
		c.ways.lead(true)
		c.a.Found("n-b")
		c.arrive("what is still permitted", c.b, other)
	})
}

// Where Read cannot be woken all peers are there from the beginning, and stay.
func TestTUNThatCannotBeWokenKeepsItsPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.a.Close()
		c.a.tun = planetest.NewTUN(8)
		c.a.Keeping = keep(t, userspace.Options{TUN: mute{c.a.tun}, Bind: c.net.Bind("n-a"), Now: now})
		synctest.Wait()
		c.configure(c.a, &c.cfgA)
		c.tunnels("from the beginning", c.a, 1)
		time.Sleep(10 * time.Minute)
		c.tunnels("after a silence", c.a, 1)
		c.a.tun.Send(there(1))
		c.arrive("there", c.b, there(1))
		c.b.tun.Send(back(53))
		c.arrive("back", c.a, back(53))
		peers := c.cfgA.Peers
		c.cfgA.Peers = nil
		c.configure(c.a, &c.cfgA)
		c.tunnels("who left the map", c.a, 0)
		c.cfgA.Peers = peers
		c.configure(c.a, &c.cfgA)
		c.tunnels("who came back", c.a, 1)
	})
}

// A peer that wireguard-go refuses costs the others nothing.
func TestPeerThatCannotBeMadeLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.net.Unknown = "n-bad"
		bad, at := key.NewTunnel(), planetest.Address("100.64.0.3")
		c.cfgA.Peers = append(c.cfgA.Peers, peer("n-bad", bad.Public(), at))
		c.configure(c.a, &c.cfgA)
		c.a.tun.Send(planetest.UDP(planetest.A4, at, 1, 53), there(1))
		c.arrive("for another peer", c.b, there(1))
		c.tunnels("the one that can be made", c.a, 1)
		c.net.Unknown = ""
		time.Sleep(time.Second)
		c.a.tun.Send(planetest.UDP(planetest.A4, at, 1, 53))
		c.tunnels("when both can", c.a, 2)
	})
}

// A map of a whole hospital costs a peer's names and keys, and nothing of what
// wireguard-go takes for one.
func TestPeersThatNobodySpeaksWithCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		const crowd = 1000
		for i := range crowd {
			k := key.NewTunnel()
			c.cfgA.Peers = append(c.cfgA.Peers, peer(fmt.Sprintf("n-%d", i), k.Public(), planetest.Address(fmt.Sprintf("100.65.%d.%d", i/250, i%250))))
		}
		before := heap()
		c.configure(c.a, &c.cfgA)
		used := (heap() - before) / crowd
		c.tunnels("of a crowd", c.a, 0)
		if used > 2000 {
			t.Errorf("%d bytes for each peer of the map", used)
		}
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
