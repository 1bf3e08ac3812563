package integration

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

const relayedPolicy = `{"tagOwners": {"tag:desk": [], "tag:ehr": []},
	"grants": [{"src": ["tag:desk"], "dst": ["tag:ehr"], "ip": ["*"]}]}`

// raiseApart makes a mesh of two machines between whom nothing passes, and of a
// coordinator that both reach.
func raiseApart(t *testing.T) *scene {
	top := lab.Segment("hub", "desk", "ehr")
	top.Machines[1].NFT = lab.CutScript(netip.MustParseAddr("10.77.0.3"), netip.MustParseAddr("fd77::3"))
	return raiseOn(t, top, relayedPolicy, member{name: "desk", owner: "tag:desk"}, member{name: "ehr", owner: "tag:ehr"})
}

// reached waits until a node's path to a peer is of a kind.
func (s *scene) reached(from, peer, kind string) local.Peer {
	s.t.Helper()
	var p local.Peer
	s.nodes[from].Wait(peer+" is reached: "+kind, func(st *local.Status) bool {
		var ok bool
		p, ok = lab.FindPeer(st, peer)
		return ok && p.Path == kind
	})
	return p
}

func TestPeersBetweenWhomNothingPassesMeetAtTheCoordinatorsRelay(t *testing.T) {
	s := raiseApart(t)
	if s == nil {
		return
	}
	desk, ehr := s.nodes["desk"], s.nodes["ehr"]
	for _, to := range []netip.Addr{ehr.Mesh4(), ehr.Mesh6()} {
		s.answered("desk", to)
	}
	if p := s.reached("desk", "ehr", local.PathRelay); p.Relay != "coordinator" || p.Endpoint != "" || p.RTT <= 0 || p.Why == "" {
		t.Errorf("desk reaches ehr so: %+v", p)
	}
	st, err := desk.Status()
	if err != nil || len(st.Relays) != 1 || !st.Relays[0].Home || !st.Relays[0].Connected || st.Relays[0].RTT == 0 {
		t.Fatalf("relays in desk's status: %+v, %v", st.Relays, err)
	}
	d := startDownload(t, s.Host("ehr"), netip.AddrPortFrom(ehr.Mesh4(), 9000), s.Host("desk"))
	grows(t, d)
	s.Host("desk").Cut()
	if p := s.reached("desk", "ehr", local.PathDirect); p.Relay != "" || p.Why != "" {
		t.Errorf("desk reaches ehr so: %+v", p)
	}
	grows(t, d)
	s.Host("desk").Cut(s.Host("ehr").Addr4(), s.Host("ehr").Addr6())
	s.reached("desk", "ehr", local.PathRelay)
	grows(t, d)
}

// grows waits until more of a download is right than is.
func grows(t *testing.T, d *download) {
	t.Helper()
	have := d.right.Load()
	lab.Eventually(t, patience, "the download goes on", func() (bool, string) {
		select {
		case <-d.end:
			t.Fatal("the download ended: ", d.err)
		default:
		}
		return d.right.Load() > have+64<<10, ""
	})
}

func TestOnly443SendsNothingByUDP(t *testing.T) {
	s := raiseOn(t, lab.Segment("hub", "desk", "ehr"), relayedPolicy,
		member{name: "desk", owner: "tag:desk", args: []string{"--only-443"}}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	desk := s.Host("desk")
	sent := desk.Capture("eth0", lab.UDPFrom(desk.Addr4(), desk.Addr6()))
	s.answered("desk", s.nodes["ehr"].Mesh4())
	s.reached("desk", "ehr", local.PathRelay)
	s.reached("ehr", "desk", local.PathRelay)
	time.Sleep(quiet)
	if n := sent.Count(); n != 0 {
		t.Errorf("%d datagrams left by UDP", n)
	}
}

// Where a wall lets no UDP out, the help desk's page says so, and what to do.
func TestNetcheckNamesWhatIsBlocked(t *testing.T) {
	top := lab.Segment("hub", "desk", "ehr")
	top.Machines[1].NFT = "table inet wall { chain out { type filter hook output priority 0; policy accept; oifname eth0 meta l4proto udp drop\n}\n}\n"
	s := raiseOn(t, top, relayedPolicy, member{name: "desk", owner: "tag:desk"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	s.answered("desk", s.nodes["ehr"].Mesh4())
	s.reached("desk", "ehr", local.PathRelay)
	for name, want := range map[string]local.FindingState{"desk": local.FindingLimited, "ehr": local.FindingOK} {
		text, err := s.nodes[name].TryCLI("", "netcheck", "--json")
		if err != nil {
			t.Fatal(err)
		}
		var page local.NetcheckResponse
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(err)
		}
		seen := map[string]local.Finding{}
		for _, f := range page.Findings {
			seen[f.Topic] = f
		}
		if f := seen["UDP over IPv4"]; f.State != want || (f.Advice == "") != (want == local.FindingOK) {
			t.Errorf("%s: %+v", name, f)
		}
		for _, topic := range []string{"names", "coordinator", "clock", "relay coordinator"} {
			if f := seen[topic]; f.State != local.FindingOK {
				t.Errorf("%s, %s: %+v", name, topic, f)
			}
		}
	}
}
