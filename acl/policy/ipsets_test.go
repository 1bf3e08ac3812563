package policy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

func TestIPSets(t *testing.T) {
	for entries, want := range map[string]string{
		``:                                   `[]`,
		`"10.0.0.0/8", "10.0.0.1", "fd00::"`: `[10.0.0.0/8 fd00::/128]`,
		`"add 10.0.0.0/31", "add   10.0.0.2/31", " 10.0.0.4 "`: `[10.0.0.0/30 10.0.0.4/32]`,
		`"ct", "host:six", "add host:ct"`:                      `[10.20.30.11/32 fd00::7/128]`,
		`"10.0.0.0/30", "remove 10.0.0.3"`:                     `[10.0.0.0/31 10.0.0.2/32]`,
		`"remove 10.0.0.3", "10.0.0.0/30"`:                     `[10.0.0.0/30]`,
		`"10.0.0.0/30", "remove 10.0.0.0/8", "10.0.0.1"`:       `[10.0.0.1/32]`,
		`"10.0.0.5-10.0.0.9", "add fd00::1 - fd00::2"`:         `[10.0.0.5/32 10.0.0.6/31 10.0.0.8/31 fd00::1/128 fd00::2/128]`,
		`"10.0.0.0/30", "remove 10.0.0.1-10.0.0.2"`:            `[10.0.0.0/32 10.0.0.3/32]`,
		`"10.0.0.7-10.0.0.7"`:                                  `[10.0.0.7/32]`,
		`"ipset:two", "remove ipset:one"`:                      `[10.2.0.0/16]`,
		`"vlan", "remove ct", "remove 10.20.128.0/17"`:         `[10.20.0.0/20 10.20.16.0/21 10.20.24.0/22 10.20.28.0/23 10.20.30.0/29 10.20.30.8/31 10.20.30.10/32 10.20.30.12/30 10.20.30.16/28 10.20.30.32/27 10.20.30.64/26 10.20.30.128/25 10.20.31.0/24 10.20.32.0/19 10.20.64.0/18]`,
	} {
		p := parse(t, world(`"grants": [], "ipsets": {"ipset:a": [`+entries+`], "ipset:two": ["ipset:one", "10.2.0.0/16"], "ipset:one": ["10.1.0.0/16"]}`))
		if got, ok := p.IPSet("ipset:a"); !ok || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", entries, got, want)
		}
	}
	if _, ok := parse(t, `{}`).IPSet("ipset:a"); ok {
		t.Error("a set that nobody defined")
	}
}

func TestIPSetsOfTheDialect(t *testing.T) {
	const sets = `"ipsets": {"ipset:a": ["10.0.0.0/8"], "ipset:one": ["10.0.0.1"], "ipset:two": ["10.0.0.1", "10.0.0.3"], "ipset:none": [], "ipset:all": ["0.0.0.0/0"], "ipset:half": ["0.0.0.0/0", "remove 10.0.0.0/8"]}, `
	set := func(entries string) string {
		return `"ipsets": {"ipset:a": [` + entries + `], "ipset:b": ["ipset:c"], "ipset:c": ["ipset:d"], "ipset:d": []}`
	}
	dialect{
		{"section null", `"ipsets": null`, ""}, {"set null", `"ipsets": {"ipset:a": null}`, ""},
		{"a name without its prefix", `"ipsets": {"a": []}`, "write it as ipset:a"}, {"a set that is a text", `"ipsets": {"ipset:a": "10.0.0.1"}`, "ipset:a must be a list"},
		{"an unknown set", set(`"ipset:x"`), `ipset:a="ipset:x": unknown ipset`}, {"an unknown host", set(`"add host:vlam"`), `unknown host; did you mean "vlan"?`}, {"an unknown word", set(`"subtract 10.0.0.1"`), "unknown host"},
		{"a range that runs backwards", set(`"10.0.0.9-10.0.0.5"`), "is no range of addresses"}, {"a range between families", set(`"10.0.0.9-fd00::1"`), "is no range of addresses"},
		{"a range of CIDRs", set(`"10.0.0.0/24-10.0.1.0/24"`), "is no CIDR"}, {"a range without an end", set(`"10.0.0.9-"`), "unknown host"},
		{"itself", set(`"ipset:a"`), "an ipset cannot contain itself"}, {"itself, removed", set(`"remove ipset:a"`), "an ipset cannot contain itself"},
		{"a circle", `"ipsets": {"ipset:a": ["ipset:b"], "ipset:b": ["ipset:c"], "ipset:c": ["remove ipset:a"]}`, "an ipset cannot contain itself"},
		{"a login", set(`"ada@h.example"`), "is no address"}, {"a tag", set(`"tag:web"`), "is no address"}, {"a group", set(`"add group:eng"`), "is no address"}, {"*", set(`"*"`), "is no address"}, {"nothing", set(`""`), "is no address"},
		{"host bits", set(`"10.0.0.1/8"`), "has bits behind"}, {"the internet", set(`"autogroup:internet"`), ""},
		{"src of a grant", sets + grant(`"ipset:a"`, `"ct"`), ""}, {"dst of a grant", sets + grant(`"*"`, `"ipset:a"`), ""}, {"an unknown one", sets + grant(`"*"`, `"ipset:x"`), `dst="ipset:x": unknown ipset; did you mean "ipset:a"?`},
		{"all addresses as src", sets + grant(`"ipset:all"`, `"ct"`), ""}, {"all addresses as dst", sets + grant(`"*"`, `"ipset:all"`), `dst "ipset:all": to allow all IP addresses`}, {"nearly all", sets + grant(`"*"`, `"ipset:half"`), ""},
		{"src and dst of an acl", sets + accept(`"ipset:a"`, `"ipset:a:22", "ipset:all:*"`), ""}, {"dst without ports", sets + accept(`"*"`, `"ipset:a"`), "has no ports"},
		{"src of self", sets + grant(`"ipset:one"`, `"autogroup:self"`), "autogroup:self cannot be reached"},
		{"src of a test", sets + `"tests": [{"src": "ipset:a", "deny": ["ct:22"]}]`, ""}, {"dst of a test", sets + `"tests": [{"src": "ct", "deny": ["ipset:one:22"]}]`, ""}, {"dst of a test, two", sets + `"tests": [{"src": "ct", "deny": ["ipset:two:22"]}]`, "is not one host"},
		{"dst of a test, none", sets + `"tests": [{"src": "ct", "deny": ["ipset:none:22"]}]`, "is not one host"}, {"dst of a test, a network", sets + `"tests": [{"src": "ct", "deny": ["ipset:a:22"]}]`, "is not one host"},
		{"target of nodeAttrs", sets + `"nodeAttrs": [{"target": ["ipset:a"], "attr": ["x"]}]`, "is no target of nodeAttrs"},
		{"src of ssh", sets + sshRule(`"action": "accept", "src": ["ipset:one"], "dst": ["tag:web"], "users": ["a"]`), "is not valid as the src of an ssh rule"},
		{"dst of ssh", sets + sshRule(`"action": "accept", "src": ["group:eng"], "dst": ["ipset:one"], "users": ["a"]`), "is not valid as the dst of an ssh rule"},
		{"src of an ssh test", sets + `"sshTests": [{"src": "ipset:one", "dst": ["ct"]}]`, "SSH tests src contains disallowed element"}, {"dst of an ssh test", sets + `"sshTests": [{"src": "ct", "dst": ["ipset:one"]}]`, "SSH tests dst contains disallowed element"},
		{"an owner", sets + `"autoApprovers": {"exitNode": ["ipset:a"]}`, "cannot own or approve"},
		{"deep enough", setsOfSets(32, true), ""}, {"too deep", setsOfSets(33, true), "ipsets nest deeper than 32"}, {"too deep, innermost first", setsOfSets(33, false), "ipsets nest deeper than 32"},
	}.run(t)
}

// setsOfSets is a chain of sets, written from the outermost in or the other way.
func setsOfSets(n int, outerFirst bool) string {
	all := make([]string, n)
	for i := range all {
		inner := `"10.0.0.1"`
		if i < n-1 {
			inner = fmt.Sprintf(`"ipset:s%d"`, i+1)
		}
		at := i
		if !outerFirst {
			at = n - 1 - i
		}
		all[at] = fmt.Sprintf(`"ipset:s%d": [%s]`, i, inner)
	}
	return `"ipsets": {` + strings.Join(all, ", ") + `}`
}

// A few kilobytes of sets could ask for more prefixes than there is memory.
func TestIPSetBombs(t *testing.T) {
	removals := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"remove fd00:%x::1"`, i)
		}
		return b.String()
	}
	square := `"ipset:s": ["::/0"` + removals(2000) + `], "ipset:t": [` + strings.Repeat(`"ipset:s",`, 50_000) + `]`
	doubled := `"ipset:s0": ["::/0"` + removals(100) + `]`
	for i := range 30 {
		doubled += fmt.Sprintf(`, "ipset:s%d": ["ipset:s%d", "remove ipset:s%d", "ipset:s%d"]`, i+1, i, i, i)
	}
	var copies strings.Builder
	copies.WriteString(`"ipset:s": ["::/0"` + removals(1000) + `]`)
	for i := range 10_000 {
		fmt.Fprintf(&copies, `, "ipset:s%d": ["ipset:s"]`, i)
	}
	for name, sets := range map[string]string{
		"holes": `"ipset:a": ["::/0"` + removals(9_000) + `]`, "sets repeated": square, "sets doubled": doubled, "copies": copies.String(),
		"by turns": `"ipset:a": [` + strings.Repeat(`"10.0.0.0/8","remove 10.0.0.1",`, 40_000) + `]`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := policy.Parse("p", []byte(`{"ipsets": {`+sets+`}, "grants": [{"src": ["ipset:s9999"], "dst": ["*"], "ip": ["*"]}]}`))
		runtime.ReadMemStats(&after)
		if name != "sets doubled" && (err == nil || !strings.Contains(err.Error(), "expand too far")) {
			t.Errorf("%s: %v", name, err)
		}
		if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 200 {
			t.Errorf("%s: %d MB were allocated", name, grown)
		}
	}
}
