package gather_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/node/internal/gather"
	"github.com/cordonmesh/cordon/node/internal/path/stun"
	"github.com/cordonmesh/cordon/node/internal/path/stun/stuntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	lan    = netip.MustParseAddrPort("10.0.0.7:41641")
	public = netip.MustParseAddrPort("203.0.113.7:41641")
	given  = netip.MustParseAddrPort("198.51.100.9:51820")
	opened = netip.MustParseAddrPort("203.0.113.7:50000")
	one    = netip.MustParseAddr("192.0.2.1")
	other  = netip.MustParseAddr("192.0.2.2")
)

// world is a socket behind a NAT, STUN servers and a name server.
type world struct {
	*gather.Gatherer
	mu      sync.Mutex
	outside func(to netip.AddrPort) netip.AddrPort // how a server sees the socket; invalid: no answer
	names   map[string][]netip.Addr
	local   []netip.AddrPort
	hidden  netip.Addr
	asked   []netip.AddrPort
	changes int
	stop    func()
}

func begin(t *testing.T) *world {
	w := &world{outside: func(netip.AddrPort) netip.AddrPort { return public }, names: map[string][]netip.Addr{"relay.example": {one}},
		local: []netip.AddrPort{lan}}
	w.Gatherer = gather.New(gather.Config{Send: w.send, Lookup: w.lookup, Given: []netip.AddrPort{given},
		Hidden:   func(a netip.Addr) bool { w.mu.Lock(); defer w.mu.Unlock(); return a == w.hidden },
		Local:    func() ([]netip.AddrPort, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.local, nil },
		OnChange: func() { w.mu.Lock(); defer w.mu.Unlock(); w.changes++ }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return w
}

func (w *world) send(to netip.AddrPort, datagram []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, to)
	if at := w.outside(to); at.IsValid() {
		reply, ok := stuntest.AppendAnswer(nil, datagram, at)
		if !ok {
			return errors.New("no request")
		}
		time.AfterFunc(20*time.Millisecond, func() { w.Receive(to, reply) })
	}
	return nil
}

func (w *world) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	at := w.names[host]
	w.mu.Unlock()
	if at == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return at, nil
}

func (w *world) change(f func()) { w.mu.Lock(); defer w.mu.Unlock(); f() }

// requests gives how many were sent since the last call.
func (w *world) requests() (n int) {
	w.change(func() { n, w.asked = len(w.asked), nil })
	return n
}

func (w *world) expect(t *testing.T, want ...netip.AddrPort) {
	t.Helper()
	synctest.Wait()
	if got := w.List(); !slices.Equal(got, want) {
		t.Errorf("addresses are %v, want %v", got, want)
	}
}

func in(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		test(t, w)
		w.stop()
	})
}

var servers = []gather.Server{{Name: "coordinator", Host: "192.0.2.2", Port: 8443}, {Name: "ward", Host: "relay.example", Port: 3478}}

func TestAddressesOfAllKinds(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.expect(t, given, lan)
		w.SetServers(servers)
		time.Sleep(time.Second)
		w.expect(t, given, public, lan)
		w.SetMapped(opened)
		w.expect(t, given, opened, public, lan)
		if r := w.Report(); r.V4.Kind != stun.EndpointIndependent || len(r.V4.Servers) != 2 {
			t.Errorf("report: %+v", r.V4)
		}
		if w.changes != 3 {
			t.Errorf("told of %d changes, want 3", w.changes)
		}
		w.SetMapped(netip.AddrPort{})
		w.expect(t, given, public, lan)
	})
}

func TestOtherNetworkIsAskedAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.SetServers(servers)
		time.Sleep(time.Second)
		w.requests()
		time.Sleep(time.Minute)
		if n := w.requests(); n != 0 {
			t.Errorf("%d requests in a minute in which nobody wanted to know", n)
		}
		elsewhere, seen := netip.MustParseAddrPort("172.16.0.9:41641"), netip.MustParseAddrPort("198.51.100.77:1234")
		w.change(func() {
			w.local = []netip.AddrPort{elsewhere}
			w.outside = func(netip.AddrPort) netip.AddrPort { return seen }
		})
		w.NetworkChanged()
		time.Sleep(100 * time.Millisecond)
		w.expect(t, given, seen, elsewhere)
		w.change(func() { w.local = nil })
		w.NetworkChanged()
		w.expect(t, given)
	})
}

func TestMappingIsKeptOpenWhileSomebodyWantsIt(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.SetServers(servers)
		time.Sleep(time.Minute)
		w.requests()
		w.Want()
		time.Sleep(time.Second)
		if n := w.requests(); n != 1 {
			t.Errorf("%d requests when somebody began to want it, want one", n)
		}
		time.Sleep(2 * time.Minute)
		if n := w.requests(); n < 4 || n > 8 {
			t.Errorf("%d requests in two minutes, want one each 20 to 25 s", n)
		}
		time.Sleep(4 * time.Minute)
		w.requests()
		time.Sleep(5 * time.Minute)
		if n := w.requests(); n > 2 {
			t.Errorf("%d requests long after anybody wanted it", n)
		}
		w.Ask()
		synctest.Wait()
		if n := w.requests(); n != 2 {
			t.Errorf("%d servers asked for a person, want both", n)
		}
	})
}

func TestServerThatCannotBeFoundIsLookedForAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.change(func() { w.names = nil })
		w.SetServers(servers[1:])
		time.Sleep(20 * time.Second)
		if n := w.requests(); n != 0 {
			t.Errorf("%d requests to nobody", n)
		}
		w.change(func() { w.names = map[string][]netip.Addr{"relay.example": {one}} })
		time.Sleep(20 * time.Second)
		w.expect(t, given, public, lan)
		w.requests()
		// The name server is away again: who was found before is asked on.
		w.change(func() { w.names = nil })
		time.Sleep(15 * time.Minute)
		w.requests()
		w.Ask()
		synctest.Wait()
		if n := w.requests(); n != 1 {
			t.Errorf("%d requests after the name server went away, want one", n)
		}
		w.change(func() { w.names = map[string][]netip.Addr{"relay.example": {other}} })
		time.Sleep(time.Minute)
		w.change(func() {
			if !slices.Contains(w.asked, netip.AddrPortFrom(other, 3478)) {
				t.Errorf("the name leads elsewhere, asked were %v", w.asked)
			}
		})
	})
}

func TestForgedAnswersChangeNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.SetServers(servers)
		time.Sleep(time.Second)
		request := []byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		forged, ok := stuntest.AppendAnswer(nil, request, netip.MustParseAddrPort("192.0.2.66:6"))
		if !ok {
			t.Fatal("the test's request is none")
		}
		for range 1000 {
			w.Receive(netip.AddrPortFrom(other, 8443), forged)
		}
		w.Receive(netip.AddrPortFrom(other, 8443), make([]byte, 70000))
		w.expect(t, given, public, lan)
	})
}

// A NAT that maps by destination shows each server another address. Two are told.
func TestAddressesOfANATThatMapsByDestinationAreBounded(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.change(func() {
			w.outside = func(to netip.AddrPort) netip.AddrPort {
				return netip.AddrPortFrom(public.Addr(), 1000+uint16(to.Addr().As4()[3]))
			}
			w.names["relay.example"] = []netip.Addr{one, netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")}
		})
		w.SetServers(servers)
		time.Sleep(time.Second)
		if list := w.List(); len(list) != 4 || list[1].Addr() != public.Addr() || list[2].Addr() != public.Addr() || list[3] != lan {
			t.Errorf("addresses are %v", list)
		}
		if k := w.Report().V4.Kind; k != stun.AddressDependent && k != stun.AddressAndPortDependent {
			t.Errorf("kind is %v", k)
		}
	})
}

// A machine whose only address is of the mesh's own range, as a phone's may be,
// asks servers like any other. Peers, to whom that address is another's, hear
// only where servers see it.
func TestHiddenAddressesAskAndAreNotTold(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.change(func() { w.hidden = lan.Addr() })
		w.SetServers(servers)
		w.NetworkChanged()
		time.Sleep(time.Second)
		w.expect(t, given, public)
	})
}
