package stun

import (
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/pace"
)

const (
	// maxTargets is how many server addresses of a family are asked. The list
	// comes from outside: a longer one must not make us a scanner.
	maxTargets = 8

	// RFC 8489 section 6.2.1: a request is repeated after RTO, then after twice
	// that, and so on, maxTries times in all (its Rc), and finally waited for
	// finalWait times RTO (its Rm). Its RTO of 500 ms is for links on which
	// nothing is known; here lost packets are likelier than 250 ms of delay, and
	// a person waits. Once a server's round-trip time is known, RTO is twice
	// that. No wait is longer than maxWait, so a round ends before the next one.
	minRTO    = 100 * time.Millisecond
	maxRTO    = time.Second
	maxWait   = 3200 * time.Millisecond
	maxTries  = 7
	finalWait = 16
	// suspectTries unanswered tries at the one server that keeps a mapping open
	// make us ask all of them, without waiting for the transaction's end.
	suspectTries = 4

	// keepEvery keeps mappings open: many NATs forget one after 30 s (RFC 4787
	// section 4.3 asks for 2 minutes and is not obeyed). The jitter of each pace
	// is a quarter, lest a site's nodes ask in step.
	keepEvery = 20 * time.Second
	// freshFor is how old an answer may be, when somebody begins to want a
	// mapping, without asking again.
	freshFor = 15 * time.Second
	// roundEvery is how old a round may be when a mapping is kept open.
	roundEvery = 5 * time.Minute
	// blockedEvery is the pace while nobody answers.
	blockedEvery = time.Minute
	// idleEvery is the pace while nobody wants mappings. It is longer than
	// roundEvery: what is asked so seldom is asked of all.
	idleEvery = 10 * time.Minute
)

// sendRate caps all that is sent: a flapping interface asks for a round at every
// flap. A burst is two rounds of both families.
func sendRate() pace.Rate { return pace.Rate{PerSecond: 8, Burst: 4 * maxTargets} }
