package node_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/node"
)

// Every refusal names the key, the value, and what is allowed.
func TestValidateNamesKeyValueAndWhatIsAllowed(t *testing.T) {
	ok := node.Config{StateDir: "x"}
	rootless := node.Config{StateDir: "x", Userspace: true}
	for _, c := range []*node.Config{&ok, &rootless} {
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	stock := node.Config{StateDir: "x", StockPeers: "f", StockPrefixes: prefixes("10.99.0.0/24")}
	if err := stock.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		base   node.Config
		change func(c *node.Config)
		want   []string
	}{
		{ok, func(c *node.Config) { c.StateDir = "" }, []string{"state", "a directory"}},
		{ok, func(c *node.Config) { c.MTU = 1279 }, []string{"mtu", "1279", "1280 to 9000"}},
		{ok, func(c *node.Config) { c.MTU = 9001 }, []string{"mtu", "9001", "1280 to 9000"}},
		{ok, func(c *node.Config) { c.MTU = -1 }, []string{"mtu", "-1", "1280 to 9000"}},
		{ok, func(c *node.Config) { c.Interface = strings.Repeat("c", 16) }, []string{"interface", "cccc", "15 characters"}},
		{ok, func(c *node.Config) { c.Interface = "a/b" }, []string{"interface", "a/b", "slashes"}},
		{ok, func(c *node.Config) { c.Advertise = prefixes("10.1.2.3/24") }, []string{"advertise", "10.1.2.3/24", "host bits"}},
		{ok, func(c *node.Config) { c.Advertise = prefixes("0.0.0.0/0") }, []string{"advertise", "0.0.0.0/0", "everything"}},
		{ok, func(c *node.Config) { c.Advertise = prefixes("::/0") }, []string{"advertise", "::/0", "everything"}},
		{ok, func(c *node.Config) { c.Advertise = prefixes("127.0.0.0/8") }, []string{"advertise", "127.0.0.0/8", "loopback"}},
		{ok, func(c *node.Config) { c.Advertise = prefixes("224.0.0.0/4") }, []string{"advertise", "224.0.0.0/4", "multicast"}},
		{ok, func(c *node.Config) { c.Advertise = prefixes("fe80::/64") }, []string{"advertise", "fe80::/64", "link-local"}},
		{ok, func(c *node.Config) { c.Advertise = prefixes("10.0.0.0/8", "10.0.0.0/8") }, []string{"advertise", "10.0.0.0/8", "once"}},
		{rootless, func(c *node.Config) { c.Advertise = prefixes("10.0.0.0/8") }, []string{"advertise", "--userspace"}},
		{ok, func(c *node.Config) { c.StockPeers = "f" }, []string{"stock-peers", "--stock-prefix"}},
		{ok, func(c *node.Config) { c.StockPrefixes = prefixes("10.99.0.0/24") }, []string{"stock-prefix", "--stock-peers"}},
		{stock, func(c *node.Config) { c.Only443 = true }, []string{"stock-peers", "--only-443"}},
		{stock, func(c *node.Config) { c.StockPrefixes = prefixes("10.99.0.1/24") }, []string{"stock-prefix", "10.99.0.1/24", "host bits"}},
		{stock, func(c *node.Config) { c.StockPrefixes = prefixes("0.0.0.0/0") }, []string{"stock-prefix", "0.0.0.0/0", "everything"}},
		{stock, func(c *node.Config) { c.StockPrefixes = prefixes("10.99.0.0/24", "10.99.0.0/28") }, []string{"stock-prefix", "10.99.0.0/28", "overlaps"}},
		{stock, func(c *node.Config) { c.Advertise = prefixes("10.0.0.0/8") }, []string{"stock-prefix", "10.99.0.0/24", "--advertise"}},
		{ok, func(c *node.Config) { c.SOCKS5 = "127.0.0.1:1080" }, []string{"socks5", "--userspace"}},
		{ok, func(c *node.Config) { c.HTTPProxy = "127.0.0.1:3128" }, []string{"http-proxy", "--userspace"}},
		{ok, func(c *node.Config) { c.Names.Mode = "resolvconf" }, []string{"dns", "resolvconf", "off, auto, resolved, file or serve"}},
		{rootless, func(c *node.Config) { c.Names.Mode = "auto" }, []string{"dns", "TUN", "--userspace"}},
		{ok, func(c *node.Config) { c.Names.Routes = make([]node.NameRoute, 1) }, []string{"dns-route", "--dns"}},
		{ok, func(c *node.Config) { c.Names = node.Names{Mode: "file", Routes: make([]node.NameRoute, 2)} }, []string{"dns-route", "twice"}},
		{ok, func(c *node.Config) { c.Endpoints = []netip.AddrPort{netip.MustParseAddrPort("203.0.113.7:0")} }, []string{"endpoint", "203.0.113.7:0", "port"}},
		{ok, func(c *node.Config) { c.Endpoints = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:7")} }, []string{"endpoint", "0.0.0.0:7", "host"}},
		{ok, func(c *node.Config) { c.Endpoints = make([]netip.AddrPort, 9) }, []string{"endpoint", "9", "at most 8"}},
		{rootless, func(c *node.Config) { c.SOCKS5 = ":1080" }, []string{"socks5", ":1080", "loopback"}},
		{rootless, func(c *node.Config) { c.SOCKS5 = "0.0.0.0:1080" }, []string{"socks5", "0.0.0.0:1080", "loopback"}},
		{rootless, func(c *node.Config) { c.HTTPProxy = "0.0.0.0:3128" }, []string{"http-proxy", "0.0.0.0:3128", "loopback"}},
		{rootless, func(c *node.Config) { c.SOCKS5 = "127.0.0.1" }, []string{"socks5", "127.0.0.1", "port"}},
		{rootless, func(c *node.Config) { c.Forwards = []node.Forward{{Listen: "10.0.0.1:1", Target: "ehr:1"}} }, []string{"forward", "10.0.0.1:1", "loopback"}},
		{rootless, func(c *node.Config) { c.Forwards = []node.Forward{{Listen: "[::1]:1", Target: "ehr"}} }, []string{"forward", "ehr", "ehr:443"}},
		{rootless, func(c *node.Config) { c.Exposes = []node.Expose{{Port: 0, Target: "127.0.0.1:1"}} }, []string{"expose", "0", "1 to 65535"}},
		{rootless, func(c *node.Config) {
			c.Exposes = []node.Expose{{Port: 1, Target: "127.0.0.1:1"}, {Port: 1, Target: "127.0.0.1:2"}}
		}, []string{"expose", "1", "once"}},
		{rootless, func(c *node.Config) { c.Exposes = []node.Expose{{Port: 1, Target: "nowhere"}} }, []string{"expose", "nowhere", "127.0.0.1:8080"}},
	} {
		c := tt.base
		tt.change(&c)
		err := c.Validate()
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in: %v", want, err)
			}
		}
	}
}

func TestParsesDoors(t *testing.T) {
	if f, err := node.ParseForward("8443=ehr:443"); err != nil || f != (node.Forward{Listen: "127.0.0.1:8443", Target: "ehr:443"}) {
		t.Error(f, err)
	}
	if f, err := node.ParseForward("[::1]:8443=100.64.0.7:443"); err != nil || f.Listen != "[::1]:8443" {
		t.Error(f, err)
	}
	if r, err := node.ParseNameRoute("hospital.example=10.0.0.53"); err != nil || r.Servers[0].String() != "10.0.0.53:53" {
		t.Error(r, err)
	}
	if _, err := node.ParseNameRoute("hospital.example"); err == nil || !strings.Contains(err.Error(), "dns-route") || !strings.Contains(err.Error(), "DOMAIN=SERVER") {
		t.Error(err)
	}
	if e, err := node.ParseExpose("443=8443"); err != nil || e != (node.Expose{Port: 443, Target: "127.0.0.1:8443"}) {
		t.Error(e, err)
	}
	for _, bad := range []string{"", "8443", "8443=", "=ehr:443"} {
		f, err := node.ParseForward(bad)
		if err == nil {
			c := node.Config{StateDir: "x", Userspace: true, Forwards: []node.Forward{f}}
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), "forward") {
			t.Errorf("forward %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "443", "0=127.0.0.1:1", "65536=127.0.0.1:1", "x=127.0.0.1:1"} {
		if _, err := node.ParseExpose(bad); err == nil || !strings.Contains(err.Error(), "PORT=TARGET") {
			t.Errorf("expose %q: %v", bad, err)
		}
	}
}
