//go:build linux

package main

import (
	"regexp"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

const (
	// silence is how long pairs say nothing behind NATs that forget a flow after 5
	// s, and awakeBound how soon the first answer must come then.
	silence    = 40 * time.Second
	awakeBound = 3 * time.Second
)

// forgetful are pairs behind NATs that forget. What the name of the first
// matches is run; all are silent at the same time.
func forgetful(pattern *regexp.Regexp) (pairs []lab.Pair, sites []lab.Site) {
	short, home, symmetric := lab.Site{NATs: []lab.NAT{lab.ShortLived()}}, lab.Site{NATs: []lab.NAT{lab.HomeRouter()}}, lab.Site{NATs: []lab.NAT{lab.Symmetric()}}
	for name, beside := range map[string]lab.Site{"forgets": short, "forgets-home": home, "forgets-relay": symmetric} {
		if pattern.MatchString(name) {
			sites = append(sites, short.Named(name), beside.Named(name+"-b"))
			pairs = append(pairs, lab.Pair{A: name, B: name + "-b"})
		}
	}
	return pairs, sites
}

// runForgetful has each pair speak, be silent, and speak again.
func runForgetful(t lab.T, p lab.Programs, pattern *regexp.Regexp) {
	pairs, sites := forgetful(pattern)
	if len(pairs) == 0 {
		return
	}
	m := lab.RaiseMesh(t, p, sites...)
	m.Introduce(pairs...)
	for _, pair := range pairs {
		if first := m.Speak(pair.A, pair.B, connectPatience); first < 0 {
			t.Errorf("%s does not connect", pair.A)
		}
	}
	time.Sleep(silence)
	for _, pair := range pairs {
		before := m.PathOf(pair.A, pair.B)
		first := m.Speak(pair.A, pair.B, connectPatience)
		t.Logf("%-30s  %12s after a silence of %s, %s before it", pair.A, span(first), silence, before)
		if first < 0 || first > awakeBound {
			t.Errorf("%s: the first answer after a silence came after %s, want %s at most", pair.A, span(first), awakeBound)
		}
	}
}
