package plane_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

func TestValidate(t *testing.T) {
	public := func() key.TunnelPublic { k := key.NewTunnel(); return k.Public() }
	one := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	peer := func(change func(*plane.Peer)) plane.Config {
		p := plane.Peer{ID: "n-b", TunnelKey: public(), Allowed: one}
		q := plane.Peer{ID: "n-c", TunnelKey: public(), Allowed: []netip.Prefix{netip.MustParsePrefix("fd00::/48")}}
		change(&p)
		return plane.Config{TunnelKey: key.NewTunnel(), Peers: []plane.Peer{q, p}}
	}
	same := public()
	twin := peer(func(p *plane.Peer) { p.TunnelKey = same })
	twin.Peers[0].TunnelKey = same
	for name, c := range map[string]struct {
		cfg  plane.Config
		good bool
	}{
		"good":               {peer(func(*plane.Peer) {}), true},
		"no key":             {plane.Config{}, false},
		"no id":              {peer(func(p *plane.Peer) { p.ID = "" }), false},
		"an id of two lines": {peer(func(p *plane.Peer) { p.ID = "n-b\nx=y" }), false},
		"a long id":          {peer(func(p *plane.Peer) { p.ID = strings.Repeat("x", 129) }), false},
		"an id with accents": {peer(func(p *plane.Peer) { p.ID = "n-é" }), false},
		"one id twice":       {peer(func(p *plane.Peer) { p.ID = "n-c" }), false},
		"no tunnel key":      {peer(func(p *plane.Peer) { p.TunnelKey = key.TunnelPublic{} }), false},
		"one key twice":      {twin, false},
		"one prefix twice":   {peer(func(p *plane.Peer) { p.Allowed = append(one, one...) }), false},
		"no prefix":          {peer(func(p *plane.Peer) { p.Allowed = []netip.Prefix{{}} }), false},
		"host bits":          {peer(func(p *plane.Peer) { p.Allowed = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")} }), false},
		"IPv4 in IPv6":       {peer(func(p *plane.Peer) { p.Allowed = []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/120")} }), false},
	} {
		if err := c.cfg.Validate(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
