package policy_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// firstGrant reads a grant from nurses to the CT, with more keys.
func firstGrant(t *testing.T, more string) policy.Rule {
	t.Helper()
	return parseWard(t, `"grants": [{"id": "g", "src": ["group:nurses"], "dst": ["ct"], "ip": ["tcp:443"]`+more+`}]`).Rules()[0]
}

func TestGrantConditions(t *testing.T) {
	seventy := 70
	for more, want := range map[string]policy.When{
		``: {},
		`, "when": {"mfa": {"within": "8h", "amr": ["hwk", "otp"], "acr": "phr"}}`: {MFA: &policy.MFA{Within: 8 * time.Hour, AMR: []string{"hwk", "otp"}, ACR: "phr"}},
		`, "when": {"posture": "posture:managed"}`:                                 {Postures: []string{"posture:managed"}},
		`, "when": {"posture": ["posture:managed", "posture:sick"]}`:               {Postures: []string{"posture:managed", "posture:sick"}},
		`, "when": {"schedule": "office", "oncall": "icu", "risk": "<70"}`:         {Schedule: "office", OnCall: "icu", Risk: &seventy},
		`, "when": {"session": "tap", "idle": "10m"}`:                              {Session: &policy.Session{Kind: "tap", Idle: 10 * time.Minute}},
		`, "when": {"idle": "1h30m"}`:                                              {Session: &policy.Session{Idle: 90 * time.Minute}},
	} {
		if got := firstGrant(t, more).When; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", more, got, want)
		}
	}
}

// what gives what a rule says beside its conditions.
func what(r policy.Rule) string {
	limit := "-"
	if r.Limit != nil {
		limit = fmt.Sprint(*r.Limit)
	}
	return fmt.Sprintln(r.Devices, r.Approval, r.Through, r.OnExpiry.Drain, limit, r.Log, r.LogSet, r.MustRecord, r.Monitor.Format(time.RFC3339))
}

func TestGrantKeys(t *testing.T) {
	const never = "0001-01-01T00:00:00Z"
	for more, want := range map[string]string{
		``:                            "[] [] 0s - 0 false false " + never,
		`, "srcDevice": ["tag:cart"]`: "[tag:cart] [] 0s - 0 false false " + never,
		`, "approval": "approve:biomed", "through": ["tag:gw"]`:   "[] approve:biomed [tag:gw] 15m0s - 0 false false " + never,
		`, "approval": "approve:biomed", "onExpiry": "cut"`:       "[] approve:biomed [] 0s - 0 false false " + never,
		`, "onExpiry": "drain 2h"`:                                "[] [] 2h0m0s - 0 false false " + never,
		`, "limit": {"bytes": "4GiB/1h", "onExceed": "throttle"}`: "[] [] 0s {4294967296 0 1h0m0s throttle} 0 false false " + never,
		`, "limit": {"bytes": "500 MB / 1d", "onExceed": "cut"}`:  "[] [] 0s {500000000 0 24h0m0s cut} 0 false false " + never,
		`, "limit": {"flows": "100/1m", "onExceed": "alert"}`:     "[] [] 0s {0 100 1m0s alert} 0 false false " + never,
		`, "log": "record", "recordFailure": "deny"`:              "[] [] 0s - 4 true true " + never,
		`, "log": "record", "recordFailure": "allow"`:             "[] [] 0s - 4 true false " + never,
		`, "log": "flows"`: "[] [] 0s - 0 true false " + never,
		`, "log": "off"`:   "[] [] 0s - 2 true false " + never,
		`, "when": {"risk": "<70"}, "monitor": true, "until": "2026-11-23"`:                "[] [] 0s - 0 false false 2026-11-24T00:00:00Z",
		`, "when": {"risk": "<70"}, "monitor": true, "until": "2026-12-31T18:00:00+01:00"`: "[] [] 0s - 0 false false 2026-12-31T18:00:00+01:00",
		`, "monitor": false, "log": ""`:                                                    "[] [] 0s - 0 false false " + never,
	} {
		if got := strings.Join(strings.Fields(what(firstGrant(t, more))), " "); got != want {
			t.Errorf("%s:\n%s, want\n%s", more, got, want)
		}
	}
}

// Rules without the new keys keep the hash that they had, and each key counts.
func TestGrantHashes(t *testing.T) {
	hash := func(more string) acl.RuleID {
		return parseWard(t, `"grants": [{"src": ["group:nurses"], "dst": ["ct"], "ip": ["tcp:443"]`+more+`}]`).Rules()[0].ID
	}
	plain := hash("")
	if plain != "sha256:9176909954736055" {
		t.Errorf("an old rule has another hash: %s", plain)
	}
	seen := map[acl.RuleID]string{plain: "nothing"}
	for _, more := range []string{
		`, "when": {"idle": "1h"}`, `, "when": {"idle": "2h"}`, `, "srcDevice": ["tag:cart"]`, `, "approval": "approve:biomed"`, `, "through": ["tag:gw"]`, `, "onExpiry": "drain 1h"`,
		`, "limit": {"flows": "1/1m", "onExceed": "cut"}`, `, "log": "record"`, `, "log": "record", "recordFailure": "deny"`, `, "when": {"risk": "<70"}`, `, "when": {"risk": "<70"}, "monitor": true, "until": "2027-01-01"`,
		`, "when": {"risk": "<70"}, "monitor": true, "until": "2027-01-02"`,
	} {
		if other, twice := seen[hash(more)]; twice {
			t.Errorf("%s has the hash of %s", more, other)
		}
		seen[hash(more)] = more
	}
	inForce := reading()
	inForce.InForce = true
	for _, more := range []string{`, "when": {}`, `, "when": null`, `, "limit": null`, `, "log": ""`} {
		p, _, err := inForce.Parse("p", []byte(ward(t, `"grants": [{"src": ["group:nurses"], "dst": ["ct"], "ip": ["tcp:443"]`+more+`}]`)))
		if err != nil || p.Rules()[0].ID != plain {
			t.Errorf("%s says nothing, and changes the hash of a rule in force: %v", more, err)
		}
	}
}

func TestSiteAddresses(t *testing.T) {
	p := parseWard(t, `"grants": [{"src": ["10.20.30.11@north", "group:nurses"], "dst": ["ct", "ipset:imaging", "10.30.0.0/24@north"], "ip": ["tcp:443"]}],
"acls": [{"action": "accept", "src": ["*"], "dst": ["10.20.1.1@main:22"]}], "autoApprovers": {"routes": {"10.20.0.0/16@main": ["tag:gw"]}}, "tests": [{"src": "10.20.30.11@main", "deny": ["10.20.1.1@north:22"]}]`)
	set, _ := p.IPSet("ipset:imaging")
	got := fmt.Sprint(p.Rules()[0].Src[0].Prefix, p.Rules()[0].Src[0], p.Rules()[0].Parts[0].Dst[0].Prefix, set, p.Rules()[0].Parts[0].Dst[2].Prefix,
		p.Rules()[1].Parts[0].Dst[0].Prefix, p.AutoApprovers().Routes[0].Prefix, p.Tests()[0].Src.Prefix, p.Tests()[0].Deny[0].Dst.Prefix)
	const at = "fd63:6f72:646e:5174:7e00:"
	want := at + "2:a14:1e0b/128 10.20.30.11@north " + at + "1:a14:1e0b/128 [" + at + "1:a14:1e00/120] " + at + "2:a1e:0/120 " +
		at + "1:a14:101/128 " + at + "1:a14:0/112 " + at + "1:a14:1e0b/128 " + at + "2:a14:101/128"
	if got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if kind := parseWard(t, `"grants": [{"src": ["ada@main"], "dst": ["ct"], "ip": ["*"]}]`).Rules()[0].Src[0].Kind; kind != policy.User {
		t.Errorf("a login at a domain that is called as a site is, is taken for kind %d", kind)
	}
}

func TestServices(t *testing.T) {
	p := parseWard(t, `"services": {"hl7": ["tcp:2575", "tcp:6000-6099", "tcp:6050"], "mri": ["udp:7", "tcp:7"]}, "grants": [
 {"src": ["*"], "dst": ["ct"], "ip": ["service:dicom"]}, {"src": ["*"], "dst": ["ct"], "ip": ["service:hl7", "tcp:22", "service:mri"]}]`)
	want := "[*] > [ct] 6:104-104,6:2762-2762,6:11112-11112\n[*] > [ct] 6:7-7,6:22-22,6:2575-2575,6:6000-6099,17:7-7\n"
	if got := show(p); got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if len(p.Services()) < 30 || !slices.Contains(p.Services(), "mri") {
		t.Errorf("services: %v", p.Services())
	}
	for _, name := range p.Services() {
		if s, ok := p.Service(name); !ok || s.Name != name || len(s.Open) == 0 {
			t.Errorf("service %s opens %v", name, s.Open)
		}
	}
}

// The page lists the catalogue with its ports, neither more nor less.
func TestDocumentedCatalogue(t *testing.T) {
	page, err := os.ReadFile("../../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "the one of the catalogue, which every file has:")
	table, _, _ := strings.Cut(rest, "\n#")
	p := parse(t, `{}`)
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\|[^|]*\\| `([^`]+)` \\| (.*) \\|$").FindAllStringSubmatch(table, -1) {
		listed = append(listed, row[1])
		ports := parse(t, `{"services": {"listed": [`+strings.ReplaceAll(row[2], "`", `"`)+`]}}`)
		want, _ := ports.Service("listed")
		if got, _ := p.Service(row[1]); !slices.Equal(got.Open, want.Open) {
			t.Errorf("the page says that %s opens %v, and it opens %v", row[1], want.Open, got.Open)
		}
	}
	if slices.Sort(listed); !slices.Equal(listed, p.Services()) {
		t.Errorf("the page lists %v, and the catalogue has %v", listed, p.Services())
	}
}

func TestGroupsOfProviders(t *testing.T) {
	p := parseWard(t, `"groups": {"group:nurses": ["scim:Physical Security", "idp:vendors/ct-maker", "local:Ward 3", "ada@h.example"], "group:biomed": ["bo@h.example"]}`)
	if got, _ := p.Group("group:nurses"); !slices.Equal(got, []string{"scim:Physical Security", "idp:vendors/ct-maker", "local:Ward 3", "ada@h.example"}) {
		t.Error(got)
	}
}

func TestUnconditional(t *testing.T) {
	var grants strings.Builder
	for i, more := range []string{
		``, `"when": {"idle": "1h"}`, `"when": {"risk": "<7"}`, `"when": {"schedule": "office"}`, `"when": {"posture": "posture:managed"}`, `"srcDevice": ["tag:cart"]`,
		`"approval": "approve:biomed"`, `"srcPosture": ["posture:sick"]`, `"log": "off"`, `"when": {"idle": "1h"}, "monitor": true, "until": "2027-01-01"`,
	} {
		fmt.Fprintf(&grants, `{"id": "%d", "src": ["group:nurses"], "dst": ["ct"], "ip": ["tcp:%d"], %s},`, i, 1+i, more)
	}
	p := parseWard(t, `"grants": [`+grants.String()+`], "forbid": [{"id": "f", "src": ["tag:gw"], "dst": ["ct"]}, {"id": "g", "src": ["*"], "dst": ["ct"], "when": {"posture": "posture:sick"}},
	{"id": "h", "src": ["tag:pump"], "dst": ["ct"], "when": {"schedule": "office"}}, {"id": "i", "src": ["tag:pump"], "dst": ["ct"], "when": {"schedule": "office", "posture": "posture:sick"}}],
"lockdown": {"red": {"by": "group:biomed", "forbid": [{"src": ["*"], "dst": ["ct"]}]}}, "breakGlass": [{"id": "b", "src": ["group:nurses"], "dst": ["ct"], "ip": ["*"], "maxDuration": "1h", "alert": "group:biomed"}]`).Unconditional()
	var ids []acl.RuleID
	for _, r := range p.Rules() {
		ids = append(ids, r.ID)
	}
	for r := range p.Forbids() {
		ids = append(ids, r.ID)
	}
	if got := fmt.Sprint(ids); got != "[0 8 9 f h]" {
		t.Error(got)
	}
}

// Where nobody has a posture, a rule that asks for nothing else is one for what stands
// behind gateways: from the names that may mean such, and to no application.
func TestUnconditionalPostures(t *testing.T) {
	p := parseWard(t, `"grants": [
{"id": "a", "src": ["group:nurses", "*", "10.99.0.0/24", "tag:gw", "autogroup:tagged"], "dst": ["ct"], "ip": ["22"], "app": {"h.example/x": [1]}, "srcPosture": ["posture:sick"]},
{"id": "b", "src": ["ct"], "dst": ["ct"], "ip": ["22"], "srcPosture": ["posture:sick"], "when": {"risk": "<7"}},
{"id": "c", "src": ["group:nurses", "autogroup:member"], "dst": ["ct"], "ip": ["22"], "srcPosture": ["posture:sick"]},
{"id": "d", "src": ["*"], "dst": ["ct"], "ip": ["22"], "srcPosture": ["posture:sick"], "monitor": true, "until": "2027-01-01"},
{"id": "e", "src": ["*"], "dst": ["ct"], "ip": ["22"]}], "forbid": [{"id": "f", "src": ["*"], "dst": ["ct"], "srcPosture": ["posture:sick"]}]`)
	var got []string
	for _, r := range p.Unconditional().Rules() {
		got = append(got, fmt.Sprint(r.ID, " ", r.Beyond, " ", r.Postures, " ", r.Src, " ", len(r.Parts)))
	}
	for range p.Unconditional().Forbids() {
		t.Error("what asks for a posture forbids, where nobody has any")
	}
	want := []string{"a true [] [* 10.99.0.0/24 tag:gw] 1", "d false [posture:sick] [*] 1", "e false [] [*] 1"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if r := p.Rules()[0]; r.Beyond || len(r.Src) != 5 || len(r.Parts) != 2 || r.Postures == nil {
		t.Errorf("the policy itself has changed: %+v", r)
	}
}
