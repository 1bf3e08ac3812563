package policy_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// FuzzParse feeds arbitrary bytes. Whatever comes, the answer is either a
// policy or errors with a position inside the file, and a policy whose every
// rule is complete.
func FuzzParse(f *testing.F) {
	f.Add([]byte(policy.Starter()))
	seeds(f)
	for _, file := range []string{"testdata/errors.txt", "testdata/warnings.txt"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, one := range strings.Split(string(data), "\n====\n") {
			src, _, _ := strings.Cut(one, "\n----")
			f.Add([]byte(src))
		}
	}
	f.Add([]byte(world(`"grants": [{"id": "x", "src": ["group:eng", "*"], "dst": ["vlan", "[fd00::]/48"], "ip": ["tcp:22", "80-443"]}],
"acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:22,80-90", "[fd00::]/48:*", "tag:db:1"], "proto": "sctp"}],
"ssh": [{"action": "check", "src": ["group:eng"], "dst": ["tag:web"], "users": ["localpart:*@h.example", "root"], "checkPeriod": "always"}],
"nodeAttrs": [{"target": ["*", "ipset:a"], "attr": ["x", "a"]}], "ipsets": {"ipset:a": ["vlan", "remove ct"]}, "postures": {"posture:a": ["node:os != 'x'"]},
"sshTests": [{"src": "tag:web", "dst": ["ct"], "deny": ["root"]}], "tests": [{"src": "ct", "accept": ["[fd00::1]:22"]}], "autoApprovers": {"routes": {"10.0.0.0/8": ["tag:web"]}}`)))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, _, err := policy.Parse("f", src)
		if (p == nil) != (err != nil) {
			t.Fatalf("policy %v with error %v", p, err)
		}
		var all policy.Errors
		if err != nil && !errors.As(err, &all) {
			t.Fatalf("error of type %T", err)
		}
		lines := strings.Count(string(src), "\n") + 1
		for _, e := range all {
			if e.Pos.Line < 1 || e.Pos.Line > lines || e.Pos.Column < 1 || e.Why == "" {
				t.Fatalf("error without a place: %+v", e)
			}
		}
		if p != nil {
			checkRules(t, p, src)
			checkOthers(t, p)
			checkWard(t, p)
		}
	})
}

func checkRules(t *testing.T, p *policy.Policy, src []byte) {
	again, _, err := policy.Parse("f", append([]byte("// a comment\n"), src...))
	if err != nil || len(again.Rules()) != len(p.Rules()) {
		t.Fatalf("a comment changed the policy: %v", err)
	}
	for i, r := range p.Rules() {
		if r.ID == "" || r.Text == "" || again.Rules()[i].ID != r.ID {
			t.Fatalf("rule %d: id %q, text %q, with a comment %q", i, r.ID, r.Text, again.Rules()[i].ID)
		}
		for _, part := range r.Parts {
			if len(part.Open)+len(part.App) == 0 || (part.Self || part.Internet) != (len(part.Dst) == 0) {
				t.Fatalf("rule %s opens nothing or nowhere: %+v", r.ID, part)
			}
			for _, s := range slices.Concat(part.Dst, r.Src) {
				if s.Kind == policy.None || s.Kind == policy.Self || s.Kind == policy.Internet || strings.ContainsAny(s.Key(), " \n") || (s.Kind == policy.Net) != s.Prefix.IsValid() {
					t.Fatalf("rule %s has a bad selector: %+v", r.ID, s)
				}
			}
		}
	}
}

// checkOthers looks at what is no rule of the filter: complete too, or absent.
func checkOthers(t *testing.T, p *policy.Policy) {
	checked := true
	for _, r := range p.SSH() {
		if len(r.Src) == 0 || len(r.Dst) == 0 || len(r.Users) == 0 || (r.Check && !checked) || r.CheckPeriod < policy.DefaultCheckPeriod {
			t.Fatalf("ssh rule %+v", r)
		}
		checked = r.Check
		for _, u := range r.Users {
			if (u.Kind == policy.Literal) != (u.Login != "") || (u.Kind == policy.LocalPart) != (u.Domain != "") {
				t.Fatalf("ssh user %+v", u)
			}
		}
	}
	for _, a := range p.NodeAttrs() {
		if len(a.Target) == 0 || len(a.Attrs) == 0 || !slices.IsSorted(a.Attrs) {
			t.Fatalf("attributes %+v", a)
		}
	}
	for _, r := range p.Rules() {
		for _, name := range r.Postures {
			if posture, ok := p.Posture(name); !ok || len(posture.Conditions) == 0 {
				t.Fatalf("rule %s asks for %q: %+v", r.ID, name, posture)
			}
		}
		for _, s := range r.Src {
			if _, ok := p.IPSet(s.Name); s.Kind == policy.Set && !ok {
				t.Fatalf("rule %s from %q, which is no set", r.ID, s.Name)
			}
		}
		for _, part := range r.Parts {
			for _, c := range part.App {
				if values := strings.Join(c.Values, ","); !json.Valid([]byte("[" + values + "]")) {
					t.Fatalf("rule %s gives %s of %s", r.ID, values, c.Name)
				}
			}
		}
	}
}
