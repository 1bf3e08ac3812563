package filter

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// Drain is a flow that goes on for a while though its right has ended, or will have, as
// it is kept over a restart. Of one that is permitted nothing need be kept, since the
// rules permit it anew; one that drains they refuse, and by them alone nobody could tell
// whether it was open when its right ended, nor by which rule.
type Drain struct {
	Began     Direction
	Protocol  acl.Protocol
	Own, Peer netip.AddrPort
	Payer     string    // id of the party in whose share it is
	Session   uint64    // whose it is, if a seat's: a hash of machine and session
	Rule      uint32    // by which it passed: a hash of the id
	Until     time.Time // by the time for people, when it is cut off
}

const (
	// drainsKept bounds how many flows are kept: the rest are cut off by a restart.
	drainsKept = 4000
	// awayAtMost is for how long a daemon is away whose flows are kept that begin to
	// drain meanwhile.
	awayAtMost = int64(10 * time.Minute)
)

// Draining gives the flows with ports that drain or soon will, for the DrainOn of another;
// what another gave to this one is among them if no table came meanwhile. Where there are
// too many, no peer has more of the room than any other that wants as much.
func (f *Filter) Draining(m Moment) (all []Drain) {
	f.mu.Lock()
	all = slices.Clone(f.kept)
	payers := make(map[int32]string, len(f.ids))
	for id, account := range f.ids {
		payers[account] = id
	}
	f.mu.Unlock()
	want, have := map[int32]int{}, map[int32]int{}
	f.eachDraining(m, func(fl *flow, _ int32, _ int64) { want[fl.account]++ })
	share := fairShare(slices.Sorted(maps.Values(want)), drainsKept)
	f.eachDraining(m, func(fl *flow, n int32, until int64) {
		if have[fl.account] < share && len(all) < drainsKept {
			have[fl.account]++
			all = append(all, f.keep(fl, n, until, payers[fl.account]))
		}
	})
	return all
}

// fairShare gives the most that one of those may have who want so much each, least first,
// so that all have room. If they are more than there is room for, the first have one each.
func fairShare(want []int, room int) (share int) {
	for i, most := range want {
		if share = room / (len(want) - i); most > share {
			break
		}
		room -= most
	}
	return max(1, share)
}

// eachDraining calls do, which may not call the filter, with each flow to be kept. The lock
// is given up between chunks of the table.
func (f *Filter) eachDraining(m Moment, do func(fl *flow, n int32, until int64)) {
	for chunk := int32(0); f.drainingIn(m, chunk, do); chunk++ {
	}
}

func (f *Filter) drainingIn(m Moment, chunk int32, do func(fl *flow, n int32, until int64)) (more bool) {
	b := f.Begin(m)
	defer b.End()
	first := chunk << chunkBits
	if first >= f.flows.used || f.table == nil {
		return false
	}
	for n := first; n < min(first+chunkSize, f.flows.used); n++ {
		fl := f.flows.at(n)
		if until := f.keptUntil(fl, n); until != never {
			do(fl, n, until)
		}
	}
	return true
}

func (f *Filter) keep(fl *flow, n int32, until int64, payer string) Drain {
	return Drain{
		Began: fl.origin, Protocol: fl.proto(),
		Own: netip.AddrPortFrom(fl.own.IP(), fl.ownPort()), Peer: netip.AddrPortFrom(fl.peer.IP(), fl.peerPort()),
		Payer: payer, Session: f.flows.token(n), Rule: f.tagOf(fl),
		Until: clockTime(later(f.now.Human, until-f.now.Boot)),
	}
}

// keptUntil gives the time since boot at which an entry is cut off, if it is a flow with
// ports that drains now, be it that nobody had noticed that its right ended, or that will
// in a moment; else never.
func (f *Filter) keptUntil(fl *flow, n int32) int64 {
	if f.now.Boot >= fl.idle || !fl.proto().HasPorts() {
		return never
	}
	if fl.version != f.version || f.now.Boot >= fl.end {
		if dec := f.again(fl, n); !dec.permits() {
			return never
		}
	}
	if fl.fast&draining != 0 {
		return fl.end
	}
	if end, dec := f.foresee(fl, later(f.now.Boot, awayAtMost)); end != forever {
		if until := f.cut(fl, dec, end); until > end {
			return until
		}
	}
	return never
}

// DrainOn lets flows drain on that drained before a restart: when there is a table, and
// as far as it would let them by what it knows now, never for longer than they had. A
// Filter that has judged before takes none.
func (f *Filter) DrainOn(kept []Drain) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.began == never {
		f.kept = kept
	}
}

// drainAllOn has all drain on but those that wait.
func (f *Filter) drainAllOn() {
	var waiting []Drain
	for _, d := range f.kept {
		if f.waits(&d) {
			waiting = append(waiting, d)
		} else {
			f.drainOn(&d)
		}
	}
	f.kept, f.tried = waiting, f.version
}

// waits tells whether a flow's time is not over of which a table cannot tell yet: a node
// without a map knows no peer, and after a start a machine's own seats are in no table
// before its system ties their addresses to them.
func (f *Filter) waits(d *Drain) bool {
	unseated := d.Session != 0 && f.table.home(packet.AddrFrom(d.Own.Addr())).heldBy() < self
	return (unseated || len(f.ids) == 0) && f.now.Human < nanos(d.Until)
}

// drainOn judges a flow as if it had drained here until now. What is permitted again is
// taken up like all others.
func (f *Filter) drainOn(d *Drain) {
	account, known := f.ids[d.Payer]
	if !known || d.Began > Out || !d.Protocol.HasPorts() {
		return
	}
	own, peer := packet.AddrFrom(d.Own.Addr()), packet.AddrFrom(d.Peer.Addr())
	k := f.flows.seed.hashed(key{own, peer, portsWord(d.Protocol, d.Own.Port(), d.Peer.Port())})
	was := flow{
		key: k.key, origin: d.Began, account: account, tag: d.Rule, fast: draining,
		end: f.now.since(nanos(d.Until), f.now.Human),
	}
	if there, _ := f.flows.find(&k); there != nil || f.table.token(f.table.home(own), f.table.home(peer)) != d.Session {
		return
	}
	dec := f.askAt(&was.key, was.origin, &was, &f.now)
	if dec.permits() {
		return
	}
	if on := f.drain(&was, dec); on.permits() && f.room(account) {
		f.admitDraining(&k, &was, on)
	}
}

// admitDraining puts a flow into the table that drains by a decision.
func (f *Filter) admitDraining(k *hashed, was *flow, on decision) {
	fl, n := f.flows.add(k)
	if fl == nil {
		return
	}
	f.link(n, was.account)
	fl.origin, fl.fast, fl.version, fl.rule, fl.end = was.origin, was.fast, was.version, was.rule, was.end
	f.seat(fl, n, &on.ends)
	f.meter(fl, &f.table.rules[on.rule], on.ends.src)
	f.start(fl, on)
	fl.enter(open, f.now.Boot)
}
