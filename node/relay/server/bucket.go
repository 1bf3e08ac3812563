package server

import "time"

// bucket is a token bucket that may go into debt: what was read was read, and
// the next read waits until it is paid.
type bucket struct {
	rate, depth, tokens float64
	at                  time.Time
}

// newBucket gives a full one of a quarter of a second's worth, and of least at
// least.
func newBucket(rate uint64, least int, now time.Time) bucket {
	depth := max(float64(rate)/4, float64(least))
	return bucket{rate: float64(rate), depth: depth, tokens: depth, at: now}
}

// wait tells how long a debt takes to be paid, 0 if there is none.
func (b *bucket) wait(now time.Time) time.Duration {
	b.tokens = min(b.depth, b.tokens+now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	return time.Duration(max(-b.tokens, 0) / b.rate * float64(time.Second))
}

// take takes n tokens, and tells how long to wait until the debt is paid.
func (b *bucket) take(now time.Time, n int) time.Duration {
	b.wait(now)
	b.tokens -= float64(n)
	return b.wait(now)
}
