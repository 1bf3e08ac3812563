package filter_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl/filter"
)

// ending tells which flows end within a time, as "80 fact-ended RULE in 5m to 10m":
// where the right ends, and where what is open is cut off.
func (s *script) ending(within string) string {
	d, err := time.ParseDuration(within)
	if err != nil {
		panic(err)
	}
	return s.endings(s.f.Ending(filter.At(s.now), d, 9))
}

// drained tells which flows began to drain.
func (s *script) drained() string {
	began, more := s.f.Drained()
	if more > 0 {
		return fmt.Sprint("and more: ", more)
	}
	return s.endings(began)
}

func (s *script) endings(all []filter.Ending) string {
	var out []string
	for _, e := range all {
		when := "drains"
		if !e.Draining() {
			when = "ends in " + e.End.Sub(s.now).String()
		}
		out = append(out, fmt.Sprintf("%d %s:%d %s %s %s, cut in %s", e.Flows, e.Peer, e.Dst.Port(), reasonWords[e.Verdict.Reason], e.Verdict.Rule, when, e.Cut.Sub(s.now)))
	}
	return strings.Join(out, "; ")
}
