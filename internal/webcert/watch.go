package webcert

import (
	"context"
	"time"
)

const day = 24 * time.Hour

// steps are how long before the end of what is served the log says so, the longest
// first. Whoever renews with a third of 90 days left never sees the first.
func steps() []time.Duration { return []time.Duration{7 * day, day, 0} }

// Watch looks at the files each minute, also where nobody calls, and says in the log
// 7 days and 1 day before what is served ends, and at its end, that it does: once
// each, and nothing of a step for which it does not live long enough. It blocks until
// ctx ends.
func (c *Certificate) Watch(ctx context.Context) error {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	var of time.Time // the end that was warned of
	told := 0
	for {
		since, until := c.Life()
		if !until.Equal(of) {
			of, told = until, 0
		}
		if n := reached(since, until, c.Now()); n > told {
			told = n
			c.warn(until)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func reached(since, until, now time.Time) (n int) {
	for i, before := range steps() {
		if until.Sub(since) > before && !now.Before(until.Add(-before)) {
			n = i + 1
		}
	}
	return n
}

func (c *Certificate) warn(until time.Time) {
	if left := until.Sub(c.Now()); left > 0 {
		c.Log.Warn(c.Name+" is about to end: renew its file", "file", c.CertFile, "until", until, "left", left.Round(time.Hour))
		return
	}
	c.Log.Error(c.Name+" has ended: renew its file", "file", c.CertFile, "until", until)
}
