package compile_test

import (
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
)

// A rule that never holds in the days ahead is none, and nobody is told that one came: here
// of a mesh that does not know the time, to which every schedule is shut.
func TestOfShutSchedulesIsNotTold(t *testing.T) {
	const grant = `"grants": [{"src": ["tag:db"], "dst": ["tag:ehr"], "ip": ["tcp:22"]}, {"src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:23"]%s}],
		"schedules": {"office": {"tz": "UTC", "weekly": ["Mon-Fri 07:00-19:00"]}}`
	shut := clinicText(strings.Replace(grant, "%s", `, "when": {"schedule": "office"}`, 1))
	m := clinic(t, `"grants": [{"src": ["tag:db"], "dst": ["tag:ehr"], "ip": ["tcp:22"]}]`)
	untold := func(what string, c compile.Change) {
		t.Helper()
		for v := range c.Views() {
			if v.Node == "id-ehr" && v.Rules {
				t.Errorf("%s: %+v", what, v)
			}
		}
	}
	untold("the rule comes", m.SetPolicy(parse(t, shut)))
	for _, n := range clinicNodes() {
		if n.User != "" {
			untold("a person goes", m.Remove(n.ID))
		}
	}
}
