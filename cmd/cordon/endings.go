package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

const (
	warnBefore = 10 * time.Minute // an end: time to sign in again
	lastCall   = 2 * time.Minute  // time to save one's work
)

// warning says of one thing when it ends.
type warning struct {
	what string // that ends; no moment: a clock may move the end a little
	at   time.Time
	text string
}

// stage is 0 while an end is far, 1 from ten minutes before it, 2 from two.
func (w warning) stage(now time.Time) int {
	switch d := w.at.Sub(now); {
	case d <= lastCall:
		return 2
	case d <= warnBefore:
		return 1
	}
	return 0
}

// policyNow is by which clock things end.
func policyNow(s *local.Status) time.Time {
	if s.Map.PolicyTime.IsZero() {
		return time.Now()
	}
	return s.Map.PolicyTime
}

// endings warns of sessions that end soon, and of open flows that lose their right
// soon, or have and go on for a while: there is time to sign in again, or to save
// one's work.
func endings(s *local.Status) (out []warning) {
	now := policyNow(s)
	out = sessionEndings(s, now)
	for _, e := range s.Endings {
		out = append(out, flowEnding(s, e, now))
	}
	return out
}

func flowEnding(s *local.Status, e local.Ending, now time.Time) warning {
	what := fmt.Sprintf("%s %s", e.Protocol, farEnd(s, e))
	if e.Rule != "" {
		what += " (rule " + e.Rule + ")"
	}
	what = visible(what)
	open := "what is open goes on until " + e.Cut.Local().Format("15:04")
	switch {
	case e.End.IsZero():
		return warning{"cut " + what, e.Cut, fmt.Sprintf("has ended: %s, %s", what, open)}
	case e.Cut.After(e.End):
		return warning{"end " + what, e.End, fmt.Sprintf("ends in %s: %s, then %s", left(e.End.Sub(now)), what, open)}
	}
	return warning{"end " + what, e.End, fmt.Sprintf("ends in %s: %s", left(e.End.Sub(now)), what)}
}

// farEnd names where an ending flow leads, and for an incoming one from where, as
// people know it.
func farEnd(s *local.Status, e local.Ending) string {
	at := e.Dst.String()
	if e.Dst.Port() == 0 {
		at = e.Dst.Addr().String()
	}
	if name := peerAt(s, e.Dst.Addr()); name != "" && e.Dst.Port() == 0 {
		at = name
	} else if name != "" {
		at = fmt.Sprint(name, ":", e.Dst.Port())
	}
	if e.Outbound {
		return at
	}
	from := peerAt(s, e.Src)
	if from == "" {
		from = e.Src.String()
	}
	return at + " from " + from
}

func peerAt(s *local.Status, a netip.Addr) string {
	for _, p := range s.Peers {
		if slices.Contains(p.Addresses, a) {
			return p.Name
		}
	}
	return ""
}

// left rounds down, so that nobody is promised more than there is.
func left(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprint(max(0, int(d.Seconds())), " s")
	}
	return fmt.Sprint(int(d.Minutes()), " min")
}
