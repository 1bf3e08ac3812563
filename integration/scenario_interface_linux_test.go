package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// word stands in what only the tunnel may carry.
const word = "a patient's record, for the ward alone"

// office is a segment with a router to the rest of the world. Only where there
// is a default route can something leave by it that should not.
func office() lab.Topology {
	top := lab.Segment("hub", "isp", "ward", "ehr")
	for i, m := range top.Machines {
		if m.Name == "ward" || m.Name == "ehr" {
			top.Machines[i].Routes = []lab.Route{{To: "default", Via: "10.77.0.2"}, {To: "default", Via: "fd77::2"}}
		}
	}
	return top
}

// mumble says the word to an address all the time, whatever comes back.
func (s *scene) mumble(t *testing.T, from string, to netip.AddrPort) {
	t.Helper()
	conn, err := s.Host(from).Dial(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pace(ctx) {
			conn.Write([]byte(word))
		}
	}()
	t.Cleanup(func() { cancel(); conn.Close(); <-done })
}

// vandal is something that another program, or a person, does to a machine's network.
type vandal struct {
	name, script string
	// gap: for as long as the daemon needs to notice, the kernel knows of no mesh,
	// and what programs send may leave by the default route. Nothing that a routing
	// table can hold prevents that; what is judged is that it ends.
	gap bool
}

// vandals act on the daemon's interface, and on all that leads into it.
func vandals() []vandal {
	const both = "for f in -4 -6; do %s || exit 1; done"
	return []vandal{
		{"deletes the interface", "ip link del cordon0", false},
		{"sets the interface down", "ip link set cordon0 down", false},
		{"takes its addresses", "ip addr flush dev cordon0", false},
		{"takes one address", "ip -4 addr flush dev cordon0", false},
		{"renames the interface", "ip link set cordon0 down && ip link set cordon0 name eth7 && ip link set eth7 up && sleep 0.2 && ip link set eth7 down && ip link set eth7 name cordon0 && ip link set cordon0 up", false},
		{"takes its routes", "table=$(ip rule | sed -n 's/^5270:.*lookup //p'); " + fmt.Sprintf(both, "ip $f route flush table $table dev cordon0"), false},
		{"takes the whole table", "table=$(ip rule | sed -n 's/^5270:.*lookup //p'); " + fmt.Sprintf(both, "ip $f route flush table $table"), true},
		{"takes the rules", fmt.Sprintf(both, "ip $f rule del pref 5270"), true},
		{"puts a rule in front", fmt.Sprintf(both, "ip $f rule add pref 9000 lookup main"), false},
	}
}

// talk has ward take a download from each of ehr's addresses, and send to each what
// must leave in the tunnel alone.
func (s *scene) talk(t *testing.T) (at []netip.AddrPort, streams []*download) {
	t.Helper()
	at = s.at("ehr", 443)
	s.answered("ward", at[0].Addr())
	for _, a := range at {
		streams = append(streams, startDownload(t, s.Host("ehr"), a, s.Host("ward")))
	}
	for _, a := range at {
		s.mumble(t, "ward", netip.AddrPortFrom(a.Addr(), 5000))
	}
	return at, streams
}

// F49, F50: whatever another program does to the interface, the routes or the
// rules, the daemon mends it by itself, connections go on where they were, and
// nothing that was meant for the tunnel leaves in clear, though the machine has
// a default route by which it could.
func TestVandalisedNetworkMendsItselfAndLeaksNothing_F49_F50(t *testing.T) {
	s := raiseOn(t, office(), clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	at, streams := s.talk(t)
	goOn := func(t *testing.T) {
		t.Helper()
		for i, d := range streams {
			t.Logf("%s: goes on %s later", family(at[i].Addr()), d.goesOn(t, "the stream goes on").Round(time.Millisecond))
		}
	}
	mesh := []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.PrefixFrom(at[1].Addr(), 48).Masked()}
	goOn(t)
	for _, v := range vandals() {
		t.Run(v.name, func(t *testing.T) {
			inClear := s.Host("ward").Capture("eth0", leaks(mesh))
			s.Host("ward").MustRun("sh", "-c", v.script)
			goOn(t)
			s.settle()
			if n := inClear.Count(); n > 0 && v.gap {
				t.Logf("%d packets left in clear before the daemon had mended it", n)
				after := s.Host("ward").Capture("eth0", leaks(mesh))
				goOn(t)
				inClear = after
			}
			if packets, err := inClear.Stop(); err != nil || len(packets) > 0 {
				t.Errorf("%d packets left in clear (%v), the first % x", len(packets), err, packets[:min(1, len(packets))])
			}
		})
	}
	t.Run("killed for good", func(t *testing.T) {
		inClear := s.Host("ward").Capture("eth0", leaks(mesh))
		s.nodes["ward"].Process.Kill()
		select { // while programs go on sending, and nobody is there to stop them
		case <-time.After(quiet):
		case <-t.Context().Done():
		}
		if packets, err := inClear.Stop(); err != nil || len(packets) > 0 {
			t.Errorf("%d packets left in clear after the daemon was killed (%v)", len(packets), err)
		}
		s.nodes["ward"].Start()
		goOn(t)
	})
	s.seesLeaks(t, mesh)
}

// leaks wants what may never be on the wire in clear.
func leaks(mesh []netip.Prefix) func([]byte) bool {
	touching := lab.Touching(mesh...)
	return func(p []byte) bool { return touching(p) || bytes.Contains(p, []byte(word)) }
}

// seesLeaks shows that the captures would have seen what they did not: when the
// node is taken down the mesh's addresses are like any other, and go to the
// default route.
func (s *scene) seesLeaks(t *testing.T, mesh []netip.Prefix) {
	t.Helper()
	inClear := s.Host("ward").Capture("eth0", leaks(mesh))
	if out, err := s.nodes["ward"].TryCLI("", "down"); err != nil {
		t.Fatalf("cordon down: %v %s", err, out)
	}
	lab.Eventually(t, patience, "the capture sees what leaves in clear", func() (bool, string) {
		return inClear.Count() > 0, "it sees nothing"
	})
	inClear.Stop()
	if out, err := s.nodes["ward"].TryCLI("", "up"); err != nil {
		t.Fatalf("cordon up: %v %s", err, out)
	}
	s.nodes["ward"].Wait("is up again", func(st *local.Status) bool { return st.State == local.StateRunning })
}
