package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// Two nodes meet wherever they are, and without a relay where their networks
// allow it. All pairs of kinds, with how long each may take, are `make lab-nat`.
func TestNodesMeetThroughNATsAndWalls(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	pairs := []struct{ a, b, path string }{
		{"home", "double", local.PathDirect},
		{"dual-stack", "ipv6-only", local.PathDirect},
		{"home", "symmetric", local.PathRelay},
		{"home", "phone", local.PathDirect},
		{"tcp-443", "proxy", local.PathRelay},
		{"ipv6-only", "proxy", local.PathRelay},
	}
	var sites []lab.Site
	have := map[string]bool{}
	for _, p := range pairs {
		for _, name := range []string{p.a, p.b} {
			s, ok := lab.FindSite(name)
			if !ok {
				t.Fatalf("no kind of site is called %s", name)
			}
			if !have[name] {
				have[name], sites = true, append(sites, s)
			}
		}
	}
	m := lab.RaiseMesh(t, lab.Build(t), sites...)
	inClear := m.CaptureUnderlay(lab.Containing(lab.Marker))
	for _, p := range pairs {
		t.Run(p.a+" and "+p.b, func(t *testing.T) {
			upgrade := quiet
			if p.path == local.PathDirect {
				upgrade = patience
			}
			if got := m.Meet(p.a, p.b, patience, upgrade); got.First < 0 || got.Path != p.path {
				t.Errorf("the first answer came after %s, by %q: want %q", got.First, got.Path, p.path)
			}
		})
	}
	nothingInClear(t, inClear)
	// The phone's own address is of the mesh's range, which it says.
	st, err := m.Nodes["phone"].Status()
	if err != nil || !strings.Contains(strings.Join(st.Warnings, "\n"), "overlaps 100.64.200.0/24") {
		t.Errorf("the phone says %q, %v", st.Warnings, err)
	}
}

// Two nodes in one LAN meet there, neither by their router's outer address nor at
// the relay. A LAN that lets out TCP 443 alone is a LAN all the same.
func TestNeighboursMeetOnTheirLAN(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	sites := []lab.Site{
		{Name: "ward", NATs: []lab.NAT{lab.HomeRouter()}, Nodes: 2},
		{Name: "closed", NATs: []lab.NAT{lab.HomeRouter()}, Wall: lab.TCP443Only, Nodes: 2},
	}
	m := lab.RaiseMesh(t, lab.Build(t), sites...)
	for _, s := range sites {
		names := s.NodeNames()
		if got := m.MeetInside(names[0], names[1], patience, patience); !got.Local {
			t.Errorf("%s: the first answer came after %s, by %q, at last %+v: want the LAN", s.Name, got.First, got.Path, got)
		}
	}
}

// On links that lose, delay and reorder, both ways, nodes meet as well, directly
// or at the relay.
func TestNodesMeetOverBadLinks(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	var sites []lab.Site
	for _, name := range []string{"home", "port-range", "no-udp"} {
		s, ok := lab.FindSite(name)
		if !ok {
			t.Fatalf("no kind of site is called %s", name)
		}
		sites = append(sites, s)
	}
	m := lab.RaiseMesh(t, lab.Build(t), sites...)
	bad := lab.Impairment{Seed: 11, Loss: 0.1, Delay: 20 * time.Millisecond, Jitter: 20 * time.Millisecond}
	links := []*lab.Impaired{m.Host("home-r").Impair("eth0", bad), m.Host("home-r").Impair("eth1", bad)}
	for peer, want := range map[string]string{"port-range": local.PathDirect, "no-udp": local.PathRelay} {
		upgrade := quiet
		if want == local.PathDirect {
			upgrade = patience
		}
		if got := m.Meet("home", peer, patience, upgrade); got.First < 40*time.Millisecond || got.Path != want {
			t.Errorf("home and %s: the first answer came after %s, by %q: want two delays at least, and %q", peer, got.First, got.Path, want)
		}
	}
	for i, l := range links {
		if passed, lost := l.Counts(); passed == 0 || lost == 0 {
			t.Errorf("eth%d of the router: %d packets passed, %d were lost", i, passed, lost)
		}
	}
}

// nothingInClear ends captures, and fails the test if they have anything.
func nothingInClear(t *testing.T, captures []*lab.Capture) {
	t.Helper()
	for _, c := range captures {
		if packets, err := c.Stop(); err != nil || len(packets) > 0 {
			t.Errorf("%d packets on %s that must not be there (%v)", len(packets), c.Where(), err)
		}
	}
}
