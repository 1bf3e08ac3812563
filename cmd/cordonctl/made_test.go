package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// Whoever dismisses an admin reads who needs another link, and what to look at, each with
// the command for it; what others wrote is no command of a terminal.
func TestWhatSomebodyMadeIsToldWithCommands(t *testing.T) {
	var out strings.Builder
	tellMade(&out, "dan@clinic.example", []*admin.Made{
		{Kind: "person", Name: "eve@clinic.example\x1b[2J", At: 1},
		{Kind: "link", Name: "cem@clinic.example", Void: true},
		{Kind: "token", Name: "abc (enrol)", Void: true},
		{Kind: "machine", Name: "ghost", At: 1},
		{Kind: "route", Name: "10.20.0.0/16 behind ward"},
		{Kind: "policy", Name: "of revision 7", At: 1},
		{Kind: "records", Name: "by token t-1 (people: 2, groups: 1)", At: 1},
	})
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"the link to set up of cem@clinic.example is void: `cordonctl user reset --keep cem@clinic.example` gives another",
		"the token abc (enrol) is revoked: whoever uses it needs another",
		"dan@clinic.example made what stands. Look whether it should:",
		"cordonctl user disable eve@clinic.example?[2J # person eve@clinic.example?[2J, " + moment(1),
		"cordonctl node remove ghost # machine ghost, " + moment(1),
		"cordonctl route list # route 10.20.0.0/16 behind ward",
		"cordonctl policy get # policy of revision 7, " + moment(1),
		"cordonctl user list # records by token t-1 (people: 2, groups: 1), " + moment(1),
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	out.Reset()
	if tellMade(&out, "dan@clinic.example", nil); out.Len() > 0 {
		t.Errorf("of nothing it is told %q", &out)
	}
}
