package stun_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/stun"
	"github.com/cordonmesh/cordon/node/internal/path/stun/stuntest"
)

func Example() {
	now := time.Unix(0, 0)
	socket := netip.MustParseAddrPort("192.168.1.20:41641")
	relay := netip.MustParseAddrPort("198.51.100.1:3478")
	m := stun.New(stun.Config{})
	m.NetworkChanged(now, []netip.AddrPort{socket})
	m.SetServers(now, []stun.Server{{Name: "relay-1", Addrs: []netip.AddrPort{relay}}})
	m.SetWanted(now, true)
	for _, a := range m.Take() {
		if a.Do == stun.Send { // on the wire, to a server, which answers
			answer, _ := stuntest.AppendAnswer(nil, a.Datagram, netip.MustParseAddrPort("203.0.113.7:41641"))
			now = now.Add(20 * time.Millisecond)
			if stun.Is(answer) {
				m.Receive(now, a.To, answer)
			}
		}
	}
	fmt.Println(m.Report().V4.Mapped[0].Addr, m.Report().V4.Kind, m.Report().V4.PreservesPort)
	// Output: 203.0.113.7:41641 unknown false
}

func TestTwoServersTellTheKindInOneRoundTrip(t *testing.T) {
	w := newWorld(t)
	w.start(one, two)
	w.run(w.delay)
	w.want(stun.EndpointIndependent, public)
	r := w.m.Report().V4
	if !r.PreservesPort || r.Presumed || len(w.sent) != 2 {
		t.Errorf("%+v after %d requests", r, len(w.sent))
	}
	for _, s := range r.Servers {
		if s.RTT != w.delay || s.At != w.now || s.Mapped != public || s.Failed {
			t.Errorf("server %+v", s)
		}
	}
	if r.Mapped[0].At != w.now {
		t.Errorf("mapped at %v, not now", r.Mapped[0].At)
	}
}

func TestFamiliesAreApart(t *testing.T) {
	w := newWorld(t)
	w.outside = func(s netip.AddrPort) netip.AddrPort {
		if s.Addr().Is6() {
			return home6
		}
		return public
	}
	w.start(one, one6, two, two6)
	w.run(time.Second)
	w.want(stun.EndpointIndependent, public)
	if r := w.m.Report().V6; r.Kind != stun.NoNAT || r.Mapped[0].Addr != home6 {
		t.Errorf("IPv6: %+v", r)
	}
	w.m.NetworkChanged(w.now, []netip.AddrPort{home})
	w.sent = nil
	w.run(time.Hour)
	if r := w.m.Report().V6; r.Kind != stun.Unknown || len(r.Mapped) != 0 || w.asked(time.Time{}, one6) != 0 {
		t.Errorf("asked %d times without an address of the family: %+v", w.asked(time.Time{}, one6), r)
	}
}

func TestLostRequestsAreRepeatedFasterAtFirst(t *testing.T) {
	w := newWorld(t)
	w.outside = func(netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
	w.start(one)
	began := w.now
	w.run(10 * time.Second)
	want := []time.Duration{0, 100, 300, 700, 1500, 3100, 6300}
	if len(w.sent) != len(want) {
		t.Fatalf("%d tries, want %d", len(w.sent), len(want))
	}
	for i, s := range w.sent {
		if s.at.Sub(began) != want[i]*time.Millisecond {
			t.Errorf("try %d after %v, want %v ms", i, s.at.Sub(began), int(want[i]))
		}
		if !bytes.Equal(s.b, w.sent[0].b) {
			t.Errorf("try %d has another transaction id", i)
		}
	}
	w.want(stun.Blocked)
	if !w.m.Report().V4.Servers[0].Failed {
		t.Error("a server that did not answer has not failed")
	}
}

func TestBlockedIsSaidOnlyWhenTheRoundIsOverAndHeals(t *testing.T) {
	w := newWorld(t)
	open := w.outside
	w.outside = func(netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
	w.start(one, two)
	w.m.SetWanted(w.now, true)
	w.run(7 * time.Second)
	w.want(stun.Unknown)
	w.run(time.Second)
	w.want(stun.Blocked)
	w.outside = open
	w.run(90 * time.Second)
	w.want(stun.EndpointIndependent, public)
}

func TestKeepingAMappingOpenCostsOneRequest(t *testing.T) {
	w := newWorld(t)
	w.further = map[netip.AddrPort]time.Duration{one: time.Millisecond, three: time.Millisecond}
	w.start(one, two, three)
	w.run(time.Second)
	w.m.SetWanted(w.now, true)
	begin, last := w.now, w.now
	w.sent = nil
	w.run(4 * time.Minute)
	for _, s := range w.sent {
		if gap := s.at.Sub(last); gap != 22500*time.Millisecond { // half of the jitter
			t.Errorf("a request %v after the one before", gap)
		}
		if s.to != two {
			t.Errorf("%v keeps the mapping, and is not the nearest", s.to)
		}
		last = s.at
	}
	if len(w.sent) < 9 || len(w.sent) > 12 {
		t.Errorf("%d requests in 4 minutes", len(w.sent))
	}
	w.run(90 * time.Second)
	if w.asked(begin, one) == 0 || w.asked(begin, two) == 0 || w.asked(begin, three) == 0 {
		t.Error("no round in 5 minutes and a half")
	}
}

func TestNobodyAnswersSoItIsSeldom(t *testing.T) {
	w := newWorld(t)
	w.outside = func(netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
	w.start(one)
	w.m.SetWanted(w.now, true)
	w.run(10 * time.Minute)
	if n := len(w.sent); n > 10*7 {
		t.Errorf("%d requests in 10 minutes", n)
	}
}

func TestNetworkChangedDoesNotWaitForARepetition(t *testing.T) {
	w := newWorld(t)
	w.outside = func(netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
	w.start(one)
	w.run(3500 * time.Millisecond) // the next try is 2.8 s away
	w.sent = nil
	w.m.NetworkChanged(w.now, []netip.AddrPort{home, home6})
	w.take()
	if len(w.sent) != 1 {
		t.Errorf("%d requests at once, want 1", len(w.sent))
	}
}

func TestARoundEndsBeforeTheNextBegins(t *testing.T) {
	w := newWorld(t)
	w.further = map[netip.AddrPort]time.Duration{one: 2 * time.Second}
	w.start(one, two)
	w.run(5 * time.Second)
	w.outside = func(netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
	w.m.Ask(w.now)
	w.run(20 * time.Second)
	for _, s := range w.m.Report().V4.Servers {
		if !s.Failed {
			t.Errorf("%v is still waited for after 20 s", s.Addr)
		}
	}
}

func TestNobodyWantsSoItIsRare(t *testing.T) {
	w := newWorld(t)
	w.start(one, two)
	w.run(time.Second)
	w.sent = nil
	w.run(time.Hour)
	if n := len(w.sent); n == 0 || n > 12 {
		t.Errorf("%d requests in an idle hour", n)
	}
}

func TestWantingAsksAtOnceIfTheAnswerIsOld(t *testing.T) {
	w := newWorld(t)
	w.start(one, two)
	w.run(time.Second)
	w.sent = nil
	w.m.SetWanted(w.now, true)
	w.take()
	if len(w.sent) != 0 {
		t.Error("asked although the answer is a second old")
	}
	w.m.SetWanted(w.now, false)
	w.run(30 * time.Second)
	w.m.SetWanted(w.now, true)
	w.take()
	if len(w.sent) != 1 {
		t.Errorf("%d requests at once, want 1", len(w.sent))
	}
}

func TestAMappingThatMovedStartsARound(t *testing.T) {
	w := newWorld(t)
	w.start(one, two)
	w.run(time.Second)
	w.m.SetWanted(w.now, true)
	moved := netip.MustParseAddrPort("203.0.113.9:61000")
	w.outside = func(netip.AddrPort) netip.AddrPort { return moved }
	w.changed = 0
	before := w.now
	w.run(26 * time.Second)
	w.want(stun.EndpointIndependent, moved)
	if n := w.asked(before, one) + w.asked(before, two); n != 2 {
		t.Errorf("%d requests, want one that noticed and one at the other server", n)
	}
	if w.changed == 0 {
		t.Error("nobody was told")
	}
	if w.m.Report().V4.PreservesPort {
		t.Error("port 61000 is not 41641")
	}
}

func TestAServerThatFallsSilentStartsARound(t *testing.T) {
	w := newWorld(t)
	w.start(one, two, three)
	w.run(time.Second)
	w.m.SetWanted(w.now, true)
	w.outside = func(s netip.AddrPort) netip.AddrPort {
		if s == one {
			return netip.AddrPort{}
		}
		return public
	}
	before := w.now
	w.run(25 * time.Second)
	if w.asked(before, one) < 4 || w.asked(before, two) != 1 || w.asked(before, three) != 1 {
		t.Fatalf("asked %d, %d, %d times", w.asked(before, one), w.asked(before, two), w.asked(before, three))
	}
	w.run(10 * time.Second)
	w.want(stun.EndpointIndependent, public)
	before = w.now
	w.run(time.Minute)
	if w.asked(before, one) != 0 {
		t.Error("the silent server keeps being asked for the mapping")
	}
}

func TestTheKindStaysWhileOneServerStillSeesTheSame(t *testing.T) {
	w := newWorld(t)
	w.start(one, two)
	w.run(time.Second)
	w.outside = func(s netip.AddrPort) netip.AddrPort {
		if s == two {
			return netip.AddrPort{}
		}
		return public
	}
	w.m.Ask(w.now)
	w.run(10 * time.Second)
	w.want(stun.EndpointIndependent, public)
	if !w.m.Report().V4.Presumed {
		t.Error("one answer is proof enough")
	}
	w.outside = func(s netip.AddrPort) netip.AddrPort {
		if s == two {
			return netip.AddrPort{}
		}
		return public2
	}
	w.m.Ask(w.now)
	w.run(10 * time.Second)
	w.want(stun.Unknown, public2)
}

func TestKnownKindIsNotForgottenInTheMiddleOfARound(t *testing.T) {
	w := newWorld(t)
	ports := map[netip.AddrPort]netip.AddrPort{one: public, two: public2, three: public}
	w.outside = func(s netip.AddrPort) netip.AddrPort { return ports[s] }
	w.start(one, three, two)
	w.run(time.Second)
	w.want(stun.AddressAndPortDependent, public, public2)
	w.changed = 0
	w.m.Ask(w.now)
	w.take()
	w.run(time.Second)
	w.want(stun.AddressAndPortDependent, public, public2)
	if w.changed > 2 { // the addresses, answer by answer
		t.Errorf("told %d times of a round that says nothing new", w.changed)
	}
}

func TestNetworkChangedAsksAtOnceAndForgetsWhatWasElsewhere(t *testing.T) {
	w := newWorld(t)
	w.start(one, two)
	w.run(time.Second)
	w.sent = nil
	w.m.NetworkChanged(w.now, []netip.AddrPort{home, home6})
	w.want(stun.EndpointIndependent, public) // a route changed: likely all is as it was
	w.take()
	if len(w.sent) != 2 {
		t.Errorf("%d requests at once, want 2", len(w.sent))
	}
	w.run(time.Second)
	w.m.NetworkChanged(w.now, []netip.AddrPort{netip.MustParseAddrPort("10.9.9.9:41641")})
	w.want(stun.Unknown)
	w.run(time.Second)
	w.want(stun.EndpointIndependent, public)
}

func TestAnAnswerFromTheOldNetworkDoesNotCount(t *testing.T) {
	w := newWorld(t)
	w.start(one)
	late := w.way
	w.way = nil
	w.m.NetworkChanged(w.now, []netip.AddrPort{netip.MustParseAddrPort("10.9.9.9:41641")})
	if w.m.Receive(w.now, late[0].from, late[0].b) {
		t.Error("consumed")
	}
	w.want(stun.Unknown)
}

func TestServersCannotFlood(t *testing.T) {
	w := newWorld(t)
	var list []stun.Server
	for i := range 100 {
		a := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		list = append(list, stun.Server{Name: "s", Addrs: []netip.AddrPort{
			netip.AddrPortFrom(a, 3478), netip.AddrPortFrom(a, 3478), netip.AddrPortFrom(a, 0), netip.AddrPortFrom(netip.IPv4Unspecified(), 1)}})
	}
	w.m.NetworkChanged(w.now, []netip.AddrPort{home})
	w.m.SetServers(w.now, list)
	w.take()
	if len(w.sent) != 8 {
		t.Errorf("%d servers asked, want 8", len(w.sent))
	}
	w.m.SetServers(w.now, list[:1])
	if got := w.m.Report().V4.Servers; len(got) != 1 {
		t.Errorf("one address is asked as %v", got)
	}
}

func TestFlappingCannotFlood_A33(t *testing.T) {
	w := newWorld(t)
	w.outside = func(netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
	w.start(one, two, three, one6, two6)
	locals := [][]netip.AddrPort{{home, home6}, {public, home6}}
	for i := range 600 {
		w.m.NetworkChanged(w.now, locals[i%2])
		w.m.SetWanted(w.now, i%2 == 0)
		w.m.Ask(w.now)
		w.run(100 * time.Millisecond)
	}
	if n := len(w.sent); n > 32+60*8+1 {
		t.Errorf("%d requests in a minute of flaps", n)
	}
	w.outside = func(netip.AddrPort) netip.AddrPort { return public }
	w.run(10 * time.Second)
	if len(w.mapped()) == 0 {
		t.Error("after the flaps nobody asks any more")
	}
}

// TestFlapsFasterThanAnswers: rounds that begin faster than answers come must
// not keep any answer from counting.
func TestFlapsFasterThanAnswers(t *testing.T) {
	w := newWorld(t)
	w.delay = 90 * time.Millisecond
	w.start(one, two)
	for range 20 {
		w.m.NetworkChanged(w.now, []netip.AddrPort{home, home6})
		w.run(50 * time.Millisecond)
	}
	w.want(stun.EndpointIndependent, public)
}

func TestServersThatStayKeepWhatTheySaid(t *testing.T) {
	w := newWorld(t)
	w.start(one, two)
	w.run(time.Second)
	w.sent = nil
	w.m.SetServers(w.now, []stun.Server{{Name: "renamed", Addrs: []netip.AddrPort{two}}, {Name: "s0", Addrs: []netip.AddrPort{one}}})
	w.take()
	if len(w.sent) != 0 {
		t.Error("asked again, and nothing is new")
	}
	w.want(stun.EndpointIndependent, public)
	if got := w.m.Report().V4.Servers[0]; got.Server != "renamed" || got.Addr != two {
		t.Errorf("first server is %+v", got)
	}
	w.m.SetServers(w.now, nil)
	w.want(stun.Unknown)
	if at := w.m.Next(); !at.IsZero() {
		t.Error("there is still something to do")
	}
}

func TestASlowLinkIsNotAskedTwice(t *testing.T) {
	w := newWorld(t)
	w.delay = 600 * time.Millisecond
	w.start(one)
	w.run(3 * time.Second)
	w.sent = nil
	w.m.Ask(w.now)
	w.take()
	w.run(3 * time.Second)
	if len(w.sent) != 1 {
		t.Errorf("%d tries on a link of 600 ms", len(w.sent))
	}
	if rtt := w.m.Report().V4.Servers[0].RTT; rtt != w.delay {
		t.Errorf("round-trip time %v", rtt)
	}
}
