//go:build linux

package lab_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// policyOf lets nina's machines reach the record system on one port.
func policyOf(port string) string {
	return `{"tagOwners": {"tag:ehr": ["nina@hospital.example"]},
		"grants": [{"src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:` + port + `"]}]}`
}

// The built programs and the lab together: two machines meet, what is permitted
// flows and is nowhere to be read on the wire, what is not is refused at once, a
// dead coordinator ends nothing, and a narrowed policy ends a live stream.
func TestProgramsMakeAMesh(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	programs := lab.Build(t)
	l := lab.Up(t, lab.Segment("hub", "ward", "ehr"))
	hub := l.Host("hub")
	c := programs.StartCoordinator(hub, netip.AddrPortFrom(hub.Addr4(), 8443))
	c.SetPolicy(policyOf("443"))
	ward, ehr := programs.StartDaemon(l.Host("ward")), programs.StartDaemon(l.Host("ehr"))
	ward.Up(c.Token("nina@hospital.example"))
	ehr.Up(c.Token("tag:ehr"))
	ward.Wait("knows ehr", func(s *local.Status) bool { _, ok := lab.FindPeer(s, "ehr"); return ok })

	clear := l.Host("ward").Capture("eth0", lab.Touching(netip.MustParsePrefix("100.64.0.0/10"), netip.PrefixFrom(ehr.Mesh6(), 48)))
	at := netip.AddrPortFrom(ehr.Mesh4(), 443)
	sink := l.Host("ehr").ServeSink(netip.AddrPortFrom(netip.IPv4Unspecified(), 443))
	flows := func(why string) {
		t.Helper()
		before := sink.Received()
		lab.Eventually(t, 30*time.Second, why, func() (bool, string) { return sink.Received() > before+100_000, "no more bytes came" })
	}
	pump := l.Host("ward").StartPump(at, time.Millisecond)
	ward.WaitPaths("ehr")
	flows("what is permitted flows")
	if _, err := l.Host("ward").Dial(t.Context(), "tcp", netip.AddrPortFrom(at.Addr(), 22)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that nobody opened: %v, want a refusal at once", err)
	}

	c.Process.Kill()
	flows("a dead coordinator ends nothing")
	c.Start()
	ward.Wait("is connected again", func(s *local.Status) bool { return s.Coordinator.Connected })

	c.SetPolicy(policyOf("80"))
	select {
	case <-pump.Done():
	case <-time.After(30 * time.Second):
		t.Error("the stream outlived its right")
	}
	if packets := captured(t, clear); len(packets) > 0 {
		t.Errorf("%d packets with mesh addresses were on the wire, such as % x", len(packets), packets[0])
	}
}
