//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// samples are repeated measurements of one thing, in one unit.
type samples []float64

func (s *samples) add(v float64) { *s = append(*s, v) }

func (s *samples) addMillis(d time.Duration) { s.add(float64(d) / float64(time.Millisecond)) }

// at gives the value that the given share of the samples does not exceed
// (nearest rank); NaN if there are none.
func (s samples) at(share float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// median lies between the two middle samples if their number is even: ratios
// must not lean to one side.
func (s samples) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(s)-1)/2] + sorted[len(s)/2]) / 2
}

// summary is what is kept of samples.
type summary struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

func (s samples) summary() *summary {
	if len(s) == 0 {
		return nil
	}
	return &summary{N: len(s), P50: s.median(), P99: s.at(0.99), Min: slices.Min(s), Max: slices.Max(s)}
}

func (s *summary) String() string {
	return fmt.Sprintf("n=%d p50=%s p99=%s min=%s max=%s", s.N, figure(s.P50), figure(s.P99), figure(s.Min), figure(s.Max))
}

// middle is a row whose value is the samples' median.
func (s samples) middle(what, unit string, g *gate) row {
	return row{What: what, Value: s.median(), Unit: unit, Gate: g, Samples: s.summary()}
}

// least is a row whose value is the smallest of the samples.
func (s samples) least(what, unit string, g *gate) row {
	r := s.middle(what, unit, g)
	r.Value = s.at(0)
	return r
}

// ratios divides pairwise: what ran side by side is compared with each other.
func ratios(a, b samples) samples {
	var out samples
	for i := range min(len(a), len(b)) {
		out.add(a[i] / b[i])
	}
	return out
}
