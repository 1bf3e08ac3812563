package filter

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// Drain is a flow that goes on for a while though its right has ended, as it is kept
// over a restart. Of one that is permitted nothing need be kept, since the rules permit
// it anew; one that drains they refuse, and by them alone nobody could tell whether it
// was open when its right ended, nor by which rule.
type Drain struct {
	Began     Direction
	Protocol  acl.Protocol
	Own, Peer netip.AddrPort
	Payer     string    // id of the party in whose share it is
	Session   uint64    // whose it is, if a seat's: a hash of machine and session
	Rule      uint32    // by which it passed: a hash of the id
	Until     time.Time // by the time for people, when it is cut off
}

// drainsKept bounds how many flows are kept: the rest are cut off by a restart.
const drainsKept = 4000

// Draining gives the flows with ports that drain, for the DrainOn of another Filter;
// what another gave to this one is among them if no table came meanwhile.
func (f *Filter) Draining(m Moment) (all []Drain) {
	f.mu.Lock()
	all = slices.Clone(f.kept)
	f.mu.Unlock()
	for chunk := int32(0); f.drainingIn(m, chunk, &all); chunk++ {
	}
	return all
}

func (f *Filter) drainingIn(m Moment, chunk int32, all *[]Drain) (more bool) {
	b := f.Begin(m)
	defer b.End()
	first := chunk << chunkBits
	if first >= f.flows.used || f.table == nil {
		return false
	}
	payers := make(map[int32]string, len(f.ids))
	for id, account := range f.ids {
		payers[account] = id
	}
	for n := first; n < min(first+chunkSize, f.flows.used) && len(*all) < drainsKept; n++ {
		if fl := f.flows.at(n); f.drainsStill(fl, n) {
			*all = append(*all, Drain{
				Began: fl.origin, Protocol: fl.proto(),
				Own: netip.AddrPortFrom(fl.own.IP(), fl.ownPort()), Peer: netip.AddrPortFrom(fl.peer.IP(), fl.peerPort()),
				Payer: payers[fl.account], Session: f.flows.token(n), Rule: f.tagOf(fl),
				Until: clockTime(later(f.now.Human, fl.end-f.now.Boot)),
			})
		}
	}
	return len(*all) < drainsKept
}

// drainsStill tells whether an entry is a flow with ports that drains now, be it that
// nobody had noticed that its right ended.
func (f *Filter) drainsStill(fl *flow, n int32) bool {
	if f.now.Boot >= fl.idle || !hasPorts(fl.proto()) {
		return false
	}
	if fl.version != f.version || f.now.Boot >= fl.end {
		if dec := f.again(fl, n); !dec.permits() {
			return false
		}
	}
	return fl.fast&draining != 0
}

func hasPorts(p acl.Protocol) bool { return p == acl.TCP || p == acl.UDP || p == acl.SCTP }

// DrainOn lets flows drain on that drained before a restart: when there is a table, and
// as far as it would let them by what it knows now, never for longer than they had. A
// Filter that has judged before takes none.
func (f *Filter) DrainOn(kept []Drain) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = kept
}

func (f *Filter) drainAllOn() {
	for i := range f.kept {
		f.drainOn(&f.kept[i])
	}
	f.kept = nil
}

// drainOn judges a flow as if it had drained here until now. What is permitted again is
// taken up like all others.
func (f *Filter) drainOn(d *Drain) {
	account, known := f.ids[d.Payer]
	if !known || d.Began > Out || !hasPorts(d.Protocol) {
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
