package planetest

import (
	"fmt"
	"strings"

	"github.com/cordonmesh/cordon/node/internal/plane"
)

// draw says what both planes make of the world, for a test that failed.
func (w *world) draw() string {
	var s strings.Builder
	for _, end := range []struct {
		name string
		p    plane.Plane
	}{{"A", w.A.Plane}, {"B", w.B.Plane}} {
		stats, err := end.p.Stats()
		if err != nil {
			fmt.Fprintf(&s, "  %s: no figures: %v\n", end.name, err)
			continue
		}
		fmt.Fprintf(&s, "  %s at revision %d, %d flows, verdicts:", end.name, stats.Revision, stats.Flows)
		for reason, n := range stats.Verdicts {
			fmt.Fprintf(&s, " %q %d in, %d out;", reason, n[plane.In], n[plane.Out])
		}
		s.WriteByte('\n')
		for _, p := range stats.Peers {
			fmt.Fprintf(&s, "    %s -- %s: sent %d, received %d bytes, last handshake %s\n",
				end.name, p.ID, p.Sent, p.Received, p.LastHandshake)
		}
		for _, r := range stats.Refusals {
			fmt.Fprintf(&s, "    refused %s %s -> %s protocol %d: %s %s\n", r.Direction, r.Src, r.Dst, r.Protocol, r.Verdict.Reason, r.Verdict.Rule)
		}
	}
	return s.String()
}
