package portmap

import "time"

// How far a gateway's clock may be from ours, as a part of the time that passed:
// RFC 6887 section 8.5 says a 16th; RFC 6886 section 3.6 says an 8th, and only
// for one that is late.
const (
	pcpDrift    = 16
	natpmpDrift = 8
)

// epoch follows the clock that a gateway writes into each answer. It starts anew
// when the gateway forgets its mappings.
type epoch struct {
	drift  time.Duration // pcpDrift or natpmpDrift
	server time.Duration // the clock when it was last heard
	at     time.Time     // our time then; zero: never heard
	lost   bool          // it started anew since the last grant
}

// hear takes the clock of an answer, also of a refusal.
func (e *epoch) hear(seconds uint32, now time.Time) {
	const slack = 2 * time.Second // of networks and of rounding
	server := time.Duration(seconds) * time.Second
	if !e.at.IsZero() {
		theirs, ours := server-e.server, now.Sub(e.at)
		if theirs < -time.Second || theirs+slack < ours-ours/e.drift || ours+slack < theirs-theirs/e.drift {
			e.lost = true
		}
	}
	e.server, e.at = server, now
}

// granted says that the last answer heard was a grant.
func (e *epoch) granted() { e.lost = false }

// forgot tells whether the gateway may have lost what it granted.
func (e *epoch) forgot() bool { return e.lost }
