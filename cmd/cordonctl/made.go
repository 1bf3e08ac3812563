package main

import (
	"fmt"
	"io"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// lookAfter says for each kind of what somebody made and stands how it is looked at, and
// taken away.
func lookAfter(m *admin.Made) string {
	switch m.Kind {
	case "person":
		return "cordonctl user disable " + visible(m.Name)
	case "machine":
		return "cordonctl node remove " + visible(m.Name)
	case "route":
		return "cordonctl route list"
	case "policy":
		return "cordonctl policy get"
	case "records":
		return "cordonctl user list"
	}
	return "cordonctl audit"
}

// tellMade tells what somebody made who lost the right to: first what ended with it, for
// somebody may need another, then what stands, for it may be nobody's who should be there.
func tellMade(w io.Writer, login string, made []*admin.Made) {
	stands := false
	for _, m := range made {
		if !m.Void {
			stands = true
			continue
		}
		switch m.Kind {
		case "link":
			fmt.Fprintf(w, "the link to set up of %s is void: `cordonctl user reset --keep %s` gives another\n", visible(m.Name), visible(m.Name))
		default:
			fmt.Fprintf(w, "the %s %s is revoked: whoever uses it needs another\n", m.Kind, visible(m.Name))
		}
	}
	if !stands {
		return
	}
	fmt.Fprintf(w, "%s made what stands. Look whether it should:\n", visible(login))
	for _, m := range made {
		if !m.Void {
			fmt.Fprintf(w, "  %-40s # %s %s\n", lookAfter(m), m.Kind, visible(m.Name)+since(m.At))
		}
	}
}

func since(at int64) string {
	if at == 0 {
		return ""
	}
	return ", " + moment(at)
}
