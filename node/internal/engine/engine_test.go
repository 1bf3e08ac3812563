package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/engine"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// parts plays plane, paths and links, and keeps what they were told, in order.
type parts struct {
	mu        sync.Mutex
	calls     []string
	config    plane.Config
	paths     []engine.PathPeer
	addresses []netip.Prefix
	routes    []netip.Prefix
	seats     []plane.Seat
	at        []time.Duration // of the calls, since the start
	begin     time.Time
	enforced  []uint64
	ready     int
	before    []string // calls before the last report, since the last take
	lease     time.Time
	slow      time.Duration // what the plane takes
	fail      map[string]error
	slept     atomic.Int64 // nanoseconds, in which policy time went on and no timer did
}

func (p *parts) called(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, what)
	p.at = append(p.at, time.Since(p.begin))
	return p.fail[what]
}

// take gives the calls since the last take.
func (p *parts) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls, p.at = nil, nil
	return calls
}

func (p *parts) setFail(what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail[what] = err
}

func (p *parts) Configure(_ context.Context, c plane.Config) error {
	p.config = c
	time.Sleep(p.slow)
	return p.called("plane")
}
func (p *parts) Renew(lease time.Time)                  { p.lease = lease; _ = p.called("renew") }
func (p *parts) SetPeers(peers []engine.PathPeer) error { p.paths = peers; return p.called("paths") }
func (p *parts) SetAddresses(_ context.Context, a []netip.Prefix) error {
	p.addresses = a
	return p.called("addresses")
}
func (p *parts) SetRoutes(_ context.Context, r []netip.Prefix) error {
	p.routes = r
	return p.called("routes")
}
func (p *parts) SetSeats(_ context.Context, s []plane.Seat) error {
	p.seats = s
	return p.called("seats")
}

// drive prepares an engine, then runs body beside it in virtual time.
func drive(t *testing.T, prepare, body func(t *testing.T, e *engine.Engine, p *parts)) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{fail: map[string]error{}, begin: time.Now()}
		e, err := engine.New(engine.Options{Plane: p, Paths: p, Links: p,
			Enforced: func(at wire.Position) {
				p.enforced = append(p.enforced, at.Revision)
				p.mu.Lock()
				p.before = slices.Clone(p.calls)
				p.mu.Unlock()
			},
			Ready: func() { p.ready++ },
			Now:   func() time.Time { return time.Now().Add(time.Duration(p.slept.Load())) }})
		if err != nil {
			t.Fatal(err)
		}
		prepare(t, e, p)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		body(t, e, p)
	})
}

func asked(t *testing.T, p *parts, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := p.take(); !slices.Equal(got, want) {
		t.Errorf("asked of the parts: %v, want %v", got, want)
	}
}

// knowing is an engine that has a key and a map.
func knowing(t *testing.T, e *engine.Engine, p *parts) {
	e.SetTunnel(key.NewTunnel(), 0)
	e.SetMap(mapAt(1))
}

// failing is a knowing engine one of whose parts fails.
func failing(part string) func(*testing.T, *engine.Engine, *parts) {
	return func(t *testing.T, e *engine.Engine, p *parts) {
		p.setFail(part, fmt.Errorf("%s: no", part))
		knowing(t, e, p)
	}
}

func nothing(*testing.T, *engine.Engine, *parts) {}

// What is asked first: who sits here the plane hears when they are tied.
var everything = []string{"paths", "plane", "addresses", "routes", "seats", "plane"}

// failed is what is asked first when one part fails.
func failed(part string) []string {
	if part == "plane" || part == "seats" {
		return everything[:5]
	}
	return everything
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// mapAt is a map with two peers, one of which has a network behind it; two others
// have not stated their keys yet.
func mapAt(revision uint64) wire.Map {
	peer := func(id, addr string, routes ...netip.Prefix) wire.PeerRecord {
		node, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
		return wire.PeerRecord{ID: id, Name: id[2:], NodeKey: node.Public(), TunnelKey: tunnel.Public(), PathKey: path.Public(),
			Addresses: []netip.Addr{netip.MustParseAddr(addr)}, Routes: routes}
	}
	silent, halfway := peer("n-c", "100.64.0.4"), peer("n-d", "100.64.0.5")
	silent.TunnelKey, silent.PathKey = key.TunnelPublic{}, key.PathPublic{}
	halfway.PathKey = key.PathPublic{}
	gateway := peer("n-b", "100.64.0.3", prefix("10.1.0.0/16"), prefix("10.9.0.0/16"))
	gateway.Prefixes = []acl.PrefixClass{{Prefix: prefix("10.1.0.0/16"), Class: 7}, {Prefix: prefix("10.1.2.0/24"), Class: 8}}
	return wire.Map{
		Incarnation: 1, Revision: revision,
		Self: wire.SelfRecord{ID: "n-self", Addresses: []netip.Addr{netip.MustParseAddr("100.64.0.1")},
			Routes: []netip.Prefix{prefix("10.9.0.0/16")}, Ranges: []netip.Prefix{prefix("100.64.0.0/10")},
			Sessions: []wire.Session{{ID: "s1", Seat: "1000"}}, Seats: []wire.Seat{seat("s1", "100.64.9.1")}},
		Peers: map[string]wire.PeerRecord{"n-a": peer("n-a", "100.64.0.2"), "n-b": gateway, "n-c": silent, "n-d": halfway},
		Rules: acl.RuleSet{In: []acl.Rule{{ID: "r", Hold: 30 * 24 * time.Hour}}},
	}
}

func TestNothingIsDoneWithoutAKey(t *testing.T) {
	drive(t, nothing, func(t *testing.T, e *engine.Engine, p *parts) {
		e.SetMap(mapAt(1))
		asked(t, p)
	})
}

func TestWholeMapIsCarriedOut(t *testing.T) {
	k, m := key.NewTunnel(), mapAt(4)
	drive(t, func(t *testing.T, e *engine.Engine, p *parts) {
		e.SetTunnel(k, 41641)
		e.SetMap(m)
	}, func(t *testing.T, e *engine.Engine, p *parts) {
		asked(t, p, everything...)
		if p.config.Revision != 4 || p.config.ListenPort != 41641 || p.config.TunnelKey.Public() != k.Public() ||
			!reflect.DeepEqual(p.config.Rules, m.Rules) || !slices.Equal(p.config.Mesh, m.Self.Ranges) {
			t.Errorf("the plane was told %+v", p.config)
		}
		if len(p.paths) != 2 || p.paths[0].ID != "n-a" || p.paths[1].PathKey != m.Peers["n-b"].PathKey {
			t.Errorf("the transport was told %+v, want n-a and n-b", p.paths)
		}
		if want := []netip.Prefix{prefix("100.64.0.1/32")}; !slices.Equal(p.addresses, want) {
			t.Errorf("addresses %v, want %v", p.addresses, want)
		}
		// 10.9.0.0/16 is behind this node itself: it stays there.
		if want := []netip.Prefix{prefix("10.1.0.0/16"), prefix("100.64.0.0/10")}; !slices.Equal(p.routes, want) {
			t.Errorf("routes %v, want %v", p.routes, want)
		}
		if !slices.Equal(p.enforced, []uint64{4}) {
			t.Errorf("reported %v as enforced, want 4 once", p.enforced)
		}
	})
}

func TestPeersOfThePlane(t *testing.T) {
	m := mapAt(1)
	peers := engine.Derive(&engine.Input{Map: m, TunnelKey: key.NewTunnel()}).Plane.Peers
	if len(peers) != 2 {
		t.Fatalf("%d peers, want n-a and n-b; n-c has no keys", len(peers))
	}
	wantAllowed := []netip.Prefix{prefix("10.1.0.0/16"), prefix("10.9.0.0/16"), prefix("100.64.0.3/32")}
	if !slices.Equal(peers[1].Allowed, wantAllowed) {
		t.Errorf("n-b speaks for %v, want %v", peers[1].Allowed, wantAllowed)
	}
	// What no rule names is known to be the peer's all the same.
	want := []acl.PrefixClass{{Prefix: prefix("10.1.0.0/16"), Class: 7}, {Prefix: prefix("10.1.2.0/24"), Class: 8},
		{Prefix: prefix("10.9.0.0/16")}, {Prefix: prefix("100.64.0.3/32")}}
	if !slices.Equal(peers[1].Prefixes, want) {
		t.Errorf("n-b has %v, want %v", peers[1].Prefixes, want)
	}
}

func TestAddressInsideAClassedRouteKeepsItsClass(t *testing.T) {
	m := mapAt(1)
	b := m.Peers["n-b"]
	b.Addresses = []netip.Addr{netip.MustParseAddr("10.1.2.3")}
	m.Peers["n-b"] = b
	for _, c := range engine.Derive(&engine.Input{Map: m}).Plane.Peers[1].Prefixes {
		if c.Prefix == prefix("10.1.2.3/32") && c.Class != 8 {
			t.Errorf("10.1.2.3 is in class %d, want that of 10.1.2.0/24", c.Class)
		}
	}
}

// A rule about the network behind a gateway opens nothing of the gateway itself
// (A27): its addresses in that network are in no class.
func TestGatewayIsNotBehindItself(t *testing.T) {
	m := mapAt(1)
	m.Self.Prefixes = []acl.PrefixClass{{Prefix: prefix("10.9.0.0/16"), Class: 5}, {Prefix: prefix("10.9.0.1/32"), Class: 6}, {Prefix: prefix("10.9.128.7/32"), Class: 6}}
	local := []netip.Prefix{prefix("10.9.0.1/32"), prefix("10.9.0.2/32"), prefix("10.9.128.0/24"), prefix("192.168.0.1/32")}
	got := map[netip.Prefix]acl.Class{}
	for _, c := range engine.Derive(&engine.Input{Map: m, Local: local}).Plane.Self.Prefixes {
		if _, twice := got[c.Prefix]; twice {
			t.Errorf("%s is in two classes", c.Prefix)
		}
		got[c.Prefix] = c.Class
	}
	for p, want := range map[string]acl.Class{"10.9.0.0/16": 5, "10.9.0.1/32": 0, "10.9.0.2/32": 0, "10.9.128.0/24": 0} {
		if class, ok := got[prefix(p)]; !ok || class != want {
			t.Errorf("%s is in class %d (%t), want %d", p, class, ok, want)
		}
	}
	for _, p := range []string{"192.168.0.1/32", "10.9.128.7/32"} {
		if _, ok := got[prefix(p)]; ok {
			t.Errorf("%s is the node's own: no route covers the first, the kernel takes the second for the gateway", p)
		}
	}
}

// With a route to everywhere, and no knowledge of what the machine takes for
// itself (told as all that is behind), nothing is open but the node itself.
func TestGatewayThatDoesNotKnowItselfOpensNothingBehind(t *testing.T) {
	m := mapAt(1)
	m.Self.Routes = []netip.Prefix{prefix("0.0.0.0/0"), prefix("10.9.0.0/16")}
	own := netip.PrefixFrom(m.Self.Addresses[0], m.Self.Addresses[0].BitLen())
	m.Self.Ranges = []netip.Prefix{prefix("100.64.0.0/10")}
	m.Self.Prefixes = []acl.PrefixClass{{Prefix: own, Class: 4}, {Prefix: prefix("0.0.0.0/0"), Class: 5}, {Prefix: prefix("10.9.0.0/16"), Class: 6}}
	for _, c := range engine.Derive(&engine.Input{Map: m, Local: append(slices.Clone(m.Self.Routes), own)}).Plane.Self.Prefixes {
		if (c.Prefix == own) != (c.Class == 4) || c.Prefix != own && c.Class != 0 {
			t.Errorf("%s is in class %d", c.Prefix, c.Class)
		}
	}
}

func TestChangesWhileBusyAreOne(t *testing.T) {
	drive(t, func(t *testing.T, e *engine.Engine, p *parts) {
		p.slow = time.Second
		knowing(t, e, p)
	}, func(t *testing.T, e *engine.Engine, p *parts) {
		synctest.Wait() // the engine waits for the plane now
		m := mapAt(1)
		for r := range uint64(50) {
			m.Revision = r + 2
			e.SetMap(m)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(p.enforced, []uint64{1, 51}) {
			t.Errorf("50 maps at once were carried out as %v, want the first and the last", p.enforced)
		}
	})
}

func TestOnlyWhatChangedIsTold(t *testing.T) {
	m := mapAt(1)
	drive(t, func(t *testing.T, e *engine.Engine, p *parts) {
		knowing(t, e, p)
		e.SetMap(m)
	}, func(t *testing.T, e *engine.Engine, p *parts) {
		asked(t, p, everything...)
		m.Revision, m.Rules = 2, acl.RuleSet{}
		e.SetMap(m)
		asked(t, p, "plane")
		time.Sleep(time.Hour)
		asked(t, p)
	})
}

// A lease a minute must not re-judge every flow each minute.
func TestLeaseAloneRenews(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	drive(t, knowing, func(t *testing.T, e *engine.Engine, p *parts) {
		asked(t, p, everything...)
		e.SetLease(at)
		asked(t, p, "renew")
		e.SetLease(at)
		asked(t, p)
		if !p.lease.Equal(at) {
			t.Errorf("the plane was told of a lease at %s", p.lease)
		}
		e.SetMap(wire.Map{})
		asked(t, p, everything[:5]...)
		if !p.config.Lease.Equal(at) {
			t.Errorf("a new configuration names a lease at %s", p.config.Lease)
		}
	})
}

func TestRemovalFromTheMeshEndsEverything(t *testing.T) {
	drive(t, knowing, func(t *testing.T, e *engine.Engine, p *parts) {
		asked(t, p, everything...)
		e.SetMap(wire.Map{})
		asked(t, p, everything[:5]...)
		if len(p.config.Peers)+len(p.config.Rules.In)+len(p.paths)+len(p.routes)+len(p.addresses)+len(p.seats) != 0 {
			t.Errorf("without a map there is still %+v %v %v %v %v", p.config, p.paths, p.routes, p.addresses, p.seats)
		}
		if !slices.Equal(p.enforced, []uint64{1}) {
			t.Errorf("reported %v, want the first map only", p.enforced)
		}
	})
}

func TestFailureOfThePlaneIsTriedAgainAndNotReported(t *testing.T) {
	drive(t, failing("plane"), func(t *testing.T, e *engine.Engine, p *parts) {
		asked(t, p, failed("plane")...)
		time.Sleep(99 * time.Millisecond)
		asked(t, p)
		time.Sleep(time.Millisecond)
		asked(t, p, "plane")
		time.Sleep(200 * time.Millisecond)
		asked(t, p, "plane")
		if len(p.enforced) != 0 {
			t.Errorf("reported %v as enforced by a plane that failed", p.enforced)
		}
		p.setFail("plane", nil)
		time.Sleep(400 * time.Millisecond)
		asked(t, p, "plane")
		if !slices.Equal(p.enforced, []uint64{1}) {
			t.Errorf("reported %v, want 1", p.enforced)
		}
		time.Sleep(time.Hour)
		asked(t, p)

		e.SetTunnel(key.NewTunnel(), 7)
		asked(t, p, "plane")
		if !slices.Equal(p.enforced, []uint64{1}) {
			t.Errorf("reported %v, want 1 once", p.enforced)
		}
		p.setFail("plane", errors.New("no")) // it begins with short waits again
		e.SetMap(mapAt(2))
		synctest.Wait()
		p.take()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := p.take(); !slices.Contains(got, "plane") {
			t.Errorf("100 ms after a new failure %v was asked, want the plane", got)
		}
	})
}

func TestBackOffIsBounded(t *testing.T) {
	drive(t, failing("plane"), func(t *testing.T, e *engine.Engine, p *parts) {
		time.Sleep(time.Hour)
		synctest.Wait()
		for i := 2; i < len(p.at); i++ {
			if gap := p.at[i] - p.at[i-1]; gap > 30*time.Second {
				t.Fatalf("waited %s between two tries", gap)
			}
		}
		if n := len(p.at); n < 120 || n > 150 {
			t.Errorf("%d tries in an hour, want one each 30 s", n)
		}
	})
}

// A network manager that refuses a route must not keep a revocation waiting.
func TestFailedLinkDoesNotHoldTheRules(t *testing.T) {
	for _, broken := range []string{"paths", "addresses", "routes", "seats"} {
		t.Run(broken, func(t *testing.T) {
			drive(t, failing(broken), func(t *testing.T, e *engine.Engine, p *parts) {
				asked(t, p, failed(broken)...)
				if !slices.Equal(p.enforced, []uint64{1}) {
					t.Errorf("reported %v, want 1", p.enforced)
				}
				time.Sleep(100 * time.Millisecond)
				asked(t, p, broken)
				p.setFail(broken, nil)
				time.Sleep(200 * time.Millisecond)
				if broken == "seats" {
					asked(t, p, "seats", "plane")
				} else {
					asked(t, p, broken)
				}
				time.Sleep(time.Hour)
				asked(t, p)
			})
		})
	}
}

// Whoever hears that a map is enforced, as `cordon up` does, uses the node's
// addresses next.
func TestEnforcedIsReportedWhenTheLinksAreThere(t *testing.T) {
	drive(t, knowing, func(t *testing.T, e *engine.Engine, p *parts) {
		synctest.Wait()
		if !slices.Equal(p.before, everything) {
			t.Errorf("reported after %v, want %v", p.before, everything)
		}
	})
}

// `cordon up` returns when a node is ready: what is permitted must be open then. A
// node that enforces its first map without a lease opens nothing by a rule with a hold.
func TestReadyOnceThereIsAMapAndALease(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, first := range []string{"map", "lease"} {
		t.Run(first, func(t *testing.T) {
			drive(t, nothing, func(t *testing.T, e *engine.Engine, p *parts) {
				ready := func(want int, when string) {
					synctest.Wait()
					if p.ready != want {
						t.Errorf("ready %d times, want %d: %s", p.ready, want, when)
					}
				}
				e.SetTunnel(key.NewTunnel(), 0)
				says := map[string]func(){"map": func() { e.SetMap(mapAt(1)) }, "lease": func() { e.SetLease(at) }}
				says[first]()
				ready(0, "a "+first+" alone")
				delete(says, first)
				for _, rest := range says {
					rest()
				}
				ready(1, "a map and a lease")
				e.SetMap(mapAt(2))
				e.SetLease(at.Add(time.Minute))
				ready(1, "the next of both")
			})
		})
	}
}

func TestRunAgainTellsEverythingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{fail: map[string]error{}, begin: time.Now()}
		e, err := engine.New(engine.Options{Plane: p, Paths: p, Links: p})
		if err != nil {
			t.Fatal(err)
		}
		e.SetTunnel(key.NewTunnel(), 0)
		e.SetMap(mapAt(1))
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- e.Run(ctx) }()
			synctest.Wait()
			if got := p.take(); len(got) < len(everything) {
				t.Errorf("told %v, want everything", got)
			}
			cancel()
			<-done
		}
	})
}

func TestOptionsAreNeeded(t *testing.T) {
	p := &parts{}
	for _, o := range []engine.Options{{}, {Paths: p, Links: p}, {Plane: p, Links: p}, {Plane: p, Paths: p}} {
		if _, err := engine.New(o); err == nil {
			t.Errorf("an engine was made of %+v", o)
		}
	}
}
