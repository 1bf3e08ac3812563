package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

func TestConditions(t *testing.T) {
	for text, want := range map[string]string{
		`node:os == 'macos'`:                         `{"node:os" "==" ["macos"]}`,
		`node:os!='macos'`:                           `{"node:os" "!=" ["macos"]}`,
		` node:osVersion >= '13.4.0' `:               `{"node:osVersion" ">=" ["13.4.0"]}`,
		`node:osVersion <= \"13 4\"`:                 `{"node:osVersion" "<=" ["13 4"]}`,
		`node:tsReleaseTrack IN ['stable', 'rc',1]`:  `{"node:tsReleaseTrack" "IN" ["stable" "rc" %!q(float64=1)]}`,
		`ip:country NOT IN ['CA']`:                   `{"ip:country" "NOT IN" ["CA"]}`,
		`custom:x IS SET`:                            `{"custom:x" "IS SET" []}`,
		`custom:x_y-z.0 not  set`:                    `{"custom:x_y-z.0" "NOT SET" []}`,
		`custom:mdm == true`:                         `{"custom:mdm" "==" [%!q(bool=true)]}`,
		`custom:mdm != false`:                        `{"custom:mdm" "!=" [%!q(bool=false)]}`,
		` node:tsAutoUpdate `:                        `{"node:tsAutoUpdate" "==" [%!q(bool=true)]}`,
		`fleet:failing == 0`:                         `{"fleet:failing" "==" [%!q(float64=0)]}`,
		`fleet:score > -1.5e3`:                       `{"fleet:score" ">" [%!q(float64=-1500)]}`,
		`intune:state < 7`:                           `{"intune:state" "<" [%!q(float64=7)]}`,
		`node:tsVersion == 'it is = a < word IN []'`: `{"node:tsVersion" "==" ["it is = a < word IN []"]}`,
	} {
		p := parse(t, `{"grants": [], "postures": {"posture:a": ["`+text+`"]}}`)
		posture, ok := p.Posture("posture:a")
		if !ok || posture.Name != "posture:a" || len(posture.Conditions) != 1 {
			t.Fatalf("%s: %+v", text, posture)
		}
		if got := fmt.Sprintf("%q", posture.Conditions[0]); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	if _, ok := parse(t, `{}`).Posture("posture:a"); ok {
		t.Error("a posture that nobody defined")
	}
}

// A complaint about a condition points at the byte in question, escapes or not.
func TestConditionErrors(t *testing.T) {
	for text, want := range map[string]string{
		`os == 'macos'`:                         "1:35: has no attribute",
		`: == 1`:                                "1:35: has no attribute",
		`node: os == 1`:                         "1:35: has no attribute",
		`== 1`:                                  "1:35: has no attribute",
		``:                                      "1:35: has no attribute",
		`node:os = 'macos'`:                     "1:43: has no comparison here",
		`node:os IS 1`:                          "1:43: has no comparison here",
		`node:os == macos`:                      "1:46: has no value here",
		`node:os == 'macos`:                     "1:46: has a quote that does not end",
		`node:os == `:                           "1:45: has no value here",
		`node:os == 0x10`:                       "1:46: has no value here",
		`node:os == NaN`:                        "1:46: has no value here",
		`node:os == 1e999`:                      "1:46: has no value here",
		`node:os == 1 && custom:x IS SET`:       "1:48: has more behind its end",
		`node:os IN 'a'`:                        "1:46: has no list here",
		`node:os IN []`:                         "1:47: has no value here",
		`node:os IN ['a' 'b']`:                  "1:51: has a list that does not end",
		`node:os IN ['a'`:                       "1:50: has a list that does not end",
		`custom:mdm < true`:                     "1:48: true and false have no order",
		`custom:at NOT IN ['ipset:home']`:       "1:52: ipsets in a condition are not supported yet",
		`custom:at == 'ipset:home'`:             "1:48: ipsets in a condition are not supported yet",
		`  node:\u006fs == \"é\ud83d\ude00\" x`: "1:71: has more behind its end",
	} {
		_, _, err := policy.Parse("p", []byte(`{"postures": {"posture:abcdef": ["`+text+`"]}}`))
		place, why, _ := strings.Cut(want, ": ")
		if err == nil || !strings.HasPrefix(err.Error(), "p:"+place+": ") || !strings.Contains(err.Error(), strings.TrimPrefix(why, "has ")) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestPosturesOfTheDialect(t *testing.T) {
	const postures = `"postures": {"posture:managed": ["custom:mdm == true"], "posture:mac": ["node:os == 'macos'", "node:osVersion >= '13'"]}, `
	g := func(rest string) string {
		return postures + `"grants": [{"src": ["*"], "dst": ["ct"], "ip": ["*"], ` + rest + `}]`
	}
	dialect{
		{"srcPosture", g(`"srcPosture": ["posture:managed", " posture:mac "]`), ""},
		{"srcPosture empty", g(`"srcPosture": []`), ""},
		{"an unknown posture", g(`"srcPosture": ["posture:manged"]`), `srcPosture="posture:manged": unknown posture; did you mean "posture:managed"?`},
		{"srcPosture of an acl", postures + `"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"], "srcPosture": ["posture:mac"]}]`, ""},
		{"an unknown posture of an acl", postures + `"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"], "srcPosture": ["mac"]}]`, "unknown posture"},
		{"default", postures + `"defaultSrcPosture": ["posture:mac"]`, ""},
		{"an unknown default", postures + `"defaultSrcPosture": ["posture:mca"]`, `did you mean "posture:mac"?`},
		{"no postures", `"postures": null`, ""},
		{"a posture without conditions", `"postures": {"posture:a": []}`, "every device would pass"},
		{"a posture that is null", `"postures": {"posture:a": null}`, "every device would pass"},
		{"a posture without its prefix", `"postures": {"mac": ["node:os IS SET"]}`, "write it as posture:mac"},
		{"a condition that is a number", `"postures": {"posture:a": [1]}`, "must be a string"},
		{"a long condition", `"postures": {"posture:a": ["node:os == '` + strings.Repeat("x", 5000) + `'"]}`, "longer than 4096 bytes"},
	}.run(t)
}

// A rule that says nothing has the default, and one that says something not.
func TestDefaultPosture(t *testing.T) {
	p := parse(t, world(`"postures": {"posture:a": ["node:os IS SET"], "posture:b": ["node:os IS SET"]}, "defaultSrcPosture": ["posture:a", "posture:b"],
"grants": [{"src": ["*"], "dst": ["ct"], "ip": ["*"]}, {"src": ["*"], "dst": ["ct"], "ip": ["*"], "srcPosture": ["posture:b"]}, {"src": ["*"], "dst": ["ct"], "ip": ["*"], "srcPosture": []}],
"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]`))
	var got []string
	for _, r := range p.Rules() {
		got = append(got, fmt.Sprint(r.Postures))
	}
	if text := strings.Join(got, " "); text != "[posture:a posture:b] [posture:b] [posture:a posture:b] [posture:a posture:b]" {
		t.Error(text)
	}
	if r := parse(t, world(grant(`"*"`, `"ct"`))).Rules()[0]; r.Postures != nil || r.Via != nil {
		t.Errorf("a plain rule asks for %v by %v", r.Postures, r.Via)
	}
}
