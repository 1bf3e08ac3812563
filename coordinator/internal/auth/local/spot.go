package local

import "time"

// spot is where guesses are counted: what takes the part of a node, and the seat there.
// One account of a machine would else have its colleagues wait for its guesses.
type spot struct {
	node, seat string
	whole      bool // all seats of the node, whose guesses count together as well: it says how many it has
}

// String names it for log and audit.
func (s spot) String() string {
	if s.seat == "" {
		return s.node
	}
	return s.node + ", seat " + s.seat
}

// counts gives the spots at which a guess there counts, whatever its login.
func (s spot) counts() []spot {
	if s.seat == "" {
		return []spot{s}
	}
	return []spot{s, {node: s.node, whole: true}}
}

// bucket is what was wrong at a spot, less what time has forgiven.
type bucket struct {
	wrong float64
	at    time.Time
	times float64 // as much as one node without seats may have
}

func (b *bucket) full() bool { return b.wrong+1 > nodeFree*b.times }

func (t *throttle) buckets(now time.Time, at spot) (all []*bucket) {
	for _, s := range at.counts() {
		all = append(all, t.bucket(now, s))
	}
	return all
}

func (t *throttle) bucket(now time.Time, at spot) *bucket {
	b := t.nodes[at]
	if b == nil {
		if len(t.nodes) >= maxNodes {
			clear(t.nodes) // rather forgiven than refused; the logins' own counts stand
		}
		b = &bucket{at: now, times: 1}
		if at.whole {
			b.times = nodeSeats
		}
		t.nodes[at] = b
	}
	b.wrong = max(0, b.wrong-max(0, now.Sub(b.at).Seconds())*nodePerSecond*b.times)
	b.at = now
	return b
}
