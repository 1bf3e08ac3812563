package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/cordonmesh/cordon/cmd/internal/desktop"
	"github.com/cordonmesh/cordon/node/local"
)

// notice is what a person should hear of though they look elsewhere.
type notice struct {
	desktop.Notice
	key string // the same for what need not be told again
	end time.Time
}

// notices are the ends of the next ten minutes, each anew two minutes before, and
// the sign-in that opens what was refused.
func notices(s *local.Status) (out []notice) {
	now := policyNow(s)
	for _, w := range endings(s) {
		if stage := w.stage(now); stage > 0 {
			out = append(out, notice{
				Notice: desktop.Notice{Title: "Cordon", Text: w.text, Urgent: stage == 2},
				key:    fmt.Sprint(stage, " ", w.what), end: w.at,
			})
		}
	}
	for _, r := range s.Refusals {
		if opens(s, r) {
			text := fmt.Sprintf("refused: %s to %s: %s", r.Protocol, r.Dst, nextStep(s, r))
			return append(out, notice{Notice: desktop.Notice{Title: "Cordon", Text: text}, key: "login " + s.Login.ID, end: s.Login.Until})
		}
	}
	return out
}

// gist is what is compared to see whether a status has changed for whoever watches:
// no clocks and no counts, and no numbers in words that tell of trouble, such as the
// port that a connection was tried from. A refusal that comes again counts once a
// minute, lest a flood of them fill the terminal.
func gist(s *local.Status, all []notice) string {
	g := *s
	g.Map.PolicyTime, g.Map.Lease, g.Coordinator.LastHeard = time.Time{}, time.Time{}, time.Time{}
	g.Map.Revision, g.Map.Epoch, g.Coordinator.Error = 0, 0, unnumbered(s.Coordinator.Error)
	g.Warnings = slices.Clone(s.Warnings)
	for i, w := range g.Warnings {
		g.Warnings[i] = unnumbered(w)
	}
	dropCounts(&g)
	keys := make([]string, len(all))
	for i, n := range all {
		keys[i] = n.key
	}
	text, err := json.Marshal(struct {
		Status local.Status
		Keys   []string
	}{g, keys})
	if err != nil {
		return err.Error() // no status does that: it came as JSON
	}
	return string(text)
}

func unnumbered(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
}

// dropCounts takes the counts and clocks out of a status's lists. The lists of the
// status that it is a copy of stay as they are.
func dropCounts(g *local.Status) {
	g.Peers, g.StockPeers, g.Relays = slices.Clone(g.Peers), slices.Clone(g.StockPeers), slices.Clone(g.Relays)
	for i := range g.Peers {
		p := &g.Peers[i]
		p.RTT, p.LastHandshake, p.Received, p.Sent = 0, time.Time{}, 0, 0
		p.Why = unnumbered(p.Why)
	}
	for i := range g.StockPeers {
		p := &g.StockPeers[i]
		p.LastHandshake, p.Received, p.Sent = time.Time{}, 0, 0
	}
	for i := range g.Relays {
		g.Relays[i].RTT = 0
	}
	g.Refusals, g.Endings = slices.Clone(g.Refusals), slices.Clone(g.Endings)
	for i := range g.Refusals {
		r := &g.Refusals[i]
		r.Time, r.Until = r.Time.Truncate(time.Minute), time.Time{}
		r.Count, r.Src = 0, netip.AddrPortFrom(r.Src.Addr(), 0)
	}
	for i := range g.Endings {
		e := &g.Endings[i] // its times are by another clock, and differ a little at each look
		e.Flows, e.Cut = 0, time.Time{}
		if !e.End.IsZero() {
			e.End = time.Unix(0, 0)
		}
	}
}
