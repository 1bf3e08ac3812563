package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// reachRule is a rule of a drawn policy.
type reachRule struct {
	id, ends string
	asks     string // a condition; empty: for nothing
}

func drawReachRules(t *rapid.T) []reachRule {
	some := func(name string, most int, of ...string) string {
		return strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(of), 1, most, rapid.ID[string]).Draw(t, name), ", ")
	}
	all := make([]reachRule, rapid.IntRange(2, 9).Draw(t, "rules"))
	for i := range all {
		src := some("src", 3, "*", "autogroup:danger-all", "autogroup:member", "autogroup:tagged", "autogroup:admin", "user:*@h.example", "ada@h.example", "bob@h.example", "eve@x.example",
			"group:all", "group:nurses", "group:ward", "group:others", "group:none", "tag:gw", "tag:pump", "ct", "10.0.0.0/8", "ipset:imaging", "ipset:parts", "seg:ehr")
		all[i] = reachRule{
			id: fmt.Sprint("r", i), ends: entry(src + " > " + some("dst", 2, "tag:ehr", "seg:ehr", "10.20.0.0/16", "ct")),
			asks: rapid.SampledFrom([]string{"", "", "", `, "when": {"risk": "<70"}`, `, "log": "off"`}).Draw(t, "asks"),
		}
		all[i].ends = strings.ReplaceAll(all[i].ends, "tcp:443", rapid.SampledFrom([]string{"tcp:443", "tcp:*"}).Draw(t, "ip"))
	}
	return all
}

// Which rules are never asked is looked up by the names of their sources. That finds just
// what asking each rule before would find: a rule that asks for nothing opens all of
// another where, as one that forbids, it would leave nothing of it.
func TestUnreachedIsWhatTheFirstRuleBeforeOpens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules := drawReachRules(rt)
		var grants []string
		for _, r := range rules {
			grants = append(grants, `{"id": "`+r.id+`", `+r.ends+r.asks+`}`)
		}
		got := warned(t, `"grants": [`+strings.Join(grants, ",\n")+`]`)
		var openers []reachRule
		for _, r := range rules {
			if strings.Contains(got, `"`+r.id+`": opens nothing`) {
				continue // its source is an empty group
			}
			want := ""
			for _, o := range openers {
				if want == "" && covers(t, o, r) {
					want = fmt.Sprintf("%q: is never asked: the rule %q in line", r.id, o.id)
				}
			}
			if told := strings.Contains(got, `"`+r.id+`": is never asked`); told != (want != "") || !strings.Contains(got, want) {
				rt.Fatalf("%s\nwant %q of %s, got %s", strings.Join(grants, ",\n"), want, r.id, got)
			}
			if want == "" && r.asks == "" || want == "" && strings.Contains(r.asks, "log") {
				openers = append(openers, r)
			}
		}
	})
}

func covers(t *testing.T, o, r reachRule) bool {
	t.Helper()
	all := warned(t, `"grants": [{"id": "then", `+r.ends+`}], "forbid": [{"id": "first", `+o.ends+`}]`)
	return strings.Contains(all, `"then": opens nothing: the forbid "first"`)
}

// Of several rules that open all of another one, the first is told, by whatever name.
func TestUnreachedNamesTheFirst(t *testing.T) {
	const to = ` > tag:ehr`
	for _, c := range [][2]string{{"group:all", "user:*@h.example"}, {"user:*@h.example", "group:all"}, {"group:all", "group:others"}} {
		got := warned(t, `"grants": [{"id": "first", `+entry(c[0]+to)+`}, {"id": "second", `+entry(c[1]+to)+`}, {`+entry("bob@h.example"+to)+`}]`)
		if strings.Count(got, "never") != 1 || !strings.Contains(got, `never asked: the rule "first"`) {
			t.Errorf("of %v: %s", c, got)
		}
	}
}
