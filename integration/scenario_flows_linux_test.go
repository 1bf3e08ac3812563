package integration

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/cordonmesh/cordon/node/local"
)

// flows has a node's user read its flow log.
func (s *scene) flows(t *testing.T, node string, args ...string) []local.Flow {
	t.Helper()
	out, err := s.nodes[node].TryCLI("", append([]string{"flows", "--json"}, args...)...)
	var got local.FlowsResponse
	if err == nil {
		err = json.Unmarshal([]byte(out), &got)
	}
	if err != nil {
		t.Fatalf("flows %v at %s: %v\n%s", args, node, err, out)
	}
	return got.Flows
}

// flowsTold asks both ends for what passed and what was refused, by rule and verdict.
func (s *scene) flowsTold(t *testing.T) {
	for node, peer := range map[string]string{"ward": "ehr", "ehr": "ward"} {
		permitted := s.flows(t, node, "--rule", "records", "--verdict", "permitted")
		starts, ends := 0, 0
		for _, f := range permitted {
			if f.Peer != peer || f.Outbound != (node == "ward") || f.Rule != "records" || f.Verdict != local.VerdictPermitted || f.Time.IsZero() {
				t.Errorf("%s tells of %+v", node, f)
			}
			switch {
			case f.Event == local.FlowStart:
				starts++
			case f.Event == local.FlowEnd && f.Packets.Sent > 0 && f.Bytes.Answered > 0 && !f.Started.IsZero() && f.Reason != "":
				ends++
			}
		}
		if starts == 0 {
			t.Errorf("%s tells of no flow that began: %+v", node, permitted)
		}
	}
	refused := s.flows(t, "ward", "--verdict", "refused")
	if len(refused) == 0 || refused[0].Event != local.FlowRefused || refused[0].Reason == "" {
		t.Errorf("ward tells of the refusals %+v", refused)
	}
	if all := s.flows(t, "ward", "--verdict", "monitored"); len(all) != 0 {
		t.Errorf("ward tells of the monitored flows %+v", all)
	}
	out, err := s.nodes["ward"].TryCLI("", "flows", "--rule", "records", "--limit", "3")
	if err != nil || strings.Count(out, "\n") != 4 || !strings.Contains(out, "ehr ") || !strings.Contains(out, " records ") {
		t.Errorf("flows prints %v\n%s", err, out)
	}
}

const limitedClinic = `{
	"tagOwners": {"tag:ehr": ["nina@hospital.example"], "tag:lab": ["nina@hospital.example"]},
	"grants": [{"id": "records", "src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"], "limit": {"flows": "1/365d", "onExceed": "cut"}}]}`

// limitKept puts a limit of one flow into the policy: what is more is refused, with the
// rule and the time at which it is over, and the log tells of it.
func (s *scene) limitKept(t *testing.T) {
	s.setPolicy(limitedClinic)
	to := s.at("ehr", 443)[0]
	s.served("ward", "tcp", to)
	s.refused("ward", "tcp", to, syscall.ECONNREFUSED)
	status, err := s.nodes["ward"].TryCLI("", "status")
	if err != nil || !strings.Contains(status, "the rule's limit is reached (rule records), until 20") {
		t.Errorf("status says %v\n%s", err, status)
	}
	explained, err := s.nodes["ward"].TryCLI("", "explain", "ehr:443")
	if err != nil || !strings.Contains(explained, "the rule's limit is reached, rule records") || !strings.Contains(explained, ", until 20") {
		t.Errorf("explain says %v\n%s", err, explained)
	}
	limited := s.flows(t, "ward", "--verdict", "limited")
	if len(limited) == 0 || limited[0].Event != local.FlowLimit || limited[0].OnExceed != "cut" || limited[0].Until.IsZero() || limited[0].Rule != "records" {
		t.Errorf("ward tells of the limit %+v", limited)
	}
}
