// Package pace bounds how often something is done: so many times a second, with
// some at once (a token bucket). The machines of path and of stun bound by it what
// they send and what strangers may cost them.
//
// It keeps no clock: whoever asks says what time it is. A clock that goes back
// neither gives tokens nor takes any.
package pace

import "time"

// Rate is times per second, and how many may come at once.
type Rate struct{ PerSecond, Burst float64 }

// Bucket counts against one rate. The zero Bucket is full.
type Bucket struct {
	spent float64 // tokens taken and not yet refilled
	at    time.Time
}

// Take takes a token, or says when there will be one.
func (b *Bucket) Take(now time.Time, r Rate) (ok bool, at time.Time) {
	if ok, at = b.Ready(now, r); ok {
		b.spent++
	}
	return ok, at
}

// Ready tells whether there is a token, or when there will be one.
func (b *Bucket) Ready(now time.Time, r Rate) (ok bool, at time.Time) {
	if past := now.Sub(b.at).Seconds(); past > 0 {
		b.spent = max(0, b.spent-past*r.PerSecond)
	}
	b.at = now
	if b.spent+1 <= r.Burst {
		return true, now
	}
	missing := (b.spent + 1 - r.Burst) / r.PerSecond
	return false, now.Add(time.Duration(missing*float64(time.Second)) + time.Millisecond)
}

// Full tells whether all tokens are there again.
func (b *Bucket) Full(now time.Time, r Rate) bool {
	return now.Sub(b.at).Seconds()*r.PerSecond >= b.spent
}
