package transport_test

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
	"github.com/cordonmesh/cordon/node/internal/transport"
	"github.com/cordonmesh/cordon/node/relay"
)

// apart runs a test on a pair that has no direct way. B is at home at r1, and a
// at r2.
func apart(t *testing.T, test func(t *testing.T, p *pair)) {
	t.Helper()
	bubble(t, func(t *testing.T, p *pair) {
		p.net.setCut(true)
		p.a.SetHome("b", "r1")
		p.b.SetHome("a", "r2")
		synctest.Wait()
		test(t, p)
	})
}

// way waits for a's path to lead there, and gives how long that took.
func (p *pair) way(t *testing.T, want path.Way, within time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	for p.a.Paths()["b"].Way() != want {
		if time.Since(start) > within {
			t.Fatalf("after %v the path of a is %+v, want %v", within, p.a.Paths()["b"], want)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(start)
}

func TestRelayedPathCarriesTheHeldHandshakeAndTraffic(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		p.send(t, data(2), data(3))
		synctest.Wait()
		if got := p.received(); len(got) != 3 || !bytes.Equal(got[0], initiation(1)) || !bytes.Equal(got[2], data(3)) {
			t.Fatalf("b got %d datagrams, want the initiation and two", len(got))
		}
		if in := p.a.Paths()["b"]; in.Relay != "r1" || in.Endpoint.IsValid() || in.Why != path.WhyRelayed {
			t.Errorf("a's path: %+v", in)
		}
		p.b.Want("a") // b had heard of a by r1 first
		time.Sleep(5 * time.Second)
		if in := p.b.Paths()["a"]; in.Relay != "r2" {
			t.Errorf("b's path: %+v, want one to a's home", in)
		}
		if n := len(p.net.wireguard()); n != 0 {
			t.Errorf("%d datagrams left by UDP", n)
		}
		for _, f := range p.relays.frames(p.a, 0) {
			if f.relay != "r1" || f.to != p.b.identity.Public() {
				t.Errorf("a sent to %v over %s", f.to, f.relay)
			}
		}
	})
}

func TestAnswersGoBackOverTheRelayOfTheRequest(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		for _, ends := range [][2]*node{{p.a, p.b}, {p.b, p.a}} {
			asked := map[probe.ID]path.Relay{}
			for _, f := range p.relays.frames(ends[0], probe.Request) {
				h, _ := probe.Peek(f.data)
				asked[h.ID] = f.relay
			}
			answers := p.relays.frames(ends[1], probe.Answer)
			for _, f := range answers {
				if h, _ := probe.Peek(f.data); f.relay != asked[h.ID] {
					t.Errorf("asked over %q, answered over %q", asked[h.ID], f.relay)
				}
			}
			if len(answers) == 0 {
				t.Error("no answers; the test tests nothing")
			}
		}
	})
}

func TestRelayedSenderHasOneEndpointWhicheverTheRelay(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		c := newNode(t, "c", transport.Config{})
		p.b.SetPeers([]transport.Peer{p.a.peer(), c.peer()})
		p.b.FromRelay("r1", p.a.identity.Public(), initiation(1))
		p.b.FromRelay("r9", p.a.identity.Public(), initiation(2))
		p.b.FromRelay("r1", c.identity.Public(), initiation(3))
		synctest.Wait()
		p.b.SetPeers([]transport.Peer{p.a.peer()})
		p.b.FromRelay("r1", p.a.identity.Public(), initiation(4))
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.from) != 4 || p.from[0] != p.from[1] || p.from[0] != p.from[3] || p.from[2] == p.from[0] {
			t.Fatalf("endpoints: %v", p.from)
		}
		a, other := p.from[0], p.from[2]
		if bytes.Equal(a.DstToBytes(), other.DstToBytes()) || a.DstIP() == other.DstIP() || !a.DstIP().IsPrivate() {
			t.Errorf("WireGuard takes one sender for another: %v %v", a.DstIP(), other.DstIP())
		}
		if raw := p.a.identity.Public().Raw(); !bytes.Equal(a.DstToBytes(), raw[:]) {
			t.Error("cookies are not bound to the node key")
		}
		a.ClearSrc()
		if a.SrcIP().IsValid() || a.SrcToString() != "" || a.DstToString() != "relayed:"+p.a.identity.Public().String() {
			t.Errorf("endpoint says %q %q", a.DstToString(), a.SrcToString())
		}

		// A cookie goes back by the relay of the last datagram, whatever the path.
		if err := p.b.Bind().Send([][]byte{data(5)}, a); err != nil {
			t.Fatal(err)
		}
		if f := p.relays.frames(p.b, 0); len(f) != 1 || f[0].relay != "r1" || f[0].to != p.a.identity.Public() {
			t.Errorf("sent back: %+v", f)
		}
	})
}

func TestWhatARelayBringsFromStrangersIsDropped(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		c := newNode(t, "c", transport.Config{})
		stranger, member := c.identity.Public(), p.a.identity.Public()
		request := requestOf(t, p.a, p.b)
		silent := func(what string) {
			t.Helper()
			synctest.Wait()
			if n := len(p.received()) + len(p.relays.frames(p.b, probe.Answer)) + len(p.relays.frames(p.b, probe.Request)); n != 0 {
				t.Errorf("%s: WireGuard got %d datagrams, or b answered", what, len(p.received()))
			}
		}
		p.b.FromRelay("r1", stranger, initiation(1))
		silent("datagram of a stranger")
		p.b.FromRelay("r1", stranger, request)
		silent("a peer's request in a stranger's name")
		p.b.SetPeers([]transport.Peer{p.a.peer(), c.peer()})
		synctest.Wait()
		p.b.FromRelay("r1", stranger, request)
		silent("a peer's request in another peer's name")
		self := p.b.peer()
		self.ID = "b's key, in another's place"
		p.b.SetPeers([]transport.Peer{p.a.peer(), self})
		p.b.FromRelay("r1", self.NodeKey, initiation(1))
		silent("its own key")
		p.b.FromRelay("", member, request)
		p.b.FromRelay("", member, initiation(1))
		silent("no relay")
		p.b.SetPeers([]transport.Peer{c.peer()})
		p.b.FromRelay("r1", member, initiation(1))
		p.b.FromRelay("r1", member, request)
		silent("a peer that has left the map")
		p.b.SetPeers([]transport.Peer{p.a.peer()})
		synctest.Wait()
		p.b.FromRelay("r1", member, initiation(1))
		p.b.FromRelay("r1", member, request)
		synctest.Wait()
		if len(p.received()) != 1 || len(p.relays.frames(p.b, probe.Answer)) == 0 {
			t.Errorf("of what the peer itself sends %d datagrams arrive, and %d are answered; the test tests nothing",
				len(p.received()), len(p.relays.frames(p.b, probe.Answer)))
		}
	})
}

// requestOf gives an authentic probe request of one node to another.
func requestOf(t *testing.T, from, to *node) []byte {
	t.Helper()
	secret, err := from.path.Agree(to.path.Public())
	if err != nil {
		t.Fatal(err)
	}
	return probe.NewCodec().AppendRequest(nil, probe.ID{1},
		probe.ShortOf(to.identity.Public()), probe.ShortOf(from.identity.Public()), &secret)
}

func TestTrafficMovesBetweenRelayAndDirectWay(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		direct, relayed := path.Direct(p.bindB.addr), path.Through("r1")
		sent := 0
		flow := func(want path.Way, within time.Duration) time.Duration {
			start := time.Now()
			for p.a.Paths()["b"].Way() != want && time.Since(start) < within {
				p.send(t, data(byte(sent)))
				sent++
				time.Sleep(5 * time.Millisecond)
				synctest.Wait()
			}
			return time.Since(start)
		}
		p.send(t, initiation(1))
		p.way(t, relayed, time.Second)
		p.net.setCut(false)
		if took := flow(direct, time.Minute); took > 5*time.Second {
			t.Errorf("direct after %v", took)
		}
		flow(path.Way{}, 3*time.Second)
		synctest.Wait()
		if got := len(p.received()) - 1; got != sent {
			t.Errorf("b got %d datagrams of %d: the move lost some", got, sent)
		}
		p.net.setCut(true)
		if took := flow(relayed, time.Minute); took > time.Second {
			t.Errorf("on the relay after %v", took)
		}
		before := len(p.received())
		p.send(t, data(1))
		synctest.Wait()
		if len(p.received()) != before+1 {
			t.Error("on the relay, nothing arrives")
		}
	})
}

func TestRelayThatTakesNothingIsAskedAtOnceAndNotPerDatagram(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		p.relays.setDown("r1", true)
		start := time.Now()
		for range 1000 {
			if err := p.a.Bind().Send([][]byte{data(1)}, p.toB); !errors.Is(err, transport.ErrNotSent) {
				t.Fatalf("err = %v", err)
			}
			synctest.Wait()
		}
		if took := p.way(t, path.Way{}, 5*time.Second); took == 0 || time.Since(start) > 1200*time.Millisecond {
			t.Errorf("path left after %v", took)
		}
		p.relays.setDown("r1", false)
		p.a.RelayUp("r1")
		p.way(t, path.Through("r1"), 20*time.Millisecond)
		p.relays.setDown("r1", true)
		p.a.RelayDown("r1")
		synctest.Wait()
		p.a.SetHome("b", "r3")
		p.way(t, path.Through("r3"), 20*time.Millisecond)
		p.a.SetPeers([]transport.Peer{p.b.peer(p.bindB.addr)}) // with no home
		p.relays.setDown("r3", true)
		p.way(t, path.Way{}, 10*time.Second)
	})
}

func TestHomeOfTheMapIsUsed(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.net.setCut(true)
		b := p.b.peer()
		b.Home = "r7"
		p.a.SetPeers([]transport.Peer{b})
		p.send(t, initiation(1))
		p.way(t, path.Through("r7"), 0)
	})
}

func TestDatagramLongerThanAFrameIsNotSent(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		before := len(p.relays.frames(p.a, 0))
		longest, longer := make([]byte, relay.MaxDatagram), make([]byte, relay.MaxDatagram+1)
		if err := p.a.Bind().Send([][]byte{longer, longest}, p.toB); !errors.Is(err, transport.ErrNotSent) {
			t.Errorf("err = %v", err)
		}
		if f := p.relays.frames(p.a, 0)[before:]; len(f) != 1 || len(f[0].data) != relay.MaxDatagram {
			t.Errorf("%d datagrams handed to the relay, want the longest that it takes", len(f))
		}
	})
}

// Neither knows an address of the other: only a call over the relay, of the
// addresses that were gathered for it, opens the direct way.
func TestCallOverTheRelayOpensTheDirectWay(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		p.a.SetCandidates("b", nil)
		p.net.setCut(false)
		p.send(t, initiation(1))
		p.way(t, path.Through("r1"), 0)
		if p.gathers.Load() == 0 {
			t.Fatal("addresses of this node are not asked for")
		}
		p.a.SetOwn([]netip.AddrPort{p.bindA.addr})
		p.way(t, path.Direct(p.bindB.addr), 10*time.Millisecond)
		if len(p.relays.frames(p.a, probe.Call)) == 0 {
			t.Error("without a call")
		}
	})
}

// TestRelayedPeerThatIsHeardIsAskedLess sends both ways, then one way.
func TestRelayedPeerThatIsHeardIsAskedLess(t *testing.T) {
	for _, tt := range []struct {
		both bool
		want [2]int // requests in 10 s
	}{{true, [2]int{2, 4}}, {false, [2]int{9, 12}}} {
		apart(t, func(t *testing.T, p *pair) {
			p.b.SetHome("a", "r1") // so that both directions have one way
			p.send(t, initiation(1))
			time.Sleep(3 * time.Second)
			toA, err := p.b.Bind().ParseEndpoint("cordon:a")
			if err != nil {
				t.Fatal(err)
			}
			p.b.Want("a")
			synctest.Wait()
			small := func() (n int) {
				for _, f := range p.relays.frames(p.a, probe.Request) {
					if len(f.data) < 100 {
						n++
					}
				}
				return n
			}
			before := small()
			for range 500 {
				p.send(t, data(1))
				if tt.both {
					if err := p.b.Bind().Send([][]byte{data(2)}, toA); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
			synctest.Wait()
			if n := small() - before; n < tt.want[0] || n > tt.want[1] {
				t.Errorf("both ways %v: %d requests in 10 s, want %v", tt.both, n, tt.want)
			}
		})
	}
}

func TestNothingGoesOverRelaysWhileTheBindIsClosed(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		if err := p.a.Bind().Close(); err != nil {
			t.Fatal(err)
		}
		before := len(p.relays.frames(p.a, 0)) + len(p.relays.frames(p.a, probe.Answer))
		if err := p.a.Bind().Send([][]byte{data(1)}, p.toB); err == nil {
			t.Error("sent while closed")
		}
		request := requestOf(t, p.b, p.a)
		p.a.FromRelay("r2", p.b.identity.Public(), request)
		synctest.Wait()
		if n := len(p.relays.frames(p.a, 0)) + len(p.relays.frames(p.a, probe.Answer)) - before; n != 0 {
			t.Errorf("%d datagrams and answers left while closed", n)
		}
		p.waits = append(p.waits, p.a.receive(t, ignore))
		synctest.Wait()
		before = len(p.relays.frames(p.a, probe.Answer))
		p.a.FromRelay("r2", p.b.identity.Public(), request)
		p.send(t, data(2))
		synctest.Wait()
		if len(p.relays.frames(p.a, probe.Answer)) == before {
			t.Error("the request that came while closed was taken: now it counts as a copy")
		}
		if got := p.received(); !bytes.Equal(got[len(got)-1], data(2)) {
			t.Error("path is not used after reopening")
		}
	})
}

func TestWithoutRelaysNothingIsTaken(t *testing.T) {
	a, b := newNode(t, "a", transport.Config{Bind: newNetwork().bind("198.51.100.1:1")}), newNode(t, "b", transport.Config{})
	a.SetPeers([]transport.Peer{b.peer()})
	fns, _, err := a.Bind().Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Bind().Close()
	if len(fns) != 1 {
		t.Errorf("%d receive functions: wireguard-go takes a batch of buffers for each", len(fns))
	}
	a.FromRelay("r1", b.identity.Public(), data(1))
	a.FromRelay("r1", key.NodePublic{}, data(1))
}

func TestOnlyRelaysLeavesUDPAlone(t *testing.T) {
	bubbleWith(t, func(c *transport.Config) { c.OnlyRelays = true }, func(t *testing.T, p *pair) {
		p.a.SetHome("b", "r1")
		p.b.SetHome("a", "r2")
		p.b.SetCandidates("a", []netip.AddrPort{p.bindA.addr})
		p.a.SetOwn([]netip.AddrPort{p.bindA.addr})
		p.send(t, initiation(1))
		p.b.Want("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if in := p.a.Paths()["b"]; in.Way() != path.Through("r1") || len(p.received()) != 1 {
			t.Errorf("a's path %+v, b got %d datagrams", in, len(p.received()))
		}
		if in := p.b.Paths()["a"]; in.Way() != path.Through("r2") {
			t.Errorf("b's path %+v", in)
		}
		if len(p.net.requests(p.bindB.addr)) == 0 {
			t.Error("b did not try a's address; the test tests nothing")
		}
		stranger, err := p.a.Bind().ParseEndpoint("198.51.100.2:2000")
		if err != nil || p.a.Bind().Send([][]byte{data(1)}, stranger) == nil {
			t.Error("sent to an address")
		}
		p.net.mu.Lock()
		defer p.net.mu.Unlock()
		for _, s := range p.net.sent {
			if s.from == p.bindA.addr {
				t.Errorf("a sent %d bytes to %v by UDP", len(s.data), s.to)
			}
		}
	})
}
