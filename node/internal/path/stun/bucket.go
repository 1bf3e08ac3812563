package stun

import "time"

// bucket is a token bucket. The zero bucket is full.
type bucket struct {
	used float64 // tokens taken and not yet refilled
	at   time.Time
}

// take takes a token, or says when there will be one.
func (b *bucket) take(now time.Time) (ok bool, at time.Time) {
	if past := now.Sub(b.at).Seconds(); past > 0 {
		b.used = max(0, b.used-past*perSecond)
	}
	b.at = now
	if b.used+1 <= burst {
		b.used++
		return true, now
	}
	missing := (b.used + 1 - burst) / perSecond
	return false, now.Add(time.Duration(missing*float64(time.Second)) + time.Millisecond)
}
