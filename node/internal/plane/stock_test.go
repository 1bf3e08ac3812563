package plane_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

func TestStockPeerIsValidated(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		stock plane.Stock
		want  string
	}{
		{plane.Stock{}, ""},
		{plane.Stock{Endpoint: at("192.0.2.7:51820"), Keepalive: 25 * time.Second, Heard: at("[2001:db8::7]:1")}, ""},
		{plane.Stock{Endpoint: at("192.0.2.7:0")}, "192.0.2.7:0"},
		{plane.Stock{Heard: at("[::ffff:192.0.2.7]:1")}, "192.0.2.7"},
		{plane.Stock{Endpoint: at("[fe80::1%eth0]:1")}, "fe80::1%eth0"},
		{plane.Stock{Keepalive: 1500 * time.Millisecond}, "1.5s"},
		{plane.Stock{Keepalive: -time.Second}, "-1s"},
		{plane.Stock{Keepalive: 65536 * time.Second}, "65535"},
	} {
		own, peer := key.NewTunnel(), key.NewTunnel()
		cfg := plane.Config{TunnelKey: own, Peers: []plane.Peer{{ID: "stock:ct-3", TunnelKey: peer.Public(), Stock: &c.stock}}}
		if err := cfg.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.stock, err, c.want)
		}
	}
}

// Where a peer was heard is of no matter to one that is there.
func TestStockPeerThatMovedIsTheSame(t *testing.T) {
	at := netip.MustParseAddrPort
	a, b := &plane.Stock{Heard: at("192.0.2.7:1")}, &plane.Stock{Heard: at("192.0.2.8:1")}
	var none *plane.Stock
	if !a.Same(b) || !none.Same(nil) || none.Same(a) || a.Same(nil) || a.Same(&plane.Stock{Endpoint: at("192.0.2.7:1")}) || a.Same(&plane.Stock{Keepalive: time.Second}) {
		t.Error("what is the same is not, or the reverse")
	}
	if a.At() != a.Heard || (&plane.Stock{Endpoint: at("192.0.2.9:1"), Heard: a.Heard}).At() != at("192.0.2.9:1") {
		t.Error("it is looked for elsewhere than said")
	}
}
