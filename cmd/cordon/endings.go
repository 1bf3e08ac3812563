package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// endings warns of sessions that end soon, and of open flows that lose their right
// soon, or have and go on for a while: there is time to sign in again, or to save
// one's work.
func endings(s *local.Status) string {
	now := s.Map.PolicyTime
	if now.IsZero() {
		now = time.Now()
	}
	var out strings.Builder
	out.WriteString(sessionEndings(s, now))
	for _, e := range s.Endings {
		what := fmt.Sprintf("%s %s", e.Protocol, whither(s, e))
		if e.Rule != "" {
			what += " (rule " + e.Rule + ")"
		}
		open := "what is open goes on until " + e.Cut.Local().Format("15:04")
		switch {
		case e.End.IsZero():
			fmt.Fprintf(&out, "has ended: %s, %s\n", visible(what), open)
		case e.Cut.After(e.End):
			fmt.Fprintf(&out, "ends in %s: %s, then %s\n", left(e.End.Sub(now)), visible(what), open)
		default:
			fmt.Fprintf(&out, "ends in %s: %s\n", left(e.End.Sub(now)), visible(what))
		}
	}
	return out.String()
}

// whither names the far end of an ending flow, as people know it.
func whither(s *local.Status, e local.Ending) string {
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
