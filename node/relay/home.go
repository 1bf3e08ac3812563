package relay

import "time"

// What a node weighs when it chooses its home among relays.
const (
	// homeKept is how long measurements count: a relay is as near as its best
	// answer in that time, since only the way's length is common to all of them.
	homeKept = 5 * time.Minute
	// A relay that is not home must be better by both, and have been so for
	// homeSettled, before the node moves: each move costs its peers a look for it.
	homeBetter  = 10 * time.Millisecond
	homeShare   = 2.0 / 3
	homeSettled = time.Minute
	// homeFailures in a row, without an answer between, and a relay is no home.
	homeFailures = 2
)

// Measurement is what a [Home] is told of one look at a relay.
type Measurement struct {
	Relay string // its name in the map
	RTT   time.Duration
	Err   error // not nil: it did not answer
}

// Home chooses one relay of several: the nearest, and it stays with it until that
// fails or another is clearly nearer for a while. It is a pure machine: whoever
// owns it measures, and tells it what happened and when. The zero value is ready.
type Home struct {
	relays map[string]*candidate
	home   string
	rival  string // nearer than home by enough
	since  time.Time
}

type candidate struct {
	samples  []sample // of the last homeKept, at most maxSamples
	failures int      // in a row
	leaving  bool     // it said that it is about to stop, and was not measured since
}

type sample struct {
	at  time.Time
	rtt time.Duration
}

const maxSamples = 32

// Offer says which relays there are now, by name. Others are forgotten.
func (h *Home) Offer(names []string) {
	old := h.relays
	h.relays = make(map[string]*candidate, len(names))
	for _, name := range names {
		if h.relays[name] = old[name]; h.relays[name] == nil {
			h.relays[name] = new(candidate)
		}
	}
	if h.relays[h.home] == nil {
		h.move("")
	}
}

// Measured takes a measurement. One of a relay that was not offered counts nothing.
func (h *Home) Measured(now time.Time, m Measurement) {
	c := h.relays[m.Relay]
	if c == nil {
		return
	}
	if m.Err != nil {
		c.failures++
		return
	}
	c.failures, c.leaving = 0, false
	c.samples = append(c.samples, sample{now, m.RTT})
	if n := len(c.samples); n > maxSamples {
		c.samples = c.samples[n-maxSamples:]
	}
}

// Lost says that a connection to a relay broke and could not be had again, or
// that the relay is about to stop: it is no home until it answers a measurement.
func (h *Home) Lost(name string) {
	if c := h.relays[name]; c != nil {
		c.leaving = true
	}
}

// Choose gives the home at now, "" while no relay answers. It is to be asked after
// every event and at least once in homeSettled.
func (h *Home) Choose(now time.Time) string {
	best, home := h.nearest(now), h.relays[h.home]
	switch {
	case best == "":
		return h.home // nobody answers: perhaps it is us, and moving helps nobody
	case home == nil || !home.answers(now):
		h.move(best)
	case best == h.home || !nearer(h.relays[best].rtt(now), home.rtt(now)):
		h.rival = ""
	case best != h.rival:
		h.rival, h.since = best, now
	case now.Sub(h.since) >= homeSettled:
		h.move(best)
	}
	return h.home
}

func (h *Home) move(to string) { h.home, h.rival = to, "" }

// nearest gives the relay that answers soonest; of equals the one whose name
// comes first, so that nodes of one place agree.
func (h *Home) nearest(now time.Time) (best string) {
	for name, c := range h.relays {
		if !c.answers(now) {
			continue
		}
		if best == "" {
			best = name
			continue
		}
		if a, b := c.rtt(now), h.relays[best].rtt(now); a < b || a == b && name < best {
			best = name
		}
	}
	return best
}

func nearer(a, b time.Duration) bool {
	return b-a >= homeBetter && float64(a) <= homeShare*float64(b)
}

func (c *candidate) answers(now time.Time) bool {
	return c.failures < homeFailures && !c.leaving && c.rtt(now) > 0
}

// rtt gives the shortest of the samples that still count, 0 if none does.
func (c *candidate) rtt(now time.Time) (best time.Duration) {
	for _, s := range c.samples {
		if now.Sub(s.at) <= homeKept && (best == 0 || s.rtt < best) {
			best = s.rtt
		}
	}
	return best
}
