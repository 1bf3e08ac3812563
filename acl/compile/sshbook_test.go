//go:build !race

package compile_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
)

// Ten thousand ssh rules may name one group of twenty thousand: an index of the group for
// each of them came to more memory than a coordinator has. Nor does it take a test of them
// that each node is asked about each rule, where all have one list of sources.
func TestManySSHRulesOfOneGroup_A47(t *testing.T) {
	group := `"groups": {"group:g": [` + repeated(20_000, func(i int) string { return fmt.Sprintf(`"p%d@h"`, i) }) + `]}, "tagOwners": {"tag:gw": []}, "grants": []`
	rules := `, "ssh": [` + repeated(10_000, func(i int) string {
		return fmt.Sprintf(`{"action": "accept", "src": ["group:g"], "dst": ["tag:gw"], "users": ["u%d"]}`, i)
	}) + `]`
	test := `{"src": "group:g", "dst": ["tag:gw"], "accept": ["u9999"], "deny": ["root"]},`
	nodes := people(10_000)
	nodes[7].User, nodes[7].Tags = "", []string{"tag:gw"}
	judge := func(sections string) (failures []compile.TestFailure, err error) {
		m := compile.New(parse(t, `{`+group+rules+sections+`}`), ranges())
		m.Load(nodes)
		if took := allocated(func() { failures, err = m.TestSSH(t.Context()) }); took > 50 {
			t.Errorf("%d MB", took)
		}
		return failures, err
	}
	if failures, err := judge(`, "sshTests": [` + test + test + `]`); err != nil || len(failures) > 0 {
		t.Error(failures, err)
	}
	var tooMuch *compile.TooMuchWork
	if _, err := judge(`, "sshTests": [` + repeated(5_000, func(int) string { return test[:len(test)-1] }) + `]`); !errors.As(err, &tooMuch) {
		t.Error(err)
	}
}

// What a list of destinations costs is counted, too.
func TestLongListsInTestsOfSSH_A47(t *testing.T) {
	m := compile.New(parse(t, `{"tagOwners": {"tag:gw": []}, "grants": [], "ssh": [{"action": "accept", "src": ["p1@h"], "dst": ["tag:gw"], "users": ["u"]}],
		"sshTests": [{"src": "p1@h", "deny": ["u"], "dst": [`+repeated(90_000, func(int) string { return `"nobody@h"` })+`]}]}`), ranges())
	m.Load(people(10_000))
	var tooMuch *compile.TooMuchWork
	if _, err := m.TestSSH(t.Context()); !errors.As(err, &tooMuch) {
		t.Error(err)
	}
}

// People whom no list tells apart are still each their own, where rules lead to one's own
// nodes: the first of them does not answer for the others.
func TestSSHTestsTellPeopleApart(t *testing.T) {
	for _, test := range []string{
		`{"src": "group:g", "dst": ["p1@h"], "deny": ["u"]}`,
		`{"src": "p1@h", "dst": ["p0@h", "p1@h"], "deny": ["u"]}`,
	} {
		m := compile.New(parse(t, `{"groups": {"group:g": ["p0@h", "p1@h"]}, "grants": [], "ssh": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["u"]}],
			"sshTests": [`+test+`]}`), ranges())
		m.Load(people(2))
		if failures, err := m.TestSSH(t.Context()); err != nil || len(failures) != 1 {
			t.Errorf("%s: %v %v", test, failures, err)
		}
	}
}
