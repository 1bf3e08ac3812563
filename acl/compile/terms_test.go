package compile_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// inOf gives the rule by which a person comes to tag:ehr.
func inOf(t *testing.T, m *compile.Mesh) acl.Rule {
	t.Helper()
	in := m.Rules("n2").In
	if len(in) != 1 {
		t.Fatalf("%d rules: %+v", len(in), in)
	}
	return in[0]
}

func TestRulesSayHowTheyAreKept(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		segments, grant string
		want            acl.Rule
	}{
		{"", "", acl.Rule{Hold: 30 * day}},
		{`"seg:a": {"members": ["tag:ehr"], "owner": "group:nurses", "offline": {"lapse": "1h"}}`, "", acl.Rule{Hold: time.Hour}},
		{`"seg:a": {"members": ["tag:ehr"], "owner": "group:nurses", "offline": {"hold": "1h"}, "log": "drops"}, "seg:b": {"members": ["tag:ehr"], "owner": "group:nurses", "offline": {"hold": "2h"}, "log": "off"}`, "",
			acl.Rule{Hold: time.Hour, Log: acl.LogDrops}},
		{`"seg:a": {"members": ["tag:ehr"], "owner": "group:nurses", "log": "off"}, "seg:b": {"members": ["tag:ehr"], "owner": "group:nurses", "log": "detail"}`, "", acl.Rule{Hold: 30 * day, Log: acl.LogDetail}},
		{`"seg:a": {"members": ["tag:ehr"], "owner": "group:nurses", "log": "detail"}`, `, "log": "off"`, acl.Rule{Hold: 30 * day, Log: acl.LogOff}},
		{`"seg:a": {"members": ["tag:gw"], "owner": "group:nurses", "log": "detail", "offline": {"hold": "1h"}}`, "", acl.Rule{Hold: 30 * day}},
		{"", `, "onExpiry": "drain 15m"`, acl.Rule{Hold: 30 * day, Drain: 15 * time.Minute}},
		{"", `, "limit": {"bytes": "1GiB/1h", "onExceed": "cut"}`, acl.Rule{Hold: 30 * day, Limit: acl.Limit{Bytes: 1 << 30, Window: time.Hour, OnExceed: acl.Cut}}},
		{"", `, "limit": {"flows": "100/1m", "onExceed": "alert"}`, acl.Rule{Hold: 30 * day, Limit: acl.Limit{Flows: 100, Window: time.Minute, OnExceed: acl.Alert}}},
		{"", `, "log": "record"`, acl.Rule{Hold: 30 * day, Log: acl.LogRecord}},
		{"", `, "log": "record", "recordFailure": "deny"`, acl.Rule{Hold: 30 * day, Log: acl.LogRecord, Features: []string{acl.FeatureRecord}}},
		{"", `, "through": ["tag:gw"]`, acl.Rule{Hold: 30 * day, Features: []string{acl.FeatureThrough}}},
	} {
		m := bed(t, `"segments": {`+tt.segments+`}, "grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"]`+tt.grant+`}]`, wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
		got := inOf(t, m)
		got.ID, got.Src, got.Dst, got.Open = "", nil, nil, nil
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s %s:\n%+v, want\n%+v", tt.segments, tt.grant, got, tt.want)
		}
	}
}

// What leads into two monitored segments passes until the first of them is
// enforced, held for as long as the more impatient one says.
func TestMonitoredSegmentsEndWithTheFirst(t *testing.T) {
	until := wardStart().Add(time.Hour)
	m := bed(t, `"segments": {
"seg:a": {"members": ["tag:ehr"], "owner": "group:nurses", "mode": "monitor", "until": "2027-03-31", "offline": {"hold": "1h"}},
"seg:b": {"members": ["tag:ehr"], "owner": "group:nurses", "mode": "monitor", "until": "`+until.Format(time.RFC3339)+`"}}, "grants": []`, wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
	in := m.Rules("n2").In
	for _, r := range in {
		if !r.Monitor || !r.NotAfter.Equal(until) || r.Hold != time.Hour {
			t.Errorf("%+v", r)
		}
	}
	if len(in) != 2 || !opensTCP(m, "100.64.0.1", "100.64.0.2") {
		t.Errorf("%d rules", len(in))
	}
	if m.Advance(until); opensTCP(m, "100.64.0.1", "100.64.0.2") {
		t.Error("it is open when one of both is enforced")
	}
}

// A rule without the mark names the verdict wherever it stands: else a flow that is
// permitted would be told of as one that is to be refused.
func TestWhatIsOnlyMonitoredComesLast(t *testing.T) {
	m := bed(t, `"grants": [
{"id": "later", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "when": {"mfa": {"within": "1h"}}, "monitor": true, "until": "2027-03-31"},
{"id": "now", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"]}]`, wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
	for end, rules := range map[string][]acl.Rule{"in": m.Rules("n2").In, "out": m.Rules("n1").Out} {
		var got []string
		for _, r := range rules {
			got = append(got, fmt.Sprint(r.ID, " ", r.Monitor))
		}
		if want := []string{"later false", "now false", "later true"}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", end, got, want)
		}
	}
}

// Permitting rules ask for a filter that obeys what is forbidden exactly where
// there is such a rule, besides what else they ask for.
func TestRulesBesideForbidsAskForIt(t *testing.T) {
	const grant = `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "through": ["tag:gw"]}]`
	nodes := []compile.Node{bedNode(1, "ada@h"), bedNode(2, "tag:ehr")}
	if got := inOf(t, bed(t, grant, wardStart(), nodes...)); !slices.Equal(got.Features, []string{acl.FeatureThrough}) {
		t.Errorf("features %v", got.Features)
	}
	m := bed(t, grant+`, "forbid": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:22"]}]`, wardStart(), nodes...)
	if got := inOf(t, m); !slices.Equal(got.Features, []string{acl.FeatureForbid, acl.FeatureThrough}) {
		t.Errorf("features %v", got.Features)
	}
}

// A policy that differs in a rule's terms alone is another one: the nodes at its
// ends are told, and no others.
func TestSetPolicyTellsOfTerms(t *testing.T) {
	const plain = `{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"]`
	whole := func(grant, members, rest string) *compile.Mesh {
		return bed(t, `"segments": {"seg:b": {"members": ["tag:gw"], "owner": "group:nurses", "requires": {"mfa": {"within": "9h"}}}, "seg:a": {"members": [`+members+`], "owner": "group:nurses"`+rest+`}}, "grants": [`+grant+`}, {"src": ["ada@h"], "dst": ["tag:cart"], "ip": ["*"]}]`, wardStart())
	}
	nodes := []compile.Node{bedNode(1, "ada@h"), bedNode(2, "tag:ehr"), bedNode(3, "tag:cart")}
	before := whole(plain, `"tag:ehr"`, "")
	for what, after := range map[string]*compile.Mesh{
		"when": whole(plain+`, "when": {"mfa": {"within": "8h"}}`, `"tag:ehr"`, ""), "drain": whole(plain+`, "onExpiry": "drain 1h"`, `"tag:ehr"`, ""),
		"log": whole(plain+`, "log": "detail"`, `"tag:ehr"`, ""), "feature": whole(plain+`, "through": ["tag:gw"]`, `"tag:ehr"`, ""),
		"posture": whole(plain+`, "srcPosture": ["posture:managed"]`, `"tag:ehr"`, ""), "monitor": whole(plain+`, "when": {"schedule": "office"}, "monitor": true, "until": "2027-03-31"`, `"tag:ehr"`, ""),
		"hold": whole(plain, `"tag:ehr"`, `, "offline": {"hold": "2h"}`), "floor": whole(plain, `"tag:ehr"`, `, "requires": {"schedule": "office"}`),
	} {
		m := compile.New(before.Policy(), ranges())
		m.Advance(wardStart())
		m.Load(nodes)
		var told []string
		for v := range m.SetPolicy(after.Policy()).Views() {
			if told = append(told, v.Node); !v.Rules || v.Self || v.Ended {
				t.Errorf("%s: %+v", what, v)
			}
		}
		if slices.Sort(told); !slices.Equal(told, []string{"n1", "n2"}) {
			t.Errorf("%s: %v are told", what, told)
		}
	}
}

// What changes besides a rule's own words changes the policy too.
func TestSetPolicyTellsOfWhatRulesHangOn(t *testing.T) {
	const grant = `{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "when": {"schedule": "office", "mfa": {"within": "1h"}}}`
	const sitting = `{"id": "s", "src": ["%"], "srcDevice": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["*"]}`
	read := func(hours, waives, grants, forbids string) *policy.Policy {
		pol, _, err := policy.Parse("p", []byte(`{"tagOwners": {"tag:ehr": [], "tag:cart": []}, "groups": {"group:x": []}, "schedules": {"office": {"tz": "UTC", "weekly": ["`+hours+`"]}},
"segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:x"}}, "breakGlass": [{"id": "down", "segments": ["seg:ehr"], "waives": ["`+waives+`"], "declare": {"by": "group:x", "count": 1}, "maxDuration": "72h", "alert": ["group:x"]}],
"grants": [`+grants+`], "forbid": [`+forbids+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		return pol
	}
	const hours = "Mon-Fri 07:00-19:00"
	sits := func(who string) string { return grant + "," + strings.Replace(sitting, "%", who, 1) }
	for what, tt := range map[string][2]*policy.Policy{
		"the hours of a schedule": {read(hours, "mfa", grant, ""), read("Mon-Fri 08:00-19:00", "mfa", grant, "")},
		"what is waived":          {read(hours, "mfa", grant, ""), read(hours, "schedule", grant, "")},
		"who may sit at a device": {read(hours, "mfa", sits("ada@h"), ""), read(hours, "mfa", sits("ben@h"), "")},
		"a grant that forbids now": {read(hours, "mfa", `{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["22"]}`, ""),
			read(hours, "mfa", "", `{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["22"]}`)},
	} {
		m := compile.New(tt[0], ranges())
		m.Advance(wardStart())
		m.Declare(compile.Declared{Glass: map[string]time.Time{"down": wardStart().Add(time.Hour)}})
		m.Load([]compile.Node{bedNode(1, "ada@h"), bedNode(2, "tag:ehr"), bedNode(3, "tag:cart")})
		got := changeOf(m.SetPolicy(tt[1]))
		if !got["n2"].rules {
			t.Errorf("%s: %+v", what, got)
		}
		if got := changeOf(m.SetPolicy(tt[1])); len(got) != 0 {
			t.Errorf("%s, once more: %+v", what, got)
		}
	}
}

// What is forbidden is so in every segment: it is one rule, wherever it leads.
func TestForbiddenIntoSegmentsIsOneRule(t *testing.T) {
	m := clinic(t, `"segments": {"seg:a": {"members": ["tag:db"], "owner": "group:nurses"}, "seg:b": {"members": ["tag:ehr"], "owner": "group:nurses"}},
		"forbid": [{"id": "f", "src": ["tag:gw"], "dst": ["tag:db", "tag:ehr"]}]`)
	if rules := m.Rules("id-gw").ForbidOut; len(rules) != 1 || len(rules[0].Dst) != 2 {
		t.Errorf("%+v", rules)
	}
}
