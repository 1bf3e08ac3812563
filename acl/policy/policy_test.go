package policy_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

func parse(t *testing.T, src string) *policy.Policy {
	t.Helper()
	p, _, err := policy.Parse("p.hujson", []byte(src))
	if err != nil {
		t.Fatalf("Parse(%s):\n%v", src, err)
	}
	return p
}

// world is a policy with something of every kind, and room for rules.
func world(sections string) string {
	return `{"groups": {"group:eng": ["ada@h.example", "ben@h.example"], "group:none": []},
"tagOwners": {"tag:web": ["group:eng"], "tag:db": ["tag:web"], "tag:loop": ["tag:loop"]},
"hosts": {"ct": "10.20.30.11", "vlan": "10.20.0.0/16", "six": "fd00::7"},
` + sections + `}`
}

// show writes rules as a reader would: one line a part.
func show(p *policy.Policy) string {
	var b strings.Builder
	for _, r := range p.Rules() {
		for _, part := range r.Parts {
			dst := fmt.Sprint(part.Dst)
			if part.Self {
				dst = "self"
			}
			fmt.Fprintf(&b, "%v > %s %s\n", r.Src, dst, open(part.Open))
		}
	}
	return b.String()
}

func open(services []acl.Service) string {
	var all []string
	for _, s := range services {
		all = append(all, fmt.Sprintf("%d:%d-%d", s.Protocol, s.First, s.Last))
	}
	return strings.Join(all, ",")
}

func TestRulesRead(t *testing.T) {
	const all = "1:0-65535,6:0-65535,17:0-65535,58:0-65535"
	acl := func(rest string) string { return `"acls": [{"action": "accept", ` + rest + `}]` }
	grant := func(rest string) string { return `"grants": [{` + rest + `}]` }
	tests := []struct{ name, section, want string }{
		{"acl, default protocols", acl(`"src": ["*"], "dst": ["*:*"]`), "[*] > [*] " + all},
		{"ports without protocol open no other ICMP", acl(`"src": ["tag:web"], "dst": ["tag:db:22"]`), "[tag:web] > [tag:db] 6:22-22,17:22-22"},
		{"port list and range", acl(`"src": ["tag:web"], "dst": ["tag:db:22,80-443,81"], "proto": "tcp"`), "[tag:web] > [tag:db] 6:22-22,6:80-443"},
		{"touching ports join", acl(`"src": ["tag:web"], "dst": ["ct:1-5,6"], "proto": "udp"`), "[tag:web] > [ct] 17:1-6"},
		{"icmp is protocol 1 only", acl(`"src": ["*"], "dst": ["six:*"], "proto": "icmp"`), "[*] > [six] 1:0-65535"},
		{"protocol by number", acl(`"src": ["*"], "dst": ["six:*"], "proto": "47"`), "[*] > [six] 47:0-65535"},
		{"IPv6 in brackets", acl(`"src": ["*"], "dst": ["[fd00::1]:22", "[fd00::]/48:22", "fd00::2:22"], "proto": "tcp"`), "[*] > [fd00::1 fd00::/48 fd00::2] 6:22-22"},
		{"ports differ, parts differ", acl(`"src": ["*"], "dst": ["ct:22", "vlan:80", "tag:db:22"], "proto": "tcp"`), "[*] > [ct tag:db] 6:22-22\n[*] > [vlan] 6:80-80"},
		{"self apart", acl(`"src": ["*"], "dst": ["autogroup:self:*", "tag:db:*"]`), "[*] > self " + all + "\n[*] > [tag:db] " + all},
		{"blanks trimmed", `"acls": [{"action": " accept ", "src": [" group:eng "], "dst": [" ct : 22 "], "proto": " tcp "}]`, "[group:eng] > [ct] 6:22-22"},
		{"old names", acl(`"Users": ["ada@h.example"], "Ports": ["ct:22"], "proto": "tcp"`), "[ada@h.example] > [ct] 6:22-22"},
		{"grant, all", grant(`"src": ["*"], "dst": ["*"], "ip": ["*"]`), "[*] > [*] " + all},
		{"grant, bare ports", grant(`"src": ["*"], "dst": ["ct"], "ip": ["22", "80-443"]`), "[*] > [ct] 6:22-22,6:80-443,17:22-22,17:80-443"},
		{"grant, 47 is a port", grant(`"src": ["*"], "dst": ["ct"], "ip": ["47"]`), "[*] > [ct] 6:47-47,17:47-47"},
		{"grant, a list of ports", grant(`"src": ["*"], "dst": ["ct"], "ip": ["tcp:22, 80-90", "53,54"]`), "[*] > [ct] 6:22-22,6:53-54,6:80-90,17:53-54"},
		{"grant, protocols", grant(`"src": ["*"], "dst": ["ct"], "ip": ["tcp:22", "icmp:*", "tcp:*", "47:*"]`), "[*] > [ct] 1:0-65535,6:0-65535,47:0-65535"},
		{"grant, self", grant(`"src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["tcp:22"]`), "[autogroup:member] > self 6:22-22"},
		{"empty src has no effect", grant(`"src": [], "dst": ["ct"], "ip": ["*"]`), "[] > [ct] " + all},
		{"empty dst has no effect", grant(`"src": ["*"], "dst": [], "ip": ["*"]`), ""},
		{"null lists are empty", grant(`"src": null, "dst": null, "ip": ["*"]`), ""},
		{"empty narrowing keys narrow nothing", grant(`"src": ["*"], "dst": ["ct"], "ip": ["tcp:1"], "via": [], "srcPosture": null`), "[*] > [ct] 6:1-1"},
		{"empty group", grant(`"src": ["group:none"], "dst": ["ct"], "ip": ["tcp:1"]`), "[group:none] > [ct] 6:1-1"},
		{"grants come first", acl(`"src": ["*"], "dst": ["ct:1"], "proto": "tcp"`) + `, ` + grant(`"src": ["*"], "dst": ["ct"], "ip": ["tcp:2"]`), "[*] > [ct] 6:2-2\n[*] > [ct] 6:1-1"},
		{"section in another letter case", `"ACLs": []`, ""},
		{"null section", `"acls": null`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.TrimSpace(show(parse(t, world(tt.section)))); got != tt.want {
				t.Errorf("%s\n got %s\nwant %s", tt.section, got, tt.want)
			}
		})
	}
}

func TestNoRulesDeny(t *testing.T) {
	var none *policy.Policy
	if len(none.Rules()) != 0 || len(none.Tests()) != 0 || none.Name() != "" {
		t.Error("a nil policy says something")
	}
	for _, src := range []string{`{}`, `{"acls": []}`, `{"grants": []}`, `{"groups": {}}`, `{"ssh": [{"action": "accept"}], "nodeAttrs": []}`, policy.Starter()} {
		if rules := parse(t, src).Rules(); len(rules) != 0 {
			t.Errorf("%.40s has rules: %v", src, rules)
		}
	}
}

func TestIDs(t *testing.T) {
	id := func(rule string) acl.RuleID { return parse(t, world(`"grants": [`+rule+`]`)).Rules()[0].ID }
	plain := id(`{"src": ["*"], "dst": ["ct"], "ip": ["tcp:22"]}`)
	if !strings.HasPrefix(string(plain), "sha256:") || len(plain) != len("sha256:")+16 {
		t.Errorf("unwritten id is %q", plain)
	}
	if again := id("// why\n{\"ip\": [\"tcp:22\"], /* x */ \"dst\": [\" ct\"], \"src\": [\"*\",],}"); again != plain {
		t.Errorf("a comment changed the id: %q, %q", plain, again)
	}
	if other := id(`{"src": ["*"], "dst": ["ct"], "ip": ["tcp:23"]}`); other == plain {
		t.Error("another port has the same id")
	}
	if written := id(`{"id": "ward", "src": ["*"], "dst": ["ct"], "ip": ["tcp:22"]}`); written != "ward" {
		t.Errorf("written id is %q", written)
	}
}

func TestPositions(t *testing.T) {
	p := parse(t, "{\"hosts\": {\"ct\": \"10.0.0.1\"},\n \"grants\": [\n\t/* é */ {\"src\": [\"*\"], \"dst\": [\"ct\"], \"ip\": [\"*\"]}, {\"src\": [\"*\"], \"dst\": [\"ct\"], \"ip\": [\"1\"]}]}")
	if got := p.Rules()[0].Pos.String(); got != "p.hujson:3:10" {
		t.Errorf("first rule at %s", got)
	}
	if got := p.Rules()[1].Pos.String(); got != "p.hujson:3:54" {
		t.Errorf("second rule at %s", got)
	}
}

func TestApproversAndTests(t *testing.T) {
	p := parse(t, world(`"autoApprovers": {"routes": {"10.0.0.0/8": ["tag:web"], "0.0.0.0/0": []}, "exitNode": ["tag:web"]},
"tests": [{"src": "ada@h.example", "accept": ["tag:web:443"], "deny": ["ct:22", "[fd00::9]:5"], "proto": "tcp"}, {"src": "tag:web", "deny": ["tag:db:1"]}]`))
	a := p.AutoApprovers()
	if got := fmt.Sprint(a.Routes, a.ExitNode); got != "[{0.0.0.0/0 []} {10.0.0.0/8 [tag:web]}] [tag:web]" {
		t.Error(got)
	}
	tests := p.Tests()
	if got := fmt.Sprint(tests[0].Protocols, tests[0].Deny[1].Dst.Prefix, tests[0].Deny[1].Port, tests[1].Protocols); got != "[6] fd00::9/128 5 [6 17]" {
		t.Error(got)
	}
}

// TestErrors reads testdata/errors.txt: a policy, a line of dashes, and every
// error that it must give. CORDON_GOLDEN=1 writes the file anew.
func TestErrors(t *testing.T) {
	golden(t, "testdata/errors.txt", func(src string) string {
		_, _, err := policy.Parse("p", []byte(src))
		var all policy.Errors
		if err != nil && !errors.As(err, &all) {
			t.Errorf("%s: error of type %T", src, err)
		}
		if err == nil {
			return "no error"
		}
		return err.Error()
	})
}

func TestWarnings(t *testing.T) {
	golden(t, "testdata/warnings.txt", func(src string) string {
		_, warnings, err := policy.Parse("p", []byte(src))
		if err != nil {
			return "error: " + err.Error()
		}
		var lines []string
		for _, w := range warnings {
			lines = append(lines, w.String())
		}
		return strings.Join(lines, "\n")
	})
}

func golden(t *testing.T, file string, run func(string) string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var fresh strings.Builder
	for i, one := range strings.Split(strings.TrimSpace(string(data)), "\n====\n") {
		src, want, _ := strings.Cut(one, "\n----")
		got := run(src)
		if got != strings.TrimSpace(want) {
			t.Errorf("case %d: %s\n got: %s\nwant: %s", i, src, got, want)
		}
		if i > 0 {
			fresh.WriteString("====\n")
		}
		fmt.Fprintf(&fresh, "%s\n----\n%s\n", src, got)
	}
	if os.Getenv("CORDON_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(fresh.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// nested is a file of so many levels, of which each is closed.
func nested(levels int) string {
	return `{"x": ` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + "}"
}

func TestBounds_A47(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	long := make([]byte, 5<<20)
	pairs := `{"hosts": {"a": "10.0.0.1"}, "grants": [{"src": [` + strings.Repeat(`"a",`, 3000) + `], "dst": [` + strings.Repeat(`"a",`, 3000) + `], "ip": ["*"]}]}`
	rules := `{"grants": [` + strings.Repeat(`{"src":[],"dst":[],"ip":["1"]},`, 10_001) + `]}`
	items := `{"groups": {"group:a": [` + strings.Repeat(`"a@b",`, 100_001) + `]}}`
	tests := []struct{ name, src, want string }{
		{"depth", deep, "nested deeper"},
		{"depth behind a comment", `/* " */ {"a": "[[[", ` + `"b": ` + deep, "nested deeper"},
		{"depth of what closes", nested(33), "nested deeper"},
		{"depth behind closed brackets", `[` + strings.Repeat("[],", 1000) + deep, "nested deeper"},
		{"size", string(long), "the limit is"},
		{"BOM", "\ufeff{}", "byte order mark"},
		{"UTF-16", "\xff\xfe{\x00", "the file is UTF-16, as PowerShell"},
		{"bad UTF-8 in a comment", "{} // \xc3\x28", "not UTF-8"},
		{"expansion", pairs, "combinations"},
		{"rules", rules, "more than 10000 rules"},
		{"items", items, "100001 entries"},
		{"values", `{"nodeAttrs": [` + strings.Repeat("1,", 250_001) + `]}`, "more than 250000"},
		{"empty", "", "the file is empty"},
		{"two values", "{} {}", "not HuJSON"},
		{"open comment", "/*", "not HuJSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _, err := policy.Parse("p", []byte(tt.src))
			if err == nil || p != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, _, err := policy.Parse("p", []byte(nested(32))); err == nil || strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("32 levels: %v", err)
	}
	_, _, err := policy.Parse("p", []byte(`{"groups": {"group:a": [`+strings.Repeat(`"x",`, 1000)+`]}}`))
	var all policy.Errors
	if !errors.As(err, &all) || len(all) != 50 {
		t.Errorf("%d errors kept", len(all))
	}
}

// Whatever a file of the allowed size holds, reading it costs a bounded amount
// of memory: who may ask for a check must not be able to end the coordinator.
func TestGarbageCostsLittle(t *testing.T) {
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (4<<20-len(before)-len(after))/len(unit)) + after
	}
	for name, src := range map[string]string{
		"numbers": fill(`{"grants": [`, "1,", `]}`), "objects": fill(`{"nodeAttrs": [`, "{},", `]}`), "lists": fill(`{"acls": [`, "[],", `]}`),
		"texts": fill(`{"groups": {"group:a": [`, `"",`, `]}}`), "keys": fill(`{"groups": {`, `"":1,`, `}}`), "depth": fill("", "[", ""), "comments": fill("", "//\n", ""),
		"blanks": fill("", " ", ""), "not UTF-8": fill("", "\xff", ""), "rules": fill(`{"acls": [`, `{"action":"x","src":["a"],"dst":["b:1"]},`, `]}`),
		"just enough numbers": `{"nodeAttrs": [` + strings.Repeat("1,", 249_990) + `]}`, "just enough keys": `{"nodeAttrs": [{` + strings.Repeat(`"":1,`, 124_990) + `}]}`,
		"errors": `{"grants": [` + strings.Repeat(`{"x":1},`, 9_000) + `]}`, "long word": fill(`{"hosts": {"a": "`, "x", `"}}`), "lines": fill("", "\n", "{}"),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, _ = policy.Parse("p", []byte(src))
		runtime.ReadMemStats(&after)
		if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 160 {
			t.Errorf("%s: %d MB were allocated for %d KB", name, grown, len(src)>>10)
		}
	}
}
