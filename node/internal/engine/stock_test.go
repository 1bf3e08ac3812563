package engine_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/engine"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/stock"
)

// fronting is a gateway's input with one stock peer in an approved route.
func fronting() *engine.Input {
	m := mapAt(1)
	m.Self.Name = "gw"
	b := m.Peers["n-b"]
	b.Routes, b.Prefixes = b.Routes[:1], nil
	m.Peers["n-b"] = b
	m.Self.Routes = []netip.Prefix{prefix("10.9.0.0/16"), prefix("10.99.0.0/24")}
	m.Self.Prefixes = []acl.PrefixClass{
		{Prefix: prefix("10.9.0.0/16"), Class: 4}, {Prefix: prefix("10.99.0.0/24"), Class: 5}, {Prefix: prefix("10.99.0.2/32"), Class: 6},
		{Prefix: prefix("10.99.0.7/32"), Class: 7}, {Prefix: prefix("100.64.0.1/32"), Class: 8},
	}
	k := key.NewTunnel()
	return &engine.Input{Map: m, TunnelKey: key.NewTunnel(), Stock: engine.Stock{
		Prefixes: []netip.Prefix{prefix("10.99.0.0/24")},
		Peers: []stock.Peer{{Name: "ct-3", Key: k.Public(), Allowed: []netip.Prefix{prefix("10.99.0.2/32"), prefix("10.99.0.64/28")},
			Endpoint: netip.MustParseAddrPort("192.0.2.7:51820"), Keepalive: 25 * time.Second}},
	}}
}

// A stock peer is a peer of the plane, with the classes that the map gives to its
// addresses; what else is kept for such peers leads nowhere.
func TestStockPeerIsAPeerOfThePlane(t *testing.T) {
	in := fronting()
	d := engine.Derive(in)
	peers := d.Plane.Peers
	if len(peers) != 3 {
		t.Fatalf("%d peers, want two nodes and the stock peer", len(peers))
	}
	p, given := peers[2], in.Stock.Peers[0]
	in.Stock.Heard = map[key.TunnelPublic]netip.AddrPort{given.Key: netip.MustParseAddrPort("192.0.2.8:1")}
	if moved := engine.Derive(in).Plane.Peers[2].Stock; moved.Heard != in.Stock.Heard[given.Key] || !moved.Same(p.Stock) || moved.At() != given.Endpoint {
		t.Errorf("last heard elsewhere: %+v", moved)
	}
	if p.ID != "stock:ct-3" || p.ID != engine.StockID(&given) || p.TunnelKey != given.Key || *p.Stock != (plane.Stock{Endpoint: given.Endpoint, Keepalive: given.Keepalive}) || p.Owner != 0 || p.Facts != nil {
		t.Errorf("the plane was told %+v", p)
	}
	if want := []acl.PrefixClass{{Prefix: prefix("10.99.0.2/32"), Class: 6}, {Prefix: prefix("10.99.0.64/28"), Class: 5}}; !slices.Equal(p.Prefixes, want) || !slices.Equal(p.Allowed, given.Allowed) {
		t.Errorf("it has %v and %v, want %v", p.Allowed, p.Prefixes, want)
	}
	want := []acl.PrefixClass{{Prefix: prefix("10.9.0.0/16"), Class: 4}, {Prefix: prefix("10.99.0.0/24")}, {Prefix: prefix("100.64.0.1/32"), Class: 8}}
	if got := d.Plane.Self.Prefixes; !slices.Equal(got, want) {
		t.Errorf("the node itself has %v, want %v", got, want)
	}
	if want := []netip.Prefix{prefix("10.1.0.0/16"), prefix("10.99.0.0/24"), prefix("100.64.0.0/10")}; !slices.Equal(d.Routes, want) {
		t.Errorf("routes %v, want %v", d.Routes, want)
	}
	if len(d.Paths) != 2 {
		t.Errorf("paths are sought to %v", d.Paths)
	}
}

// What is not this node's to give stays out, alone, and the reason names it; the
// plane can always be configured.
func TestStockPeerThatMayNotBeIsLeftOut(t *testing.T) {
	peer := func(m *wire.Map, change func(p *wire.PeerRecord)) {
		p := m.Peers["n-a"]
		change(&p)
		m.Peers["n-a"] = p
	}
	for name, c := range map[string]struct {
		change func(in *engine.Input)
		want   []string
	}{
		"no map":             {func(in *engine.Input) { in.Map = wire.Map{} }, []string{"map"}},
		"not approved":       {func(in *engine.Input) { in.Map.Self.Routes = in.Map.Self.Routes[:1] }, []string{"10.99.0.2/32", "cordonctl route approve gw"}},
		"partly approved":    {func(in *engine.Input) { in.Map.Self.Routes[1] = prefix("10.99.0.0/29") }, []string{"10.99.0.64/28", "approve"}},
		"in the mesh":        {func(in *engine.Input) { in.Map.Self.Ranges = []netip.Prefix{prefix("10.99.0.0/16")} }, []string{"10.99.0.0/16", "coordinator"}},
		"this machine's own": {func(in *engine.Input) { in.Local = []netip.Prefix{prefix("10.99.0.2/32")} }, []string{"10.99.0.2/32", "this machine"}},
		"a node's address": {func(in *engine.Input) {
			peer(&in.Map, func(p *wire.PeerRecord) { p.Addresses = append(p.Addresses, netip.MustParseAddr("10.99.0.2")) })
		}, []string{"node a", "10.99.0.2/32"}},
		"another's route": {func(in *engine.Input) {
			in.Map.Self.Routes[1] = prefix("10.99.0.0/16")
			in.Map.Self.Prefixes[1].Prefix = prefix("10.99.0.0/16")
			peer(&in.Map, func(p *wire.PeerRecord) { p.Routes = []netip.Prefix{prefix("10.99.0.0/24")} })
		}, []string{"node a", "10.99.0.0/24"}},
		"another's precise route": {func(in *engine.Input) {
			peer(&in.Map, func(p *wire.PeerRecord) { p.Routes = []netip.Prefix{prefix("10.99.0.72/29")} })
		}, []string{"node a", "10.99.0.72/29"}},
		"a node's key": {func(in *engine.Input) { in.Stock.Peers[0].Key = in.Map.Peers["n-a"].TunnelKey }, []string{"PublicKey", "node a"}},
		"our key":      {func(in *engine.Input) { in.Stock.Peers[0].Key = in.TunnelKey.Public() }, []string{"this node itself"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := fronting()
			k := key.NewTunnel()
			in.Stock.Peers = append(in.Stock.Peers, stock.Peer{Name: "good", Key: k.Public(), Allowed: []netip.Prefix{prefix("10.99.0.5/32")}})
			c.change(in)
			why := in.StockTrouble(&in.Stock.Peers[0])
			for _, w := range c.want {
				if !strings.Contains(why, w) {
					t.Errorf("%q does not say %q", why, w)
				}
			}
			d := engine.Derive(in)
			if slices.ContainsFunc(d.Plane.Peers, func(p plane.Peer) bool { return p.ID == "stock:ct-3" }) {
				t.Error("it was let in")
			}
			if err := d.Plane.Validate(); err != nil {
				t.Error(err)
			}
			parties := []filter.Party{}
			for _, p := range d.Plane.Peers {
				parties = append(parties, filter.Party{ID: p.ID, Prefixes: p.Prefixes, Fronted: p.Stock != nil})
			}
			if _, err := filter.Compile(filter.Config{Self: filter.Party{Prefixes: d.Plane.Self.Prefixes}, Peers: parties, Mesh: d.Plane.Mesh}); err != nil {
				t.Error(err)
			}
		})
	}
	in := fronting()
	peer(&in.Map, func(p *wire.PeerRecord) { p.Routes = []netip.Prefix{prefix("10.0.0.0/8")} })
	if why := in.StockTrouble(&in.Stock.Peers[0]); why != "" {
		t.Errorf("a wider route of another node: %q", why)
	}
}

// A changed file is carried out like a changed map.
func TestStockPeersAreCarriedOut(t *testing.T) {
	in := fronting()
	drive(t, func(t *testing.T, e *engine.Engine, p *parts) {
		e.SetTunnel(in.TunnelKey, 0)
		e.SetMap(in.Map)
	}, func(t *testing.T, e *engine.Engine, p *parts) {
		asked(t, p, everything...)
		e.SetStock(in.Stock)
		asked(t, p, "plane", "routes")
		if n := len(p.config.Peers); n != 3 {
			t.Errorf("%d peers, want 3", n)
		}
		if why := e.StockTrouble(&in.Stock.Peers[0]); why != "" {
			t.Error(why)
		}
		p.setFail("plane", errors.New("busy"))
		news := e.SetStock(engine.Stock{Prefixes: in.Stock.Prefixes})
		asked(t, p, "plane")
		if e.Enforces(news) {
			t.Error("enforced though the plane refused it")
		}
		p.setFail("plane", nil)
		time.Sleep(time.Minute)
		asked(t, p, "plane")
		if !e.Enforces(news) || e.Enforces(news+1) {
			t.Error("not known to be enforced, or more than that")
		}
		if n := len(p.config.Peers); n != 2 {
			t.Errorf("%d peers, want 2", n)
		}
	})
}
