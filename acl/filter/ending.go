package filter

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// Ending is flows of one kind whose right is about to end, or has ended and drains.
type Ending struct {
	Direction Direction
	Protocol  acl.Protocol
	Src       netip.Addr
	Dst       netip.AddrPort
	Peer      string // name of the peer
	Flows     int

	End time.Time // policy time at which the right ends; zero if it has
	Cut time.Time // policy time from which nothing passes: End, or later where the rule drains

	// Verdict is what such a flow gets that begins at the end. Its rule is the one
	// that permits the flow now, or the one that forbids it then.
	Verdict acl.Verdict
}

// Draining reports whether the right has ended, and what is open goes on.
func (e *Ending) Draining() bool { return e.End.IsZero() }

func (e *Ending) at() time.Time {
	if e.Draining() {
		return e.Cut
	}
	return e.End
}

// alike tells whether two differ in their times and numbers only.
func (e *Ending) alike(o Ending) bool {
	if e.Draining() != o.Draining() {
		return false
	}
	o.Flows, o.End, o.Cut = e.Flows, e.End, e.Cut
	return *e == o
}

// endings keeps the first few, alike ones as one.
type endings struct {
	all    []Ending // has room for one more than most
	most   int
	missed int // flows of kinds for which there was no room
}

func newEndings(most int) endings { return endings{all: make([]Ending, 0, most+1), most: most} }

func (l *endings) put(e Ending) {
	for i := range l.all {
		if was := &l.all[i]; was.alike(e) {
			was.Flows += e.Flows
			if e.at().Before(was.at()) {
				was.End, was.Cut = e.End, e.Cut
			}
			return
		}
	}
	i := len(l.all)
	for i > 0 && e.at().Before(l.all[i-1].at()) {
		i--
	}
	l.all = slices.Insert(l.all, i, e)
	if last := len(l.all) - 1; last >= l.most {
		l.missed += l.all[last].Flows
		l.all = l.all[:last]
	}
}

// Drained gives the flows that began to drain since it was last asked, and how many
// more did than there was room for.
func (f *Filter) Drained() (began []Ending, more int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	began, more = slices.Clone(f.drains.all), f.drains.missed
	f.drains.all, f.drains.missed = f.drains.all[:0], 0
	return began, more
}

// Ending gives the flows whose right ends within a time, unless another rule takes
// over, and those that drain: at most limit kinds of them, the first to end first.
//
// The lock is given up between chunks of the table, so that packets need not wait
// for all of it.
func (f *Filter) Ending(m Moment, within time.Duration, limit int) []Ending {
	found := newEndings(limit)
	for chunk := int32(0); f.endingIn(m, chunk, int64(within), &found); chunk++ {
	}
	return found.all
}

func (f *Filter) endingIn(m Moment, chunk int32, within int64, found *endings) (more bool) {
	b := f.Begin(m)
	defer b.End()
	first, horizon := chunk<<chunkBits, later(f.now.Boot, within)
	if first >= f.flows.used || f.table == nil {
		return false
	}
	for n := first; n < min(first+chunkSize, f.flows.used); n++ {
		fl := f.flows.at(n)
		if fl.word&keyUsed == 0 || fl.state == revoked || f.now.Boot >= fl.idle {
			continue
		}
		if fl.fast&draining != 0 || fl.version != f.version || f.now.Boot >= fl.end {
			if dec := f.again(fl, n); !dec.permits() {
				continue
			}
		}
		if fl.fast&draining != 0 {
			dec := f.askAt(&fl.key, fl.origin, fl, &f.now)
			found.put(f.ending(fl, dec, f.now.Boot, fl.end))
		} else if end, dec := f.foresee(fl, horizon); end <= horizon {
			found.put(f.ending(fl, dec, end, f.cut(fl, dec, end)))
		}
	}
	return true
}

// foreseen bounds how many rights in a row are looked at, each of which takes over
// from the one before.
const foreseen = 8

// foresee finds when a flow loses its right by the rules of now, if that is before a
// horizon, and the decision by which it does.
func (f *Filter) foresee(fl *flow, horizon int64) (end int64, dec decision) {
	end = fl.end
	for range foreseen {
		if end > horizon {
			break
		}
		then := f.now.plus(end - f.now.Boot)
		dec = f.askAt(&fl.key, fl.origin, fl, &then)
		if !dec.permits() && fl.fast&guessed != 0 {
			other := f.askAt(&fl.key, fl.origin.reverse(), fl, &then)
			if other.permits() && f.stood(&fl.key, fl.origin.reverse(), &dec) {
				dec = other
			}
		}
		if !dec.permits() {
			return end, dec
		}
		end = dec.end
	}
	return forever, dec
}

// cut gives the time since boot at which a flow is cut off that loses its right at
// an end to come.
func (f *Filter) cut(fl *flow, dec decision, end int64) int64 {
	if dec.rule == noRule || dec.reason == acl.Forbidden || dec.reason == acl.LimitReached {
		return end
	}
	then := f.now.plus(end - f.now.Boot)
	known := f.past(fl)
	_, until := f.table.drain(fl, dec, &known, &then)
	return max(end, until)
}

// ending tells of a flow that loses its right by a decision: when, and when it is
// cut off, both in time since boot.
func (f *Filter) ending(fl *flow, dec decision, end, cut int64) Ending {
	e := Ending{
		Direction: fl.origin, Protocol: fl.proto(), Flows: 1, Cut: f.policyAt(cut),
		Src: fl.own.IP(), Dst: netip.AddrPortFrom(fl.peer.IP(), fl.shownPort(fl.peerPort())),
		Verdict: acl.Verdict{Reason: dec.reason, Rule: f.table.rules[fl.rule].id},
	}
	if fl.origin == In {
		e.Src, e.Dst = fl.peer.IP(), netip.AddrPortFrom(fl.own.IP(), fl.shownPort(fl.ownPort()))
	}
	if fl.fast&draining == 0 {
		e.End = f.policyAt(end)
	}
	if dec.reason == acl.Forbidden {
		e.Verdict.Rule = f.table.rules[dec.rule].id
	}
	if h := f.table.home(fl.peer).heldBy(); h > self {
		e.Peer = f.table.holders[h].name
	}
	return e
}

// policyAt gives the policy time of a time since boot that is not over.
func (f *Filter) policyAt(boot int64) time.Time {
	return clockTime(later(f.now.Machine, boot-f.now.Boot))
}
