package integration

import (
	"bufio"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// countReplies reads what ping prints: a line for each reply.
func countReplies(out io.Reader, in *stream) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "bytes from") && !strings.Contains(lines.Text(), "nreachable") {
			in.arrived(64)
		}
	}
}

// shut is a policy that opens nothing between nina and the record system.
const shut = `{"tagOwners": {"tag:ehr": ["nina@hospital.example"], "tag:lab": ["nina@hospital.example"]}, "grants": []}`

// A31: whatever takes a right away ends the flows that live by it, TCP, UDP and
// ICMP, in both directions and both families: a policy edit, a changed tag, the
// removal of a node.
func TestRevocationEndsLiveFlows_A31(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	var at []netip.Addr
	for _, a := range s.at("ehr", 0) {
		at = append(at, a.Addr())
	}
	begin := func(t *testing.T) *streams { return startStreams(t, s.Host("ward"), s.Host("ehr"), at...) }

	t.Run("policy edit", func(t *testing.T) {
		f := begin(t)
		f.ended(t, s.setPolicy(shut))
		f.told(t, true, true)
		s.setPolicy(clinic)
	})
	t.Run("tag change", func(t *testing.T) {
		f := begin(t)
		s.coordinator.Ctl("node", "tag", "ehr", "tag:lab")
		f.ended(t, s.settle())
		f.told(t, true, true)
		s.coordinator.Ctl("node", "tag", "ehr", "tag:ehr")
		s.settle()
	})
	t.Run("an edit that keeps the right", func(t *testing.T) {
		f := begin(t)
		s.setPolicy(strings.Replace(clinic, `"udp:5000"`, `"udp:5000", "tcp:8080"`, 1))
		f.carry(t)
		select {
		case <-f.ends[0]:
			t.Error("a flow that is still permitted was ended")
		default:
		}
	})
	t.Run("node removal", func(t *testing.T) {
		f := begin(t)
		s.coordinator.Ctl("node", "remove", "ward")
		delete(s.nodes, "ward")
		f.ended(t, s.settle())
		f.told(t, true, false)
		s.refusedBack(t)
	})
}

// refusedBack: a removed node's daemon stays out, and says so.
func (s *scene) refusedBack(t *testing.T) {
	t.Helper()
	out := s.coordinator.Ctl("node", "list")
	if strings.Contains(out, "ward") {
		t.Errorf("the removed node is listed:\n%s", out)
	}
}
