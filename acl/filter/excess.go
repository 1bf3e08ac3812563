package filter

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// Excess is a limit that a source has exceeded, told of once in a window.
type Excess struct {
	Rule      acl.RuleID
	OnExceed  acl.Exceed
	Until     time.Time // policy time at which the window ends; zero if nobody knows the time
	Direction Direction // of the flow that exceeded it
	Src, Dst  netip.Addr
	Peer      string // name of the peer
}

// excessesTold is how many are kept for those who ask.
const excessesTold = 20

type excesses struct {
	all    []Excess // has room for excessesTold
	missed int
}

// Exceeded gives the limits that were exceeded since it was last asked, and how many
// more were than there was room for.
func (f *Filter) Exceeded() (told []Excess, more int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told, more = slices.Clone(f.excesses.all), f.excesses.missed
	f.excesses.all, f.excesses.missed = f.excesses.all[:0], 0
	return told, more
}

// tellExcess takes note that a flow, or a new one, exceeded the limit of its rule.
func (f *Filter) tellExcess(m *meter, k *key, origin Direction, dec decision) {
	rec := f.records.put()
	rec.kind, rec.direction, rec.proto, rec.flow = LimitExceeded, origin, k.proto(), 0
	rec.why, rec.rule, rec.exceed, rec.started = acl.LimitReached, f.table.rules[dec.rule].id, m.limit.exceed, knownTime(m.end)
	rec.src, rec.srcPort, rec.dst, rec.dstPort = k.own, k.shownPort(k.ownPort()), k.peer, k.shownPort(k.peerPort())
	if origin == In {
		rec.src, rec.srcPort, rec.dst, rec.dstPort = rec.dst, rec.dstPort, rec.src, rec.srcPort
	}
	e, _ := f.table.locate(origin, rec.src, rec.dst)
	f.place(rec, e)
	if len(f.excesses.all) == excessesTold {
		f.excesses.missed++
		return
	}
	x := Excess{
		Rule: rec.rule, OnExceed: rec.exceed, Until: clockTime(rec.started), Direction: origin, Src: rec.src.IP(), Dst: rec.dst.IP(),
	}
	if h := e.peer(origin).heldBy(); h > self {
		x.Peer = f.table.holders[h].name
	}
	f.excesses.all = append(f.excesses.all, x)
}

// knownTime gives the end of a window; never for that in which nobody knows the time.
func knownTime(end int64) int64 {
	if end == never+1 {
		return never
	}
	return end
}
