package path

import "time"

// rate is events per second, and how many may come at once.
type rate struct{ perSecond, burst float64 }

// Limits on what probes cost. Functions, not variables: nothing may change them.
func requestsPerPeer() rate { return rate{20, MaxCandidates + maxReflexive} }
func requestsInTotal() rate { return rate{500, 250} }
func answersPerPeer() rate  { return rate{50, 50} }

// checksOfStrangers limits integrity checks on requests from addresses that
// never answered us: at 0.4 us each, a flood of forgeries costs a millisecond a
// second. Requests from an address that did answer have a budget of their own,
// checksPerPeer, which strangers cannot use up.
func checksOfStrangers() rate { return rate{2000, 500} }
func checksPerPeer() rate     { return rate{500, 100} }

// bucket is a token bucket. The zero bucket is full.
type bucket struct {
	spent float64 // tokens taken and not yet refilled
	at    time.Time
}

// take takes a token, or says when there will be one.
func (b *bucket) take(now time.Time, r rate) (ok bool, at time.Time) {
	if ok, at = b.ready(now, r); ok {
		b.spent++
	}
	return ok, at
}

// ready tells whether there is a token, or when there will be one.
func (b *bucket) ready(now time.Time, r rate) (ok bool, at time.Time) {
	if past := now.Sub(b.at).Seconds(); past > 0 {
		b.spent = max(0, b.spent-past*r.perSecond)
	}
	b.at = now
	if b.spent+1 <= r.burst {
		return true, now
	}
	missing := (b.spent + 1 - r.burst) / r.perSecond
	return false, now.Add(time.Duration(missing*float64(time.Second)) + time.Millisecond)
}
