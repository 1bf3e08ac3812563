package policy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl/policy"
)

func TestTagName(t *testing.T) {
	for text, want := range map[string]string{
		"tag:server": "tag:server", "tag:Server": "tag:server", "tag:MRI-2B": "tag:mri-2b", "tag:": "tag:", "": "",
		"tag:\u212a": "tag:\u212a", // the sign for a kelvin is no k
		"tag:\u00c4": "tag:\u00c4",
		"group:ENG":  "group:ENG", "Tag:server": "Tag:server", "Ada@h.example": "Ada@h.example",
	} {
		if got := policy.TagName(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// everywhere has a tag in each place where one may stand, besides those of the hospital.
const everywhere = `{
	"groups": {"group:a": ["ada@h.example"]},
	"tagOwners": {"tag:ehr": ["tag:gw", "group:a", "tag:gw"], "tag:gw": ["tag:gw"], "tag:ws": []},
	"assets": [{"tag": "tag:pump", "behind": "tag:gw", "match": {"vlan": 220}, "bind": "mac"}],
	"segments": {"seg:ehr": {"members": ["tag:ehr", "tag:pump"], "owner": "group:a"}},
	"approvals": {"approve:x": {"by": "group:a", "count": 1, "maxDuration": "1h"}},
	"grants": [
		{"id": "a", "src": ["tag:ws", "group:a"], "dst": ["tag:ehr"], "ip": ["tcp:443"]},
		{"id": "b", "src": ["group:a"], "srcDevice": ["tag:ws"], "dst": ["tag:pump"], "ip": ["tcp:22"], "through": ["tag:gw"]},
		{"src": ["tag:gw"], "dst": ["tag:ehr"], "ip": ["tcp:2"]},
		{"src": ["tag:gw"], "dst": ["tag:ws"], "ip": ["tcp:3"], "log": "drops"},
		{"id": "c", "src": ["tag:pump"], "dst": ["tag:ehr"], "ip": ["tcp:1"], "via": ["tag:gw"]},
	],
	"acls": [{"action": "accept", "src": ["tag:ehr"], "dst": ["tag:ws:22", "tag:gw:*"]}],
	"forbid": [{"id": "e", "src": ["tag:pump"], "dst": ["tag:ws"]}],
	"breakGlass": [{"id": "f", "src": ["group:a"], "srcDevice": ["tag:ws"], "dst": ["tag:ehr"], "ip": ["tcp:80"], "alert": ["tag:gw"],
		"maxDuration": "1h", "review": {"by": "group:a", "within": "24h"}}],
	"lockdown": {"red": {"by": "group:a", "forbid": [{"id": "g", "src": ["tag:ws"], "dst": ["tag:ehr"]}]}},
	"nodeAttrs": [{"target": ["tag:ehr"], "attr": ["x"]}],
	"autoApprovers": {"routes": {"10.20.0.0/16": ["tag:gw"]}, "exitNode": ["tag:gw"]},
	"ssh": [{"action": "accept", "src": ["tag:ws"], "dst": ["tag:ehr"], "users": ["root"]}],
	"tests": [
		{"src": "tag:ws", "accept": ["tag:ehr:443"], "deny": ["tag:pump:80"]},
		{"src": "group:a", "given": {"device": "tag:ws", "breakGlass": ["f"]}, "accept": ["tag:ehr:80"], "expect": {"alert": "tag:gw"}},
	],
	"sshTests": [{"src": "tag:ws", "dst": ["tag:ehr"], "accept": ["root"]}],
}`

// A file means the same whatever the letter case of the tags in it, in each place where a
// tag may stand.
func TestTagsInAnyCase(t *testing.T) {
	whole, err := os.ReadFile("testdata/hospital.hujson")
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{everywhere, string(whole)} {
		want, warned := meaning(t, src)
		tags := func(text string) []string { return regexp.MustCompile(`tag:[A-Za-z0-9-]+`).FindAllString(text, -1) }
		rapid.Check(t, func(t *rapid.T) {
			shouted := inAnyCase(t, src)
			if formatted, err := policy.Format("p", []byte(shouted)); err != nil || !slices.Equal(tags(string(formatted)), tags(shouted)) {
				t.Errorf("its author's spelling is lost: %s, %v", formatted, err)
			}
			got, warns := meaning(t, shouted)
			if got != want || warns != warned {
				t.Errorf("%s\nmeans, with %d warnings\n%s\nand in lower case, with %d\n%s", shouted, warns, got, warned, want)
			}
		})
	}
}

// inAnyCase gives a text in which each letter of each tag's name is large or small.
func inAnyCase(t *rapid.T, src string) string {
	masks := rapid.Uint64()
	return regexp.MustCompile(`tag:[a-z0-9-]+`).ReplaceAllStringFunc(src, func(tag string) string {
		name, mask := []byte(tag), masks.Draw(t, tag)
		for i := len("tag:"); i < len(name); i++ {
			if mask>>i&1 == 1 {
				name[i] = strings.ToUpper(tag)[i]
			}
		}
		return string(name)
	})
}

// meaning gives all that a policy tells of itself, but for how a test names what it asks.
func meaning(t interface {
	Helper()
	Fatal(...any)
}, src string) (all string, warnings int) {
	t.Helper()
	p, warned, err := reading().Parse("p", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	type owned struct {
		Tag string
		By  []policy.Selector
	}
	var owners []owned
	for _, tag := range p.Tags() {
		by, _ := p.TagOwners(tag)
		owners = append(owners, owned{tag, by})
	}
	var segments, lockdowns []any
	for _, name := range p.Segments() {
		s, _ := p.Segment(name)
		segments = append(segments, s)
	}
	for _, name := range p.Lockdowns() {
		l, _ := p.Lockdown(name)
		lockdowns = append(lockdowns, l)
	}
	tests := slices.Clone(p.Tests())
	for i := range tests {
		tests[i].Accept, tests[i].Deny = unworded(tests[i].Accept), unworded(tests[i].Deny)
	}
	text, err := json.Marshal([]any{owners, p.Assets(), segments, lockdowns, p.BreakGlass(), p.Rules(), slices.Collect(p.Forbids()),
		p.SSH(), p.NodeAttrs(), p.AutoApprovers(), tests, p.SSHTests()})
	if err != nil {
		t.Fatal(err)
	}
	return string(text), len(warned)
}

func unworded(targets []policy.Target) []policy.Target {
	all := slices.Clone(targets)
	for i := range all {
		all[i].Text = ""
	}
	return all
}

func TestTagInTwoSpellings(t *testing.T) {
	for src, want := range map[string]string{
		`{"tagOwners": {"tag:ehr": [], "tag:gw": [], "tag:EHR": []}}`:                                              `p:1:45: "tag:EHR": stands twice in "tagOwners", in another letter case, first in line 1, column 16; keep one of them: they are one tag`,
		`{"grants": [{"src": ["tag:GW"], "dst": ["*"], "ip": ["*"]}]}`:                                             `p:1:22: src=tag not found: "tag:GW"; define it under "tagOwners"`,
		`{"tagOwners": {"tag:gw": []}, "grants": [{"src": ["GW"], "dst": ["*"], "ip": ["*"]}]}`:                    `p:1:51: src="GW": unknown host; did you mean "tag:GW"?`,
		`{"tagOwners": {"tag:ok": []}, "grants": [{"src": ["tag:o` + "\u212a" + `"], "dst": ["*"], "ip": ["*"]}]}`: `p:1:51: src=tag not found: "tag:o` + "\u212a" + `"; did you mean "tag:ok"?`,
	} {
		_, _, err := policy.Parse("p", []byte(src))
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", src, err, want)
		}
	}
}

// A policy that is in force from a time when letter case counted stays in force: whoever
// owned the tag in either spelling owns it.
func TestTagInTwoSpellingsInForce(t *testing.T) {
	const src = `{"groups": {"group:a": ["ada@h.example"]}, "tagOwners": {"tag:ehr": ["group:a"], "tag:EHR": ["ben@h.example"]},
		"grants": [{"src": ["group:a"], "dst": ["tag:Ehr"], "ip": ["tcp:443"]}]}`
	p, _, err := policy.Options{InForce: true}.Parse("p", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	owners, _ := p.TagOwners("tag:eHR")
	if got := fmt.Sprint(p.Tags(), owners, p.Rules()[0].Parts[0].Dst); got != "[tag:ehr] [group:a ben@h.example] [tag:ehr]" {
		t.Errorf("it has %s", got)
	}
}
