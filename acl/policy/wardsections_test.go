package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

func TestSegments(t *testing.T) {
	p := parseWard(t, `"segments": {
 "seg:a": {"members": ["tag:ehr", "ct", "ipset:imaging", "10.1.0.0/16"], "class": "phi", "impact": "life", "owner": "group:biomed", "requires": {"mfa": {"within": "12h"}, "posture": ["posture:managed"]}, "offline": {"hold": "30d"}, "log": "detail"},
 "seg:b": {"members": ["tag:pump"], "owner": "autogroup:admin", "offline": {"lapse": "1h"}, "mode": "monitor", "until": "2027-03-31", "log": "drops"},
 "seg:c": {"members": ["tag:pump"], "owner": "ada@h.example", "mode": "enforce", "impact": "life"}},
"grants": [{"id": "g", "src": ["seg:b"], "dst": ["seg:a", "tag:gw"], "ip": ["tcp:22"]}], "acls": [{"action": "accept", "src": ["seg:a"], "dst": ["seg:b:443"], "proto": "tcp"}]`)
	var got []string
	for _, name := range p.Segments() {
		s, _ := p.Segment(name)
		got = append(got, fmt.Sprint(s.Name, s.Members, s.Class, s.Impact, s.Owner, s.Requires.Postures, s.Offline, s.Lapses, s.Log, s.LogSet, s.Monitor.Unix() > 0))
	}
	want := []string{
		"seg:a[tag:ehr ct ipset:imaging 10.1.0.0/16]philifegroup:biomed[posture:managed] 720h0m0s false 3 true false",
		"seg:b[tag:pump]autogroup:admin[] 1h0m0s true 1 true true",
		"seg:c[tag:pump]lifeada@h.example[] 0s false 0 false false",
	}
	for i := range want {
		if strings.ReplaceAll(got[i], " ", "") != strings.ReplaceAll(want[i], " ", "") {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	const everything = "1:0-65535,6:0-65535,17:0-65535,58:0-65535"
	if got, want := show(p), "[seg:b] > [seg:a tag:gw] 6:22-22\n[seg:a] > [seg:b] 6:443-443\n[*] > [tag:pump] "+everything+"\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	last := p.Rules()[2]
	if last.ID != "seg:b" || !last.Written || last.Section != "segments" || !last.Monitor.Equal(time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)) || last.Pos.Line != 3 || last.Log != acl.LogDrops {
		t.Errorf("the monitored segment's rule is %+v", last)
	}
	if s := p.Rules()[0].Src[0]; s.Kind != policy.InSegment || s.Key() != "seg:b" {
		t.Errorf("seg:b is taken for %+v", s)
	}
}

func TestFloorsThatHold(t *testing.T) {
	for _, grant := range []string{
		`"src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["*"]`,
		`"src": ["group:nurses"], "dst": ["seg:ehr"], "ip": ["*"], "when": {"mfa": {"within": "8h", "amr": ["otp"]}, "risk": "<70", "idle": "10m"}`,
		`"src": ["group:nurses"], "dst": ["seg:ehr"], "ip": ["*"], "when": {"mfa": {"acr": "phr"}, "risk": "<1", "session": "tap"}`,
		`"src": ["group:nurses"], "dst": ["tag:pump"], "ip": ["*"], "when": {"mfa": {"within": "9h", "amr": ["sms"]}, "risk": "<99", "idle": "1h"}`,
		`"src": ["tag:pump", "autogroup:tagged"], "dst": ["seg:ehr"], "ip": ["*"], "when": {"risk": "<99"}`,
	} {
		parseWard(t, `"grants": [{`+grant+`}]`)
	}
}

func TestForbids(t *testing.T) {
	p := parseWard(t, `"defaultSrcPosture": ["posture:managed"], "grants": [{"src": ["tag:gw"], "dst": ["ct"], "ip": ["gre:*", "sctp:9"]}],
"forbid": [{"id": "all", "src": ["*"], "dst": ["seg:ehr", "autogroup:internet"]}, {"id": "star", "src": ["group:nurses"], "dst": ["tag:pump"], "ip": ["*", "tcp:22"]},
 {"src": ["tag:gw"], "dst": ["ct"], "ip": ["service:rdp"], "when": {"posture": "posture:sick", "schedule": "office"}, "srcPosture": ["posture:managed"]}],
"lockdown": {"red": {"by": ["group:biomed"], "count": 2, "forbid": [{"id": "red-web", "src": ["*"], "dst": ["autogroup:internet"]}]}, "amber": {"by": "ada@h.example", "forbid": [{"src": ["tag:gw"], "dst": ["tag:pump"]}]}}`)
	const everything = "1:0-65535,6:0-65535,17:0-65535,47:0-65535,58:0-65535,132:0-65535"
	var got []string
	for r := range p.Forbids() {
		for _, part := range r.Parts {
			got = append(got, fmt.Sprintln(r.Section, r.Level, r.Written, r.Src, part.Dst, part.Internet, open(part.Open), r.Postures, r.When.Postures, r.When.Schedule))
		}
	}
	want := []string{
		"forbid  true [*] [seg:ehr] false " + everything + " [] [] \n", "forbid  true [*] [] true " + everything + " [] [] \n",
		"forbid  true [group:nurses] [tag:pump] false " + everything + " [] [] \n",
		"forbid  false [tag:gw] [ct] false 6:3389-3389,17:3389-3389 [posture:managed] [posture:sick] office\n",
		"lockdown amber false [tag:gw] [tag:pump] false " + everything + " [] [] \n", "lockdown red true [*] [] true " + everything + " [] [] \n",
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n%v, want\n%v", got, want)
	}
	red, _ := p.Lockdown("red")
	amber, _ := p.Lockdown("amber")
	if fmt.Sprint(red.By, red.Count, amber.By, amber.Count) != "[group:biomed] 2 [ada@h.example] 1" {
		t.Errorf("%+v\n%+v", red, amber)
	}
	opened := parseWard(t, `"grants": [{"src": ["tag:gw"], "dst": ["ct"], "ip": ["tcp:1"]}]`).Rules()[0]
	refused := parseWard(t, `"forbid": [{"src": ["tag:gw"], "dst": ["ct"], "ip": ["tcp:1"]}]`)
	for r := range refused.Forbids() {
		if r.ID == opened.ID {
			t.Error("a rule that forbids has the hash of the grant with its words")
		}
	}
}

func TestBreakGlass(t *testing.T) {
	p := parseWard(t, `"defaultSrcPosture": ["posture:managed"], "grants": [{"id": "g", "src": ["*"], "dst": ["ct"], "ip": ["tcp:1"]}], "breakGlass": [
 {"id": "patient", "src": ["group:nurses"], "dst": ["seg:ehr", "ct"], "ip": ["service:https"], "waives": ["mfa", "posture"], "reason": "required", "maxDuration": "60m", "cooldown": "1d",
  "alert": ["group:biomed", "tag:gw"], "review": {"by": "group:biomed", "within": "24h"}, "offline": true, "log": "detail"},
 {"id": "strict", "src": ["ada@h.example"], "dst": ["ct"], "ip": ["*"], "reason": "optional", "maxDuration": "1h", "alert": "group:biomed"},
 {"id": "downtime", "declare": {"by": "group:biomed", "count": 2}, "segments": ["seg:ehr"], "waives": ["mfa", "risk"], "maxDuration": "72h", "alert": ["group:biomed"]}]`)
	var rules []string
	for _, r := range p.Rules() {
		rules = append(rules, fmt.Sprintln(r.ID, r.Section, r.Glass, r.Written, r.Log, r.Postures))
	}
	want := []string{"patient breakGlass patient true 3 []\n", "strict breakGlass strict true 0 [posture:managed]\n", "g grants  true 0 [posture:managed]\n"}
	if !slices.Equal(rules, want) {
		t.Errorf("%v, want %v", rules, want)
	}
	var glasses []string
	for _, g := range p.BreakGlass() {
		glasses = append(glasses, fmt.Sprintln(g.ID, g.Segments, g.Waives, g.By, g.Count, g.Reason, g.MaxDuration, g.Cooldown, g.Alert, g.Review.By, g.Review.Within, g.Offline))
	}
	want = []string{
		"patient [] [mfa posture] [] 0 true 1h0m0s 24h0m0s [group:biomed tag:gw] group:biomed 24h0m0s true\n",
		"strict [] [] [] 0 false 1h0m0s 0s [group:biomed]  0s false\n",
		"downtime [seg:ehr] [mfa risk] [group:biomed] 2 false 72h0m0s 0s [group:biomed]  0s false\n",
	}
	if !slices.Equal(glasses, want) {
		t.Errorf("%v, want %v", glasses, want)
	}
}

func TestAssetsAndOthers(t *testing.T) {
	p := parseWard(t, `"assets": [{"tag": "tag:ct", "behind": "tag:gw", "match": {"ipset": "ipset:imaging", "dhcp": "vendor~CT|MR"}, "bind": "mac+port"},
 {"tag": "tag:ct", "behind": "tag:gw", "match": {"vlan": 310, "oui": ["00:1a:2b"]}, "bind": "802.1x", "isolate": "slash32"}],
"grants": [{"src": ["tag:ct"], "dst": ["tag:ct"], "ip": ["*"], "via": ["tag:ct"]}], "tests": [{"src": "tag:ct", "deny": ["tag:ct:22"]}]`)
	want := "[{p:1:13 tag:ct tag:gw {ipset:imaging 0 [] CT|MR} mac+port } {p:2:2 tag:ct tag:gw { 310 [00:1a:2b] } 802.1x slash32}]"
	if got := fmt.Sprint(p.Assets()); got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	office, _ := p.Schedule("office")
	icu, _ := p.OnCall("icu")
	if office.Weekly.String() != "America/Chicago: Mon-Fri 07:00-19:00" || icu.File != "oncall/icu.ics" {
		t.Errorf("%+v %+v", office, icu)
	}
	p = parseWard(t, `"approvals": {"approve:v": {"by": ["group:biomed", "autogroup:admin"], "count": 2, "notRequester": true, "maxDuration": "4h", "ticket": "^CHG\\d+$", "onExpiry": "cut"},
 "approve:w": {"by": "ada@h.example", "maxDuration": "1w"}}`)
	v, _ := p.Approval("approve:v")
	w, _ := p.Approval("approve:w")
	if got := fmt.Sprint(v.By, v.Count, v.NotRequester, v.MaxDuration, v.Ticket, v.OnExpirySet, w.Count, w.MaxDuration, w.Ticket, w.OnExpirySet); got != "[group:biomed autogroup:admin] 2 true 4h0m0s ^CHG\\d+$ true 1 168h0m0s <nil> false" {
		t.Error(got)
	}
}

func TestGivenAndExpected(t *testing.T) {
	p := parseWard(t, `"grants": [{"id": "g", "src": ["group:nurses"], "dst": ["ct"], "ip": ["*"]}], "lockdown": {"red": {"by": "group:biomed", "forbid": [{"src": ["tag:gw"], "dst": ["ct"]}]}},
"breakGlass": [{"id": "b", "src": ["group:nurses"], "dst": ["ct"], "ip": ["*"], "maxDuration": "1h", "alert": "group:biomed"}],
"tests": [{"name": "all", "src": "group:nurses", "given": {"at": "2026-11-22T03:00-06:00", "device": "tag:cart", "session": "tap", "idle": "5m", "mfaAge": "0s", "amr": ["hwk"], "acr": "phr", "managed": true,
  "postures": ["posture:sick"], "attrs": {"custom:n": 1.5, "custom:s": "x", "custom:b": false}, "risk": 7, "oncall": "icu", "approvedBy": 2, "breakGlass": "b", "lockdown": ["red"]},
  "accept": ["ct:22"], "expect": {"log": "flows", "alert": "group:biomed", "maxDuration": "60m", "rule": "g"}},
 {"name": "bare", "src": "group:nurses", "deny": ["ct:22"]}, {"src": "group:nurses", "given": {}, "accept": ["ct:22"], "expect": {"rule": "seg:ehr"}}, {"src": "group:nurses", "deny": ["ct:22"], "srcPostureAttrs": {"node:os": "linux"}}],
"sshTests": [{"src": "tag:gw", "dst": ["ct"], "deny": ["root"], "srcPostureAttrs": {"custom:a": true}}]`)
	tests := p.Tests()
	got := fmt.Sprintf("%s %+v %+v", tests[0].Name, *tests[0].Given, *tests[0].Expect)
	want := "all {At:2026-11-22 03:00:00 -0600 -0600 Device:tag:cart Session:tap Idle:5m0s MFAAge:0s LoggedIn:true AMR:[hwk] ACR:phr OnCall:[icu] Postures:[posture:sick posture:managed] " +
		"Attributes:map[custom:b:false custom:n:1.5 custom:s:x] Risk:7 ApprovedBy:2 BreakGlass:[b] Lockdown:[red]} {Pos:p:5:24 Rule:g Log:flows Alert:group:biomed MaxDuration:1h0m0s}"
	if got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if tests[1].Given == nil || tests[2].Given == nil || tests[3].Given != nil || tests[1].Given.LoggedIn || tests[2].Expect.Rule != "seg:ehr" {
		t.Errorf("%+v", tests[1:])
	}
	if fmt.Sprint(tests[3].Attributes, p.SSHTests()[0].Attributes) != "map[node:os:linux] map[custom:a:true]" {
		t.Errorf("%v, %v", tests[3].Attributes, p.SSHTests()[0].Attributes)
	}
}

// checkWard looks at what a hospital's keys make: complete, or absent.
func checkWard(t *testing.T, p *policy.Policy) {
	for r := range p.Forbids() {
		if len(r.Src) == 0 || len(r.Parts) == 0 || r.ID == "" || (r.Section == "lockdown") != (r.Level != "") || r.Glass != "" || !r.Monitor.IsZero() {
			t.Fatalf("a rule forbids nothing: %+v", r)
		}
	}
	for _, name := range p.Segments() {
		if s, ok := p.Segment(name); !ok || len(s.Members) == 0 || s.Owner.Kind == policy.None {
			t.Fatalf("segment %+v", s)
		}
	}
	for _, a := range p.Assets() {
		if a.Tag == "" || a.Behind == "" || a.Bind == "" || a.Match.Set == "" && a.Match.VLAN == 0 && len(a.Match.OUI) == 0 && a.Match.Vendor == "" {
			t.Fatalf("asset %+v", a)
		}
	}
	for _, g := range p.BreakGlass() {
		own := slices.IndexFunc(p.Rules(), func(r policy.Rule) bool { return r.ID == acl.RuleID(g.ID) })
		ok := own >= 0
		if g.MaxDuration <= 0 || ok != (g.Segments == nil) || ok && p.Rules()[own].Glass != g.ID || !ok && len(g.By) == 0 {
			t.Fatalf("break-glass %+v, rule %d", g, own)
		}
	}
	for _, r := range p.Rules() {
		if _, ok := p.Approval(r.Approval); r.Approval != "" && !ok || r.Limit != nil && (r.Limit.Window <= 0 || r.Limit.Bytes+r.Limit.Flows == 0 || r.Limit.OnExceed == "") {
			t.Fatalf("rule %+v", r)
		}
		if s, ok := p.Schedule(r.When.Schedule); r.When.Schedule != "" && (!ok || len(s.Weekly.Spans()) == 0) {
			t.Fatalf("rule %s under schedule %+v", r.ID, s)
		}
	}
}
