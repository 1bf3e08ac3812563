package integration

import (
	"testing"

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
