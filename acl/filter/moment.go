package filter

import (
	"math"
	"time"
)

// Moment is one instant as a node's clocks tell it, each in nanoseconds. Three
// are needed: idle times must run through a suspend and never jump; rights end
// by policy time, which nobody at the machine can set back; and between a cold
// start and the first lease the policy time for people runs ahead of that for
// machines.
type Moment struct {
	Boot    int64 // since boot, suspend included
	Machine int64 // policy time since 1970, for rules that need no fact
	Human   int64 // policy time since 1970, for rules that need one
}

// MomentOf puts a Moment together: the time since boot, policy time, and how
// far the policy time for people is ahead of it.
func MomentOf(boot time.Duration, policy time.Time, ahead time.Duration) Moment {
	return Moment{Boot: int64(boot), Machine: nanos(policy), Human: nanos(policy.Add(ahead))}
}

// At is the Moment of a machine whose clocks all agree on t.
func At(t time.Time) Moment {
	return Moment{Boot: t.UnixNano(), Machine: t.UnixNano(), Human: t.UnixNano()}
}

const (
	never   = math.MinInt64 // before every moment
	forever = math.MaxInt64 // after every moment
)

// nanos gives t in nanoseconds since 1970, or the nearest end of what 64 bits
// hold: a clock that was never set stands in the year 1, and an admin may write
// the year 9999.
func nanos(t time.Time) int64 {
	switch year := t.Year(); {
	case year < 1700:
		return never
	case year > 2250:
		return forever
	}
	return t.UnixNano()
}

// later adds a span that is not negative to a moment, and stays within what 64
// bits hold.
func later(at, by int64) int64 {
	if at == never {
		return never
	}
	if sum := at + by; sum >= at {
		return sum
	}
	return forever
}

// plus is the moment after a span that is not negative, if no clock jumps.
func (m *Moment) plus(by int64) Moment {
	return Moment{Boot: later(m.Boot, by), Machine: later(m.Machine, by), Human: later(m.Human, by)}
}

// clock gives the policy time for a rule.
func (m *Moment) clock(human bool) int64 {
	if human {
		return m.Human
	}
	return m.Machine
}

// boot turns a policy time into time since boot, so that an established flow is
// compared with one clock only. It holds until the clocks jump; see jumped.
func (m *Moment) boot(end int64, human bool) int64 { return m.since(end, m.clock(human)) }

// since is boot by what the policy time is now.
func (m *Moment) since(end, now int64) int64 {
	switch {
	case end == forever:
		return forever
	case end <= now || now == never:
		return m.Boot
	}
	left := end - now
	if left < 0 {
		return forever // more than 64 bits of nanoseconds away
	}
	return later(m.Boot, left)
}

// jumped reports whether policy time moved against the time since boot by more
// than a second since an earlier moment, as a lease after a cold start makes it.
func (m *Moment) jumped(from *Moment) bool {
	const most = int64(time.Second)
	apart := func(a, b int64) bool {
		if a == never || b == never {
			return a != b
		}
		d := (a - m.Boot) - (b - from.Boot)
		return d > most || d < -most
	}
	return apart(m.Machine, from.Machine) || apart(m.Human, from.Human)
}
