package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// Where all runs on one machine in no network, as for a trial, the help desk's
// page finds nothing limited.
func TestNetcheckOnLoopbackAlone(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	p := lab.Build(t)
	l := lab.Up(t, lab.Topology{Machines: []lab.Machine{{Name: "trial"}}})
	c := p.StartCoordinator(l.Host("trial"), netip.MustParseAddrPort("127.0.0.1:8443"))
	c.SetPolicy(`{"tagOwners": {"tag:trial": []}, "grants": []}`)
	d := p.StartDaemon(l.Host("trial"), "--userspace")
	d.Up(c.Token("tag:trial"))
	lab.Eventually(t, patience, "nothing is limited", func() (bool, string) {
		page := findings(t, d)
		limited := slices.IndexFunc(page, func(f local.Finding) bool { return f.State != local.FindingOK })
		return limited < 0, fmt.Sprintf("%+v", page[max(limited, 0)])
	})
	if f := finding(t, d, "UDP"); !strings.Contains(f.Text, "no address but loopback") {
		t.Errorf("%+v", f)
	}
}
