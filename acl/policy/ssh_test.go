package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

func sshRule(rest string) string { return `"grants": [], "ssh": [{` + rest + `}]` }

func TestSSHOfTheDialect(t *testing.T) {
	who := func(src, dst string) string {
		return sshRule(`"action": "accept", "src": [` + src + `], "dst": [` + dst + `], "users": ["root"]`)
	}
	with := func(rest string) string {
		return sshRule(`"action": "check", "src": ["group:eng"], "dst": ["tag:web"], ` + rest)
	}
	const badSrc, badDst = "is not valid as the src of an ssh rule", "is not valid as the dst of an ssh rule"
	dialect{
		{"section null", `"ssh": null`, ""}, {"section empty", `"ssh": []`, ""},
		{"no action", sshRule(`"src": ["group:eng"]`), "has no action"},
		{"another action", sshRule(`"action": "deny"`), `action="deny": is no action of an ssh rule`},
		{"action in another letter case", sshRule(`"action": "Accept"`), "is no action"},
		{"action with blanks", sshRule(`"action": " check "`), ""},
		{"action alone", sshRule(`"action": "accept"`), ""},
		{"an unknown key", sshRule(`"action": "accept", "user": ["root"]`), `did you mean "users"?`},
		{"all sources", who(`"ada@h.example", "ada@", "user:*@h.example", "group:eng", "autogroup:admin", "autogroup:owner", "tag:web", "autogroup:member", "autogroup:members", "autogroup:tagged", " group:none "`, `"tag:web"`), ""},
		{"all destinations", who(`"ada@h.example"`, `"ada@h.example", "tag:web", "autogroup:self", "autogroup:tagged"`), ""},
		{"dst of all people", who(`"autogroup:member"`, `"autogroup:member"`), ""}, {"dst of a domain", who(`"group:eng"`, `"user:*@h.example"`), badDst},
		{"src of other meshes", who(`"autogroup:shared"`, `"tag:web"`), badSrc},
		{"a user's nodes from that user, written twice", who(`"ada@h.example", " ada@h.example "`, `"ada@h.example"`), ""},
		{"a user's nodes from nobody", sshRule(`"action": "accept", "src": [], "dst": ["ada@h.example"], "users": ["root"]`), ""},
		{"a user's nodes from another", who(`"ben@h.example"`, `"ada@h.example"`), `dst="ada@h.example": users in dst are only allowed from the same user`},
		{"a user's nodes from another too", who(`"ada@h.example", "ben@h.example"`, `"tag:web", "ada@h.example"`), "only allowed from the same user"},
		{"a user's nodes from a group", who(`"group:eng"`, `"ada@h.example"`), "only allowed from the same user"},
		{"two users' nodes", who(`"ada@h.example"`, `"ada@h.example", "ben@h.example"`), `dst="ben@h.example": users in dst`},
		{"a user's nodes from a tag", who(`"tag:web"`, `"ada@h.example"`), "a machine is let into machines alone"},
		{"a user's nodes from any tag", who(`"autogroup:tagged"`, `"ada@h.example"`), "a machine is let into machines alone"},
		{"a check of people", sshRule(`"action": "check", "src": ["group:eng", "autogroup:member", "user:*@h.example"], "dst": ["tag:web"], "users": ["a"]`), ""},
		{"a check of a tag", sshRule(`"action": "check", "src": ["group:eng", "tag:db"], "dst": ["tag:web"], "users": ["a"]`), `src="tag:db": "check" action does not support tags in src`},
		{"a check of any tag", sshRule(`"action": "check", "src": ["autogroup:tagged"], "dst": ["tag:web"], "users": ["a"]`), "does not support tags in src"},
		{"src *", who(`"*"`, `"tag:web"`), badSrc}, {"src host", who(`"ct"`, `"tag:web"`), badSrc}, {"src address", who(`"100.64.0.1"`, `"tag:web"`), badSrc},
		{"src CIDR", who(`"10.0.0.0/8"`, `"tag:web"`), badSrc}, {"src everybody", who(`"autogroup:danger-all"`, `"tag:web"`), badSrc},
		{"src self", who(`"autogroup:self"`, `"tag:web"`), `"autogroup:self" not valid on the src side of a rule`},
		{"src internet", who(`"autogroup:internet"`, `"tag:web"`), `"autogroup:internet" not valid on the src side of a rule`},
		{"src unknown tag", who(`"tag:x"`, `"tag:web"`), `src=tag not found: "tag:x"`},
		{"src unknown group", who(`"group:x"`, `"tag:web"`), "unknown group"},
		{"dst *", who(`"group:eng"`, `"*"`), badDst}, {"dst host", who(`"group:eng"`, `"ct"`), badDst}, {"dst address", who(`"group:eng"`, `"10.20.30.11"`), badDst},
		{"dst CIDR", who(`"group:eng"`, `"10.0.0.0/8"`), badDst}, {"dst group", who(`"group:eng"`, `"group:eng"`), badDst}, {"dst role", who(`"group:eng"`, `"autogroup:admin"`), badDst},
		{"dst internet", who(`"group:eng"`, `"autogroup:internet"`), badDst}, {"dst with a port", who(`"group:eng"`, `"tag:web:22"`), `dst="tag:web:22": tag not found: "tag:web:22"`},
		{"self from people", who(`"group:eng", "ada@h.example", "autogroup:member", "autogroup:admin", "user:*@h.example"`, `"autogroup:self"`), ""},
		{"self from a tag", who(`"group:eng", "tag:web"`, `"autogroup:self"`), "autogroup:self cannot be reached from this source"},
		{"self from any tag", who(`"autogroup:tagged"`, `"tag:web", "autogroup:self"`), "autogroup:self cannot be reached from this source"},
		{"users absent", sshRule(`"action": "accept", "src": ["group:eng"], "dst": ["tag:web"]`), ""},
		{"users null", with(`"users": null`), ""}, {"users empty", with(`"users": []`), ""},
		{"users *", with(`"users": ["root", "*"]`), `user "*" is not valid`}, {"users without a name", with(`"users": [" "]`), `user "" is not valid`},
		{"users that look like something else", with(`"users": ["tag:foo", "autogroup:member", "localpart:foo", "group:eng", "a b"]`), ""},
		{"users of a domain", with(`"users": ["localpart:*@h.example"]`), ""}, {"users of no domain", with(`"users": ["localpart:*@"]`), `"" is no domain`},
		{"period of a week", with(`"checkPeriod": "168h"`), ""}, {"period of nothing", with(`"checkPeriod": "0s"`), ""}, {"period of seconds", with(`"checkPeriod": "30s"`), ""},
		{"period always", with(`"checkPeriod": " always "`), ""}, {"period null", with(`"checkPeriod": null`), ""},
		{"period too long", with(`"checkPeriod": "200h"`), "checkPeriod 200h0m0s is above the max (168h)"}, {"period a second too long", with(`"checkPeriod": "168h0m1s"`), "checkPeriod 168h0m1s is above the max (168h)"},
		{"period below 0", with(`"checkPeriod": "-1s"`), `checkPeriod="-1s": is below 0`}, {"period of words", with(`"checkPeriod": "a day"`), "is no duration"},
		{"period empty", with(`"checkPeriod": ""`), ""}, {"period a number", with(`"checkPeriod": 12`), "must be a string"},
		{"period of an accept rule", sshRule(`"action": "accept", "checkPeriod": "12h"`), ""},
		{"acceptEnv", with(`"acceptEnv": ["LANG", "GIT_*", "?"]`), ""}, {"acceptEnv null", with(`"acceptEnv": null`), ""},
		{"acceptEnv empty", with(`"acceptEnv": ["LANG", " "]`), "a variable has a name"},
		{"srcPosture", with(`"srcPosture": ["posture:x"]`), `srcPosture="posture:x": unknown posture`},
		{"recorder", with(`"recorder": ["tag:web"], "enforceRecorder": false`), ""},
		{"a recorder that must be there", with(`"recorder": ["tag:web"], "enforceRecorder": true`), ""},
	}.run(t)
}

func showSSH(p *policy.Policy) string {
	var b strings.Builder
	for _, r := range p.SSH() {
		fmt.Fprintln(&b, r.Check, r.Src, r.Dst, r.Users, r.CheckPeriod, r.AcceptEnv, r.Postures, r.Pos.Line)
	}
	return b.String()
}

// Rules that check come first, each kind in the file's order; those that let
// nobody in are left out.
func TestSSHRulesRead(t *testing.T) {
	p := parse(t, `{"groups": {"group:eng": []}, "tagOwners": {"tag:web": []}, "postures": {"posture:a": ["node:os IS SET"]}, "defaultSrcPosture": ["posture:a"], "ssh": [
{"action": "accept", "src": ["group:eng"], "dst": ["tag:web"], "users": ["root", "autogroup:nonroot", "localpart:*@h.example", "tag:x"], "acceptEnv": ["LANG"]},
{"action": "check", "src": ["a@h"], "dst": ["autogroup:self"], "users": ["b"], "checkPeriod": "always"},
{"action": "accept", "src": ["c@h"], "dst": ["tag:web"], "users": ["d"], "srcPosture": ["posture:a"]},
{"action": "check", "src": ["e@h"], "dst": ["tag:web"], "users": ["f"], "checkPeriod": "90m"},
{"action": "check", "src": ["e@h"], "dst": ["tag:web"], "users": []},
{"action": "check", "src": ["e@h"], "dst": [], "users": ["a"]},
{"action": "check", "dst": ["tag:web"], "users": ["a"]}]}`)
	want := `true [a@h] [autogroup:self] [{0 b }] 0s [] [posture:a] 3
true [e@h] [tag:web] [{0 f }] 1h30m0s [] [posture:a] 5
false [group:eng] [tag:web] [{0 root } {1  } {2  h.example} {0 tag:x }] -1ns [LANG] [posture:a] 2
false [c@h] [tag:web] [{0 d }] -1ns [] [posture:a] 4
`
	if got := showSSH(p); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var none *policy.Policy
	if none.SSH() != nil || none.SSHTests() != nil || none.NodeAttrs() != nil {
		t.Error("a nil policy lets somebody in")
	}
}

func TestLocalPartsOfForeignDomains(t *testing.T) {
	src := []byte(world(`"ssh": [{"action": "accept", "src": ["group:eng"], "dst": ["tag:web"], "users": ["localpart:*@h.example"]}]`))
	if _, _, err := (policy.Options{Domains: []string{"h.example"}}).Parse("p", src); err != nil {
		t.Error(err)
	}
	if _, _, err := (policy.Options{Domains: []string{"H.example"}}).Parse("p", src); err == nil || !strings.Contains(err.Error(), "does not own the domain") {
		t.Errorf("a foreign domain: %v", err)
	}
}

func TestSSHTestsOfTheDialect(t *testing.T) {
	test := func(rest string) string { return `"sshTests": [{` + rest + `}]` }
	from := func(src string) string { return test(`"src": "` + src + `", "dst": ["tag:web"], "accept": ["root"]`) }
	to := func(dst string) string {
		return test(`"src": "ada@h.example", "dst": ["` + dst + `"], "deny": ["root"]`)
	}
	const badSrc, badDst = "SSH tests src contains disallowed element", "SSH tests dst contains disallowed element"
	dialect{
		{"section null", `"sshTests": null`, ""}, {"section empty", `"sshTests": []`, ""},
		{"no src", test(`"dst": ["tag:web"], "accept": ["root"]`), "an ssh test has no src"}, {"empty src", from(""), "is empty"},
		{"no dst", test(`"src": "ada@h.example", "accept": ["root"]`), "an ssh test has no dst"}, {"empty dst", test(`"src": "ada@h.example", "dst": [], "accept": ["root"]`), "an ssh test has no dst"},
		{"asks for nothing", test(`"src": "ada@h.example", "dst": ["tag:web"]`), ""},
		{"from a user", from("ada@h.example"), ""}, {"from a tag", from(" tag:db "), ""}, {"from an address", from("100.64.0.1"), ""}, {"from a host", from("ct"), ""}, {"from a group", from("group:eng"), ""},
		{"from a role", from("autogroup:admin"), `SSH tests src contains disallowed element "autogroup:admin"`}, {"from all people", from("autogroup:member"), badSrc}, {"from any tag", from("autogroup:tagged"), badSrc}, {"from a domain", from("user:*@h.example"), badSrc},
		{"from a CIDR", from("10.0.0.0/8"), badSrc}, {"from a CIDR of one", from("10.0.0.1/32"), badSrc}, {"from a network's alias", from("vlan"), badSrc}, {"from *", from("*"), badSrc},
		{"from the internet", from("autogroup:internet"), badSrc}, {"from an unknown tag", from("tag:x"), `tag not found: "tag:x"`},
		{"to a user", to("ben@h.example"), ""}, {"to a tag", to("tag:db"), ""}, {"to a host", to("ct"), ""}, {"to an address", to("100.64.0.1"), ""},
		{"to a CIDR", to("10.0.0.0/8"), badDst}, {"to a CIDR of one", to("10.0.0.1/32"), badDst}, {"to the internet", to("autogroup:internet"), badDst}, {"to oneself", to("autogroup:self"), badDst},
		{"to a group", to("group:eng"), ""}, {"to a role", to("autogroup:member"), badDst}, {"to *", to("*"), badDst}, {"to a tag with a port", to("tag:server:22"), `tag not found: "tag:server:22"`},
		{"of a nameless account", test(`"src": "ada@h.example", "dst": ["tag:web"], "check": [""]`), `user "" is not valid`},
	}.run(t)
	tests := parse(t, world(test(`"src": "ada@h.example", "dst": ["tag:web", "ct"], "accept": ["a"], "check": [" b "], "deny": ["c", "d"]`))).SSHTests()
	if got := fmt.Sprint(tests[0].Src, tests[0].Dst, tests[0].Accept, tests[0].Check, tests[0].Deny, tests[0].Pos.Line); got != "ada@h.example [tag:web ct] [a] [b] [c d] 4" {
		t.Error(got)
	}
}
