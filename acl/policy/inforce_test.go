package policy_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// What is refused as a mistake, and has a meaning, loads where it is in force, with the
// same rules as if it had been written without it.
func TestInForce(t *testing.T) {
	const world = `{"groups": {"group:a": ["ada@h.example"]}, "tagOwners": {"tag:ehr": [], TAG},
		"segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:a", "impact": "life", "requires": {"mfa": {"within": "12h"}}}, SEGMENT},
		"grants": [{"id": "ward", "src": ["group:a"], "dst": ["tag:ehr"], "ip": ["tcp:443"], GRANT}], MORE}`
	for _, tt := range []struct {
		where, text, says string
		rules             int
	}{
		{"GRANT", `"when": {"mfa": {"within": "24h"}}`, "is weaker than what seg:ehr requires", 1},
		{"GRANT", `"log": "off"`, "is too little for seg:ehr", 1},
		{"SEGMENT", `"seg:b": {"members": ["tag:ehr"], "owner": "group:a", "impact": "life", "log": "drops"}`, "is too little where lives hang on it", 1},
		{"SEGMENT", `"seg:b": {"members": ["tag:ehr"]}`, "has no owner", 1},
		{"MORE", `"forbid": [{"src": ["group:a"], "dst": []}]`, "forbids nothing", 1},
		{"MORE", `"lockdown": {"red": {"by": "group:a", "forbid": []}}`, "forbids nothing", 1},
		{"TAG", `"tag:a_b": [], "tag:c": ["tag:a_b"]`, "holds a character that no node's tag can have", 1},
		{"TAG", `"tag:EHR": ["group:a"]`, `stands twice in "tagOwners", in another letter case`, 1},
		{"MORE", `"nodeAttrs": [{"target": ["*"], "attr": ["x"], "ipPool": ["10.0.0.0/8"]}]`, "is outside of 100.64.0.0/10", 1},
		{"MORE", `"tests": [{"src": "group:b", "accept": ["tag:ehr:443"]}]`, "unknown group", 1},
		{"MORE", `"tests": {"src": "group:b"}`, `"tests" must be a list`, 1},
		{"MORE", `"sshTests": [{"src": "autogroup:member", "dst": ["tag:ehr"], "accept": ["root"]}]`, "disallowed element", 1},
	} {
		src := strings.NewReplacer(tt.where, tt.text, "SEGMENT", "", "GRANT", "", "MORE", "", "TAG", "").Replace(world)
		src = strings.NewReplacer(", }", "}", ", ]", "]").Replace(src)
		var refused policy.Errors
		if _, _, err := policy.Parse("p", []byte(src)); !errors.As(err, &refused) || len(refused) != 1 || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: a new one gives %v", tt.text, err)
			continue
		}
		p, warnings, err := policy.Options{InForce: true}.Parse("p", []byte(src))
		if err != nil || len(p.Rules()) != tt.rules || len(p.Tests())+len(p.SSHTests()) != 0 {
			t.Errorf("%s: in force it gives %v, %v", tt.text, p, err)
			continue
		}
		told := 0
		for _, w := range warnings {
			if w.Refused {
				told++
				if w.Pos != refused[0].Pos || !strings.Contains(w.String(), tt.says) || !strings.Contains(w.Why, "would be refused today") {
					t.Errorf("%s: the warning is %v, the error %v", tt.text, w, refused[0])
				}
			}
		}
		if told != 1 {
			t.Errorf("%s: %d of %v tell that it is refused", tt.text, told, warnings)
		}
	}
}

// What has no meaning is refused in force, too: nobody can say what was meant.
func TestInForceHasAMeaning(t *testing.T) {
	for _, src := range []string{
		`{`, `[]`, `{"grants": [{"src": ["group:gone"], "dst": ["*"], "ip": ["22"]}]}`,
		`{"forbid": [{"src": ["tag:gone"], "dst": ["*"]}]}`, `{"grant": []}`, `{"grants": [], "grants": []}`,
		`{"segments": {"seg:a": {"members": ["10.0.0.1"], "owner": "group:gone"}}}`,
	} {
		if p, _, err := (policy.Options{InForce: true}).Parse("p", []byte(src)); err == nil || p != nil {
			t.Errorf("%s loads", src)
		}
	}
}

// However much is wrong, it is told that a policy is refused today.
func TestInForceTellsAmongManyWarnings(t *testing.T) {
	src := `{"groups": {"group:a": [` + strings.Repeat(`"Ada@h.example",`, 200) + `]}, "grants": [], "tests": [{"src": "group:b", "deny": ["1.2.3.4:1"]}]}`
	_, warnings, err := policy.Options{InForce: true}.Parse("p", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if w.Refused {
			return
		}
	}
	t.Errorf("none of %d warnings tells", len(warnings))
}

// Who asks for no warnings gets the same policy, and none.
func TestNoWarnings(t *testing.T) {
	src := []byte(`{"groups": {"group:a": ["Ada@h.example"]}, "derpMap": {"x": 1}, "grants": [
		{"id": "é", "src": ["group:a"], "dst": ["*"], "ip": ["22"]}, {"src": ["group:a"], "dst": ["10.0.0.1"], "ip": ["22"], "log": "off"}]}`)
	loud, warnings, err := policy.Parse("p", src)
	if err != nil || len(warnings) < 3 {
		t.Fatal(warnings, err)
	}
	quiet, none, err := policy.Options{NoWarnings: true}.Parse("p", src)
	if err != nil || len(none) != 0 || !reflect.DeepEqual(loud.Rules(), quiet.Rules()) {
		t.Error(quiet, none, err)
	}
}

// A rule's text is its JSON, whichever characters it holds: its hash is by that.
func TestRuleTextIsJSON(t *testing.T) {
	for _, word := range []string{"ada", "a&b<c>", "ä", "\u007f", "\u2028", `q\"`, `b\\`} {
		src := `{"grants": [{"src": ["` + word + `@h.example"], "dst": ["*"], "ip": ["tcp:22"]}, {"src": ["` + word + `@h.example"], "dst": ["*"], "ip": ["tcp:22"], "log": "off"}]}`
		p, _, err := policy.Parse("p", []byte(src))
		if err != nil {
			continue // no login
		}
		var plain, logged struct {
			Src, Dst, IP []string
			Log          string
		}
		rules := p.Rules()
		if err := errors.Join(json.Unmarshal([]byte(rules[0].Text), &plain), json.Unmarshal([]byte(rules[1].Text), &logged)); err != nil {
			t.Fatal(err)
		}
		if strings.Replace(rules[1].Text, `,"log":"off"`, "", 1) != rules[0].Text || !reflect.DeepEqual(plain.Src, logged.Src) {
			t.Errorf("%q: %s, and with a word more %s", word, rules[0].Text, rules[1].Text)
		}
	}
}
