//go:build linux

package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// What we promise for every pair of networks.
const (
	firstBound  = 2 * time.Second
	directBound = 10 * time.Second
	// connectPatience is how long a pair may take before it counts as one that
	// does not connect at all.
	connectPatience = 15 * time.Second
	// localBound is how long a pair in one LAN may take to settle on the LAN's own
	// path where the router turns packets back as well.
	localBound = 30 * time.Second
	// settled is how long a pair that must be relayed is watched.
	settled = time.Second
)

// pair is two nodes that shall meet, with what theory says.
type pair struct {
	name   string // of the kinds
	a, b   string // nodes
	direct bool   // theory allows it
	local  bool   // they are in one LAN, which nothing between them need leave
}

// plan gives the pairs whose name matches, and the sites that they need.
func plan(pattern *regexp.Regexp) ([]pair, []lab.Site) {
	var pairs []pair
	var sites []lab.Site
	have := map[string]bool{}
	need := func(s lab.Site) string {
		if !have[s.Name] {
			have[s.Name] = true
			sites = append(sites, s)
		}
		return s.NodeNames()[0]
	}
	kinds := lab.Sites()
	for i, x := range kinds {
		for _, y := range kinds[i:] {
			name := x.Name + " + " + y.Name
			if pattern.MatchString(name) {
				pairs = append(pairs, pair{name, need(x), need(y.Named(y.Name + "-b")), lab.CanBeDirect(x, y), false})
			}
		}
	}
	for _, s := range lab.SharedSites() {
		if pattern.MatchString(s.Name) {
			need(s)
			names := s.NodeNames()
			pairs = append(pairs, pair{s.Name, names[0], names[1], lab.CanBeDirectWithin(s), !s.Apart})
		}
	}
	return pairs, sites
}

func (p pair) meet(m *lab.Mesh) result {
	upgrade := settled
	if p.direct {
		upgrade = directBound
	}
	if p.local {
		return result{p, m.MeetInside(p.a, p.b, connectPatience, localBound)}
	}
	return result{p, m.Meet(p.a, p.b, connectPatience, upgrade)}
}

type result struct {
	pair
	lab.Meeting
}

const heading = "pair                            first answer   path            direct after   in theory   verdict"

func (r result) String() string {
	theory := "relay"
	if r.direct {
		theory = "direct"
	}
	return fmt.Sprintf("%-30s  %12s   %-13s   %12s   %-9s   %s", r.name, span(r.First), r.Path, span(r.Meeting.Direct), theory, r.verdict())
}

func span(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return d.Round(time.Millisecond).String()
}

// verdict is "ok", or what is wrong.
func (r result) verdict() string {
	var wrong []string
	switch {
	case r.First < 0:
		wrong = append(wrong, "DOES NOT CONNECT")
	case r.First > firstBound:
		wrong = append(wrong, "SLOW")
	}
	if r.First >= 0 && r.pair.direct && (r.Meeting.Direct < 0 || r.Meeting.Direct > directBound) {
		wrong = append(wrong, "NOT DIRECT")
	} else if r.local && !r.Meeting.Local {
		wrong = append(wrong, "NOT ON THE LAN")
	}
	if len(wrong) == 0 {
		return "ok"
	}
	return strings.Join(wrong, ", ")
}

func (r result) ok() bool { return r.verdict() == "ok" }
