package integration

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// Peers that need a relay meet at one that stands elsewhere than the coordinator.
func TestPeersMeetAtARelayApart(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	m := lab.RaiseMeshWithRelay(t, lab.Build(t), true, sitesNamed(t, "home", "symmetric", "tcp-443")...)
	for _, p := range [][2]string{{"home", "symmetric"}, {"symmetric", "tcp-443"}} {
		if got := m.Meet(p[0], p[1], patience, quiet); got.First < 0 || got.Path != local.PathRelay {
			t.Errorf("%v: the first answer came after %s, by %q: want the relay", p, got.First, got.Path)
		}
		for i, node := range p {
			st, err := m.Nodes[node].Status()
			if err != nil {
				t.Fatal(err)
			}
			if peer, _ := lab.FindPeer(st, p[1-i]); peer.Relay != lab.MarkName {
				t.Errorf("%s reaches %s through the relay %q, want the one at %s", node, p[1-i], peer.Relay, lab.MarkName)
			}
		}
	}
}

// A relay serves while the coordinator is down, also nodes that start meanwhile:
// they show the ticket that they kept. Who loses its relay goes on at another.
func TestTrafficGoesOnAtTheRelayThatIsLeft_F33(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	m := lab.RaiseMeshWithRelay(t, lab.Build(t), false, sitesNamed(t, "home", "symmetric")...)
	m.Introduce(lab.Pair{A: "home", B: "symmetric"})
	home, peer := m.Nodes["home"], m.Nodes["symmetric"]
	talk := startChatter(t, home.Host, netip.AddrPortFrom(peer.Mesh4(), lab.MeetPort))
	talk.answered(t, "at the start")
	movesTo := func(relay string, within time.Duration) {
		t.Helper()
		began := time.Now()
		for _, d := range m.Nodes {
			d.Wait("its home is "+relay, func(s *local.Status) bool {
				return slices.ContainsFunc(s.Relays, func(r local.Relay) bool { return r.Name == relay && r.Home && r.Connected })
			})
		}
		talk.answered(t, "by "+relay)
		took := time.Since(began)
		st, err := home.Status()
		if err != nil {
			t.Fatal(err)
		}
		p, _ := lab.FindPeer(st, "symmetric")
		t.Logf("%s is home after %s", relay, took)
		if p.Path != local.PathRelay || p.Relay != relay || took > within {
			t.Errorf("after %s symmetric is reached so: %+v; want through %s, within %s", took, p, relay, within)
		}
	}
	m.Coordinator.Process.Kill()
	movesTo(lab.MarkName, 10*time.Second)
	for _, d := range m.Nodes {
		d.Process.Kill()
	}
	for _, d := range m.Nodes {
		d.Start()
	}
	movesTo(lab.MarkName, 10*time.Second)
	m.Coordinator.Start()
	for _, d := range m.Nodes {
		d.Wait("is told of its relays", func(s *local.Status) bool { return s.Coordinator.Connected })
	}
	m.Relay.Process.Kill()
	movesTo("coordinator", 10*time.Second)
}

// Where two addresses see each node, the kind of its NAT is known, and said.
func TestTwoServersTellTheKindOfNAT(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	m := lab.RaiseMeshWithRelay(t, lab.Build(t), false, sitesNamed(t, "home", "symmetric")...)
	for node, want := range map[string]string{"home": "endpoint-independent", "symmetric": "maps anew for each destination"} {
		lab.Eventually(t, patience, node+" knows the kind of its NAT", func() (bool, string) {
			f := finding(t, m.Nodes[node], "NAT")
			return strings.Contains(f.Text, want), f.Text
		})
	}
}

// sitesNamed gives kinds of networks by their names.
func sitesNamed(t *testing.T, names ...string) (sites []lab.Site) {
	t.Helper()
	for _, name := range names {
		s, ok := lab.FindSite(name)
		if !ok {
			t.Fatalf("no kind of site is called %s", name)
		}
		sites = append(sites, s)
	}
	return sites
}

// findings are the help desk's page of a node.
func findings(t *testing.T, d *lab.Daemon) []local.Finding {
	t.Helper()
	text, err := d.TryCLI("", "netcheck", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var page local.NetcheckResponse
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatal(err)
	}
	return page.Findings
}

// finding is what that page says about a topic.
func finding(t *testing.T, d *lab.Daemon, topic string) local.Finding {
	t.Helper()
	page := findings(t, d)
	for _, f := range page {
		if f.Topic == topic {
			return f
		}
	}
	t.Fatalf("netcheck says nothing about %q: %+v", topic, page)
	return local.Finding{}
}
