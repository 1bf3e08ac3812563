package integration

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// Behind a NAT that maps by destination, but whose router opens ports to who asks,
// a peer behind such a NAT comes in directly, at the very port that was opened:
// there is no other way. The port is closed when the daemon ends.
func TestPortThatARouterOpenedIsAWayIn(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	closed := lab.Site{Name: "closed", NATs: []lab.NAT{lab.Symmetric()}}
	if lab.CanBeDirect(closed, closed) {
		t.Fatal("the NATs alone allow a direct way")
	}
	port := []string{"--port", fmt.Sprint(lab.TakenPort)}
	sites := []lab.Site{
		closed,
		{Name: "pcp", NATs: closed.NATs, Maps: lab.MapsByPCP, Args: port},
		{Name: "upnp", NATs: closed.NATs, Maps: lab.MapsByUPnP, Args: port},
	}
	m := lab.RaiseMeshWithRelay(t, lab.Build(t), false, sites...)
	for _, s := range sites[1:] {
		outer, inner := opened(t, m, s.Name)
		if want := netip.AddrPortFrom(m.Host(s.Name).Addr4(), lab.TakenPort); inner != want || outer.Port() == want.Port() {
			t.Errorf("%s: the router leads %s to %s, want another port to lead to %s", s.Name, outer, inner, want)
		}
		if got := m.Meet(closed.Name, s.Name, patience, patience); got.First < 0 || got.Path != local.PathDirect {
			t.Errorf("%s: the first answer came after %s, by %q: want a direct way", s.Name, got.First, got.Path)
		}
		m.Nodes[closed.Name].Wait("the way to "+s.Name+" leads to the port that was opened", func(st *local.Status) bool {
			p, ok := lab.FindPeer(st, s.Name)
			return ok && p.Endpoint == outer.String()
		})
	}
	for _, s := range sites[1:] {
		if err := m.Nodes[s.Name].Process.Stop(patience); err != nil {
			t.Error(err)
		}
		if left := m.Host(s.Name + "-r").OpenedPorts(); len(left) > 0 {
			t.Errorf("%s: the daemon is gone, and the router leads still %v", s.Name, left)
		}
	}
}

// opened waits until a site's router lets one port in, and gives that port and where it leads. A
// router that was too slow to answer is asked again after half a minute.
func opened(t *testing.T, m *lab.Mesh, name string) (outer, inner netip.AddrPort) {
	t.Helper()
	lab.Eventually(t, 2*patience, name+"'s router opens a port", func() (bool, string) {
		ports := m.Host(name + "-r").OpenedPorts()
		for outer, inner = range ports {
		}
		return len(ports) == 1, fmt.Sprint(ports)
	})
	return outer, inner
}
