// The parser is one goroutine, and the race detector costs ten times the time.
//go:build !race

package policy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// bomb is a file that asks for more than it looks: want is empty if it may be
// read, and else part of the refusal.
type bomb struct{ name, src, want string }

func bombs() []bomb {
	grant := func(rest string) string { return `{"grants": [{` + rest + `}]}` }
	ssh := func(users string) string {
		return `{"ssh": [{"action": "accept", "src": ["a@b"], "dst": ["a@b"], "users": [` + users + `]}]}`
	}
	twenty := many(20, `"a@b",`)
	return append(crowds(), []bomb{
		{"groups", `{"groups": {` + many(100_000, `"group:g%d":[],`) + `}}`, "more than 250000"},
		{"groups that just fit", `{"groups": {` + many(80_000, `"group:g%d":[],`) + `}}`, ""},
		{"tags that own themselves", `{"tagOwners": {` + many(20_000, `"tag:g%[1]d":["tag:g%[1]d"],`) + `}}`, ""},
		{"hosts", `{"hosts": {` + many(40_000, `"g%d":"10.0.0.1",`) + `}}`, ""},
		{"50 MB of lines", strings.Repeat("\n", 50<<20), "the limit is"},
		{"50 MB of members", `{"groups": {"group:a": [` + strings.Repeat(`"a@b",`, 9<<20) + `]}}`, "the limit is"},
		{"sources", grant(`"src": [` + many(100_001, `"a%d@b",`) + `], "dst": ["*"], "ip": ["*"]`), "100001 entries"},
		{"combinations", `{"grants": [` + many(9_000, `{"src":[`+twenty+`],"dst":[`+twenty+`],"ip":["1","2"]},`) + `]}`, "more than 250000"},
		{"combinations that fit", `{"grants": [` + many(1_500, `{"src":[`+twenty+`],"dst":[`+twenty+`],"ip":["1","2"]},`) + `]}`, ""},
		{"ports of one destination", `{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:1` + many(500_000, ",2") + `"]}]}`, "more than 1000 ports"},
		{"ports of many", `{"acls": [{"action": "accept", "src": ["*"], "dst": [` + many(300, `"*:1`+many(999, ",2")+`",`) + `]}]}`, ""},
		{"services of a grant", grant(`"src": ["*"], "dst": [` + many(2_000, `"a@b",`) + `], "ip": [` + many(1_990, `"1%d",`) + `]`), ""},
		{"vias", `{"tagOwners": {"tag:a": []}, "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "via": [` + many(40_000, `"tag:a",`) + `]}]}`, ""},
		{"capabilities", grant(`"src": ["*"], "dst": ["*"], "app": {` + many(30_000, `"a/b%d":[],`) + `}`), ""},
		{"values of a capability", grant(`"src": ["*"], "dst": ["*"], "app": {"a/b": [` + many(100_000, `1,`) + `]}`), "more than 65536 bytes"},
		{"capabilities to many", grant(`"src": [` + many(3_000, `"a@b",`) + `], "dst": ["*"], "app": {` + many(3_000, `"a/b%d":[],`) + `}`), "combinations"},
		{"postures by default", `{"postures": {"posture:a": ["a:b is set"]}, "defaultSrcPosture": [` + many(30_000, `"posture:a",`) + `], "grants": [` + many(1_000, `{"src":[],"dst":[],"ip":["1"]},`) + `]}`, "names more than 16 postures"},
		{"conditions", `{"postures": {"posture:a": [` + many(200, `"a:b in [`+many(1_900, "1,")+`1]",`) + `]}}`, "the limit is 262144"},
		{"escapes", `{"postures": {"posture:a": ["` + many(300_000, `\u0041`) + `"]}}`, "the limit is 262144"},
		{"ssh rules", `{"ssh": [` + many(10_001, `{},`) + `]}`, "more than 10000 rules"},
		{"ssh tests", `{"sshTests": [` + many(10_001, `{},`) + `]}`, "more than 10000 tests"},
		{"attributes", `{"nodeAttrs": [` + many(10_001, `{},`) + `]}`, "more than 10000 entries"},
		{"tests", `{"tests": [` + many(10_001, `{},`) + `]}`, "more than 10000 tests"},
		{"accounts", ssh(many(30_000, `"x%d",`)), ""},
		{"attributes of all", `{"nodeAttrs": [{"target": ["*"], "attr": [` + many(30_000, `"x%d",`) + `]}]}`, ""},
		{"ssh rules of one group", `{"groups": {"group:g": [` + many(20_000, `"a%d@b",`) + `]}, "tagOwners": {"tag:a": []}, "ssh": [` + many(10_000, `{"action":"accept","src":["group:g"],"dst":["tag:a"],"users":["u%d"]},`) + `]}`, ""},
		{"ssh rules of many", `{"tagOwners": {"tag:a": []}, "ssh": [` + many(3_000, `{"action":"accept","src":[`+twenty+`],"dst":["tag:a"],"users":[`+many(50, `"u%%[1]d%d",`)+`]},`) + `]}`, ""},
		{"attributes of many, that fit", `{"nodeAttrs": [{"target": [` + many(2_000, `"a%d@b",`) + `], "attr": [` + many(2_000, `"x%d",`) + `]}]}`, ""},
		{"capabilities of a long name", grant(`"src": ["` + strings.Repeat("a", 1_800_000) + `@b"], "dst": ["*"], "app": {` + many(30_000, `"a/b%d":[],`) + `}`), ""},
		{"groups that are used once", `{"groups": {"group:g": [` + many(99_999, `"a%d@b",`) + `]}, "nodeAttrs": [{"target": ["group:g"], "attr": ["x"]}]}`, ""},
		{"attributes of many", `{"nodeAttrs": [{"target": [` + many(3_000, `"a@b",`) + `], "attr": [` + many(3_000, `"x%d",`) + `]}]}`, "combinations"},
		{"foreign domains", `{"groups": {}, "ssh": [{"action": "accept", "src": [` + many(30_000, `"user:*@x",`) + `]}]}`, "does not own"},
		{"unknown tags", `{"ssh": [{"action": "accept", "src": [` + many(30_000, `"tag:x%d",`) + `]}]}`, "tag not found"},
		{"sites", `{"sites": {` + many(1_001, `"s%d": {},`) + `}}`, "defines more than 1000"},
		{"nets of a site", `{"sites": {"a": {"id": 1, "nets": [` + many(1_001, `"10.0.0.%d",`) + `]}}}`, "more than 1000 nets"},
		{"ports behind a word", `{"services": {"a": [` + many(1_000, `"tcp:2%03d7",`) + `]}, "grants": [` + many(100, `{"src":["*"],"dst":["*"],"ip":[`+many(1_000, `"service:a",`)+`]},`) + `]}`, "combinations"},
		{"ports of a service", `{"services": {"a": [` + many(1_001, `"tcp:1%03d",`) + `]}}`, "more than 1000 ports"},
		{"segments of one tag", `{"tagOwners": {"tag:a": []}, "groups": {"group:a": []}, "segments": {` + many(900, `"seg:s%d": {"members": ["tag:a"], "owner": "group:a", "requires": {"risk": "<9"}},`) + `}, "grants": [` +
			many(9_000, `{"src":["*"],"dst":["tag:a"],"ip":["1"],"when":{"risk":"<9"}},`) + `]}`, "combinations"},
		{"a segment of many", `{"tagOwners": {` + many(20_000, `"tag:g%d":[],`) + `}, "segments": {"seg:a": {"members": [` + many(20_000, `"tag:g%d",`) + `], "owner": "a@b"}}, "grants": [` + many(201, `{"src":["*"],"dst":["seg:a"],"ip":["1"]},`) + `]}`, "combinations"},
		{"segments of one set", `{"ipsets": {"ipset:a": [` + addresses(40_000) + `]}, "segments": {` + many(900, `"seg:s%d": {"members": ["ipset:a"], "owner": "a@b", "requires": {"risk": "<9"}},`) + `}}`, ""},
		{"sets of the same", `{"ipsets": {` + many(400, `"ipset:a%d": [`+addresses(400)+`],`) + `}, "segments": {` + many(400, `"seg:s%[1]d": {"members": ["ipset:a%[1]d"], "owner": "a@b", "requires": {"risk": "<9"}},`) + `}}`, ""},
		{"a member many times", `{"tagOwners": {"tag:a": []}, "segments": {"seg:a": {"members": [` + many(50_000, `"tag:a",`) + `], "owner": "a@b", "requires": {"risk": "<9"}}}, "grants": [` + many(200, `{"src":["a@b"],"dst":["tag:a"],"ip":["1"],"when":{"risk":"<9"}},`) + `]}`, ""},
		{"networks in many segments", `{"segments": {` + many(450, `"seg:s%d": {"members": ["10.0.0.0/8"], "owner": "a@b", "requires": {"risk": "<9"}},`) + `"seg:t": {"members": [` + strings.ReplaceAll(addresses(20_000), `"100.`, `"10.`) + `], "owner": "a@b", "requires": {"risk": "<9"}}}, "grants": [{"src": ["a@b"], "dst": [` + strings.ReplaceAll(addresses(20_000), `"100.`, `"10.`) + `], "ip": ["1"], "when": {"risk": "<9", "session": "tap"}}]}`, "combinations"},
		{"forbids", `{"forbid": [` + many(1_001, `{},`) + `]}`, "more than 1000 rules that forbid"},
		{"forbids of all levels", `{"lockdown": {` + many(11, `"l%d": {"by": "a@b", "forbid": [`+many(100, `{"src":["*"],"dst":["*"]},`)+`]},`) + `}}`, "more than 1000 rules that forbid"},
		{"forbids and rules", `{"forbid": [` + many(1_000, `{"src":["*"],"dst":["*"],"ip":["2"]},`) + `], "grants": [` + many(9_000, `{"src":["*"],"dst":["*"],"ip":["1"]},`) + `]}`, ""},
		{"break-glass", `{"breakGlass": [` + many(1_001, `{},`) + `]}`, "more than 1000 ways"},
		{"assets", `{"assets": [` + many(10_001, `{},`) + `]}`, "more than 10000 assets"},
		{"a regular expression", `{"approvals": {"approve:a": {"ticket": "` + many(300, "a") + `"}}}`, "longer than 256 bytes"},
		{"regular expressions", `{"approvals": {` + many(900, `"approve:a%d": {"ticket": "(a{99}b{99}c{99}d{99}e{99}f{99}){9}"},`) + `}}`, "up to here are too large"},
		{"methods of a login", `{"grants": [{"src":["*"],"dst":["*"],"ip":["*"],"when":{"mfa":{"amr":[` + many(17, `"hwk",`) + `]}}}]}`, "more than 16 methods"},
		{"a long duration", `{"breakGlass": [{"maxDuration": "` + many(1_000_000, "1h") + `"}]}`, "is no duration"},
		{"attributes of a test", `{"tests": [{"src": "a@b", "srcPostureAttrs": {` + many(1_001, `"a:b%d": 1,`) + `}}]}`, "defines more than 1000"},
		{"nesting", `{"grants": [{"app": {"a/b": ` + strings.Repeat("[", 1_000_000) + `}}]}`, "nested deeper"},
	}...)
}

// addresses is n entries of a list: addresses of the mesh's own range.
func addresses(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"100.%d.%d.%d",`, 64+i>>16, i>>8&255, i&255)
	}
	return b.String()
}

// spans is n entries of a list: five minutes of the week each, that do not touch.
func spans(n int) string {
	var b strings.Builder
	for i := range n {
		day, quarter := i%7, i/7
		fmt.Fprintf(&b, `"%s %02d:%02d-%02d:%02d",`, []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}[day], quarter/4, quarter%4*15, quarter/4, quarter%4*15+5)
	}
	return b.String()
}

// overlapping is n segments: each address of a thousand is in another set of them.
func overlapping(n int) string {
	var b strings.Builder
	for bit := range n {
		fmt.Fprintf(&b, `"seg:o%d": {"owner":"a@b","members":[`, bit)
		for i := range 1 << n {
			if i>>bit&1 == 1 {
				fmt.Fprintf(&b, `"100.64.%d.%d",`, i>>8, i&255)
			}
		}
		b.WriteString("]},")
	}
	return b.String()
}

// crowds are policies that would be bombs where they are compiled: few words name many
// addresses, and many rules hold them all; or each rule is many to a node.
func crowds() []bomb {
	rules := func(n int, rule string) string { return `"grants": [` + many(n, rule) + `]` }
	anybody := rules(8_000, `{"src":["*"],"dst":["a@b"],"ip":["1"]},`)
	forbid := func(src string) string { return `"forbid": [{"src": [` + src + `], "dst": ["*"]}]` }
	segments := func(n int, member string) string {
		return `"segments": {` + many(n, `"seg:s%[1]d": {"owner":"a@b","members":["`+member+`"]},`) + `}`
	}
	schedule := func(n int) string { return `"schedules": {"s": {"tz": "UTC", "weekly": [` + spans(n) + `]}}` }
	postures := `"postures": {` + many(16, `"posture:p%d": ["a:b == 1"],`) + `}`
	asking := `{"src":["a@b"],"dst":["*"],"ip":["1"],"srcPosture":[` + many(16, `"posture:p%d",`) + `],"when":{"schedule":"s"}},`
	scattered := `"ipsets": {"ipset:a": [` + many(250, `"100.64.%d.1-100.64.%[1]d.254",`) + many(250, `"100.65.%d.1-100.65.%[1]d.254",`) + `]}`
	return []bomb{
		{"addresses under rules from *", `{` + anybody + `, ` + forbid(addresses(60_000)) + `}`, "fall"},
		{"addresses under rules from a network", `{` + rules(8_000, `{"src":["100.64.0.0/10"],"dst":["a@b"],"ip":["1"]},`) + `, ` + forbid(addresses(60_000)) + `}`, "fall"},
		{"an ipset under rules from *", `{` + anybody + `, ` + scattered + `, ` + forbid(`"ipset:a"`) + `}`, "fall"},
		{"an ipset in many rules", `{` + scattered + `, ` + rules(9_000, `{"src":["a@b"],"dst":["ipset:a"],"ip":["1"]},`) + `}`, "fall"},
		{"ipsets around addresses", `{"ipsets": {` + many(12_000, `"ipset:s%d":["100.64.0.0/10"],`) + `}, "grants": [{"src":[` + many(12_000, `"ipset:s%d",`) + addresses(60_000) + `],"dst":["*"],"ip":["1"]}]}`, "fall"},
		{"segments around addresses", `{` + segments(900, "100.64.0.0/10") + `, "grants": [{"src":[` + addresses(60_000) + `],"dst":["*"],"ip":["1"]}]}`, "fall"},
		{"sets of segments", `{"segments": {` + many(100, `"seg:s%d": {"owner":"a@b","members":["100.64.0.0/10"]},`) + overlapping(10) + `}, "grants": []}`, "fall"},
		{"segments under rules to a network", `{` + segments(200, "100.64.0.%[1]d") + `, ` + rules(8_000, `{"src":["*"],"dst":["100.64.0.0/10"],"ip":["1"]},`) + `}`, "this one comes to 201"},
		{"segments under rules to *", `{` + segments(200, "100.64.0.%[1]d") + `, ` + rules(8_000, `{"src":["a@b"],"dst":["*"],"ip":["1"]},`) + `}`, "this one comes to 201"},
		{"a schedule of many spans", `{` + schedule(600) + `, "grants": []}`, "opens 600 times a week"},
		{"a schedule in many rules", `{` + schedule(300) + `, ` + rules(8_000, `{"src":["*"],"dst":["*"],"ip":["1"],"when":{"schedule":"s"}},`) + `}`, "this one comes to 300"},
		{"postures and spans", `{` + schedule(100) + `, ` + postures + `, ` + rules(1_000, asking) + `}`, "this one comes to 1600"},
		{"what needs no posture, too", `{` + schedule(100) + `, ` + postures + `, ` + rules(1_000, strings.Replace(asking, "a@b", "*", 1)) + `}`, "this one comes to 1700"},
		{"postures and spans that fit", `{` + schedule(14) + `, ` + postures + `, ` + rules(2_000, asking) + `}`, ""},
		{"hosts of a large hospital", `{"grants": [` + many(200, `{"src":["*"],"dst":["a@b"],"ip":["1"]},`) + `{"src":["a@b"],"dst":[` + addresses(15_000) + `],"ip":["443"]}]}`, ""},
	}
}

// Whatever a file asks for, reading it costs a bounded amount of memory: who
// may ask for a check must not be able to end the coordinator.
func TestBombs_A47(t *testing.T) {
	for _, b := range bombs() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, _, err := policy.Options{Domains: []string{"h.example"}}.Parse("p", []byte(b.src))
		runtime.ReadMemStats(&after)
		if (b.want == "") != (p != nil) || (err != nil && !strings.Contains(err.Error(), b.want)) {
			t.Errorf("%s: %.200v, want %q", b.name, err, b.want)
		}
		if grown := (after.TotalAlloc - before.TotalAlloc - uint64(len(b.src))) >> 20; grown > 210 {
			t.Errorf("%s: %d MB were allocated for %d KB", b.name, grown, len(b.src)>>10)
		}
	}
}

// A group of a hospital's size in each of a thousand rules takes no step for each of its
// people in each of them: the last rule is looked at, too.
func TestUnreachedLooksIntoLargeGroupsOnce(t *testing.T) {
	groups := `"group:all": [` + many(99_000, `"a%d@h.example",`) + `], "group:some": [` + many(90_000, `"a%d@h.example",`) + `]`
	rule := func(src, port string) string {
		return `{"src": [` + src + `], "dst": ["tag:ehr"], "ip": ["` + port + `"]},`
	}
	for _, last := range []string{`"group:none", "group:some"`, `"a98999@h.example"`} {
		src := `"grants": [` + many(1000, rule(`"group:all"`, "tcp:1%d")) + many(40, rule(`"group:some"`, "tcp:1%d")) + "\n" + rule(last, "tcp:1999") + `]`
		got := warnedOf(t, `{"groups": {"group:none": [], `+groups+`}, "tagOwners": {"tag:ehr": []}, `+src+`}`)
		if want := "p:2:1: is never asked: the rule in line 1"; !strings.Contains(got, want) || strings.Count(got, "never") != 41 {
			t.Errorf("from %s: %.300s", last, got)
		}
	}
}

// BenchmarkRulesFromALargeGroup reads rules from one group of a hospital's size.
func BenchmarkRulesFromALargeGroup(b *testing.B) {
	for _, rules := range []int{50, 1000} {
		b.Run(fmt.Sprint(rules), func(b *testing.B) {
			src := []byte(`{"groups": {"group:all": [` + many(99_000, `"a%d@h.example",`) + `]}, "tagOwners": {"tag:ehr": []}, "grants": [` +
				many(rules, `{"src": ["group:all"], "dst": ["tag:ehr"], "ip": ["tcp:1%d"]},`) + `]}`)
			for b.Loop() {
				if _, _, err := policy.Parse("p", src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
