package osnet_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// A network is on site only if the gateway's own probes say so.
func TestOnSiteIsWhatTheGatewayProves_A34(t *testing.T) {
	at := func(texts ...string) (list []osnet.Attached) {
		for i, p := range prefixes(texts...) {
			name := "eth0"
			if i == len(texts)-1 && i > 1 {
				name = "eth1"
			}
			list = append(list, osnet.Attached{Interface: name, Prefix: p})
		}
		return list
	}
	here := at("10.88.0.9/24", "fd88::9/64", "172.16.5.9/24")
	for name, c := range map[string]struct {
		routes           []netip.Prefix
		endpoint, mapped string
		want             []netip.Prefix
	}{
		"it saw us on its link":                   {prefixes("10.88.0.0/24"), "10.88.0.1", "10.88.0.9", prefixes("10.88.0.0/24")},
		"one family proves both":                  {prefixes("10.88.0.0/24", "fd88::/64"), "fd88::1", "fd88::9", prefixes("10.88.0.0/24", "fd88::/64")},
		"of a wider route the network":            {prefixes("10.0.0.0/8"), "10.88.0.1", "10.88.0.9", prefixes("10.88.0.0/24")},
		"of a wider network the route":            {prefixes("10.88.0.128/25"), "10.88.0.1", "10.88.0.9", prefixes("10.88.0.128/25")},
		"a hotspot with the hospital's addresses": {prefixes("10.88.0.0/24"), "203.0.113.9", "198.51.100.4", nil},
		"a hotspot that forwards to the gateway":  {prefixes("10.88.0.0/24"), "10.88.0.1", "198.51.100.4", nil},
		"a router in between":                     {prefixes("10.88.0.0/24"), "10.77.0.3", "10.88.0.9", nil},
		"no answer":                               {prefixes("10.88.0.0/24"), "", "", nil},
		"another link":                            {prefixes("172.16.5.0/24"), "10.88.0.1", "10.88.0.9", nil},
		"the mesh itself":                         {prefixes("fd88::/64", "10.88.0.0/24"), "10.88.0.1", "10.88.0.9", prefixes("10.88.0.0/24")},
	} {
		var ranges []netip.Prefix
		if name == "the mesh itself" {
			ranges = prefixes("fd88::/48")
		}
		g := osnet.Gateway{Routes: c.routes}
		// The path leads over another link, and tells nothing.
		for _, s := range [][2]string{{"172.16.5.1", "172.16.5.8"}, {c.endpoint, c.mapped}} {
			endpoint, _ := netip.ParseAddr(s[0])
			mapped, _ := netip.ParseAddr(s[1])
			g.Sights = append(g.Sights, osnet.Sight{Endpoint: endpoint, Mapped: mapped})
		}
		if got := osnet.OnSite(here, []osnet.Gateway{g}, ranges); !slices.Equal(got, c.want) {
			t.Errorf("%s: direct is %v, want %v", name, got, c.want)
		}
		if !g.Overlapping(here) {
			t.Errorf("%s: %v overlaps nothing", name, c.routes)
		}
	}
	if g := (osnet.Gateway{Routes: prefixes("10.99.0.0/24")}); g.Overlapping(here) {
		t.Error("a network elsewhere overlaps")
	}
}
