package compile_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// kindOf gives, by the kind of a condition as break-glasses waive it, what of a rule
// or a floor asks for it. None of them holds of a bare node at wardStart.
func kindOf() map[string]string {
	return map[string]string{
		"mfa": `"mfa": {"within": "8h"}`, "posture": `"posture": ["posture:managed"]`, "schedule": `"schedule": "never"`,
		"session": `"session": "tap"`, "oncall": `"oncall": "icu"`, "risk": `"risk": "<70"`,
	}
}

// keyed gives a key with what it asks for; nothing for nothing, which may not be written.
func keyed(key, conditions string) string {
	if conditions == "" {
		return ""
	}
	return fmt.Sprintf(`, %q: {%s}`, key, conditions)
}

// waived compiles sections with a person at 1, a machine at 2 and the segment's only
// node at 3, on a Monday at noon.
func waived(t *testing.T, requires, rest string) *compile.Mesh {
	t.Helper()
	nodes := []compile.Node{bedNode(1, "ada@h"), bedNode(2, "tag:cart"), bedNode(3, "tag:ehr")}
	nodes[0].Facts = []acl.FactEnd{{Fact: "break-glass:broken", Until: compile.Forever()}}
	return bed(t, `"oncall": {"icu": {"ics": "icu.ics"}}, "approvals": {"approve:one": {"by": ["group:nurses"], "maxDuration": "4h"}},
"segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:nurses"`+keyed("requires", requires)+`}, "seg:other": {"members": ["tag:gw"], "owner": "group:nurses"}}, `+rest,
		wardStart(), nodes...)
}

func lift(kinds ...string) string {
	return fmt.Sprintf(`, "breakGlass": [{"id": "down", "segments": ["seg:ehr"], "waives": [%s], "declare": {"by": "group:nurses", "count": 1}, "maxDuration": "72h", "alert": ["group:nurses"]}]`, quoted(kinds))
}

// others gives all kinds but one.
func others(kind string) []string {
	all := append(slices.Sorted(maps.Keys(kindOf())), "approval")
	return slices.DeleteFunc(all, func(k string) bool { return k == kind })
}

// Each kind of condition, in a rule and as a floor, binds; is lifted by a declared
// break-glass that waives it and by no other; and, if it is about people, binds no
// machine. Floors bind people alone.
func TestConditionsBindAndAreLifted(t *testing.T) {
	opens := func(what string, m *compile.Mesh, src int, want bool) {
		t.Helper()
		if got := opensTCP(m, bedAddr(src).String(), "100.64.0.3"); got != want {
			t.Errorf("%s: open from %d is %v", what, src, got)
		}
		checkBothEnds(t, what, m, src, 3, want)
	}
	all := compile.Declared{Glass: map[string]time.Time{"down": wardStart().Add(time.Hour)}}
	check := func(kind, requires, grant string) {
		t.Helper()
		rule := `"grants": [{"src": ["ada@h", "tag:cart"], "dst": ["tag:ehr"], "ip": ["*"]` + grant + `}]`
		bare := waived(t, requires, rule)
		machine := requires != "" || strings.Contains("mfa session oncall", kind)
		opens(kind, bare, 1, false)
		opens(kind, bare, 2, machine)
		m := waived(t, requires, rule+lift(kind))
		opens(kind+" not declared", m, 1, false)
		m.Declare(all)
		opens(kind+" waived", m, 1, true)
		m = waived(t, requires, rule+lift(others(kind)...))
		m.Declare(all)
		opens("all but "+kind+" waived", m, 1, false)
	}
	for kind, text := range kindOf() {
		check(kind, "", `, "when": {`+text+`}`)
		check(kind, text, "")
	}
	check("posture", "", `, "srcPosture": ["posture:managed"]`)
	check("approval", "", `, "approval": "approve:one"`)
}

// A break-glass that is a rule of its own need not keep the floors that it waives,
// and all others; what is declared lifts none of them.
func TestBrokenGlassWaives(t *testing.T) {
	for kind, text := range kindOf() {
		glass := func(kinds ...string) *compile.Mesh {
			m := waived(t, text, fmt.Sprintf(`"breakGlass": [{"id": "broken", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "waives": [%s], "maxDuration": "1h", "alert": ["group:nurses"]}, %s`,
				quoted(kinds), strings.TrimPrefix(lift(kind), `, "breakGlass": [`)))
			m.Declare(compile.Declared{Glass: map[string]time.Time{"down": wardStart().Add(time.Hour)}})
			return m
		}
		if !opensTCP(glass(kind), "100.64.0.1", "100.64.0.3") {
			t.Errorf("a broken glass that waives %s is shut", kind)
		}
		if opensTCP(glass(others(kind)...), "100.64.0.1", "100.64.0.3") {
			t.Errorf("a broken glass that does not waive %s is open", kind)
		}
	}
}

// checkBothEnds judges by the rules of both ends.
func checkBothEnds(t *testing.T, what string, m *compile.Mesh, src, dst int, want bool) {
	t.Helper()
	from, to := fmt.Sprintf("n%d", src), fmt.Sprintf("n%d", dst)
	as := asking{seat{class: m.Prefixes(from)[0].Class}, seat{class: m.Prefixes(to)[0].Class}, acl.Service{Protocol: acl.TCP, First: 443}, m.Facts(from), wardStart()}
	for end, rs := range map[string][2][]acl.Rule{from: {m.Rules(from).ForbidOut, m.Rules(from).Out}, to: {m.Rules(to).ForbidIn, m.Rules(to).In}} {
		if got := as.verdict(rs[0], rs[1]); got.allow != want {
			t.Errorf("%s: by the rules of %s open is %v", what, end, got.allow)
		}
	}
}

// A lift ends when it was declared to, and holds into those segments alone.
func TestLiftsAreBounded(t *testing.T) {
	m := waived(t, `"mfa": {"within": "8h"}`, `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr", "tag:cart"], "ip": ["*"], "when": {"oncall": "icu"}}]`+lift("mfa", "oncall"))
	until := wardStart().Add(time.Hour)
	m.Declare(compile.Declared{Glass: map[string]time.Time{"down": until}})
	if opensTCP(m, "100.64.0.1", "100.64.0.2") {
		t.Error("it lifts what leads into no segment")
	}
	lifted := m.Rules("n3").In[0]
	if !lifted.NotAfter.Equal(until) || len(lifted.Needs) > 0 || len(m.Rules("n3").In) != 2 || len(m.Rules("n3").In[1].Needs) != 2 {
		t.Errorf("rules %+v", m.Rules("n3").In)
	}
	for now, want := range map[time.Time]bool{until.Add(-time.Second): true, until: false} {
		if m.Advance(now); opensTCP(m, "100.64.0.1", "100.64.0.3") != want {
			t.Errorf("at %s it is open: %v", now, !want)
		}
	}
}

// What is in two segments is protected by both: who may lift the conditions of one lifts
// nothing there, be the floor of the other met or of another kind.
func TestLiftOfOneSegmentIsNoneInTwo(t *testing.T) {
	for segments, lifted := range map[string]bool{`"seg:ehr"`: false, `"seg:all"`: false, `"seg:ehr", "seg:all"`: true, `"seg:all", "seg:far", "seg:ehr"`: true} {
		m := bed(t, `"segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:nurses", "requires": {"mfa": {"within": "8h"}}},
	"seg:all": {"members": ["100.64.0.0/29"], "owner": "group:nurses", "requires": {"risk": "<70"}}, "seg:far": {"members": ["10.0.0.0/8"], "owner": "group:nurses"}},
"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"]}],
"breakGlass": [{"id": "down", "segments": [`+segments+`], "waives": ["mfa", "risk"], "declare": {"by": "group:nurses"}, "maxDuration": "72h", "alert": ["group:nurses"]}]`,
			wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
		m.Declare(compile.Declared{Glass: map[string]time.Time{"down": compile.Forever()}})
		if got := opensTCP(m, "100.64.0.1", "100.64.0.2"); got != lifted {
			t.Errorf("a glass for %s: it is open: %v", segments, got)
		}
		if got := slices.ContainsFunc(m.Rules("n2").In, func(r acl.Rule) bool { return len(r.Needs) == 0 }); got != lifted {
			t.Errorf("a glass for %s: the node lets anybody in: %v", segments, got)
		}
	}
}
