package filter

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// Refusal is one kind of refused packets, for those who ask why something does
// not work.
type Refusal struct {
	First, Last time.Time // policy time
	Count       uint64    // packets
	Direction   Direction
	Src, Dst    netip.AddrPort // the source port is that of the first packet
	Protocol    acl.Protocol
	Peer        string // name of the peer; empty if no peer has the address
	Verdict     acl.Verdict
	Until       time.Time // LimitReached: policy time at which the limit gives again; else zero
}

// refusals keeps the newest refusals, alike ones folded into one: a program
// that tries again every second fills one line, not the list.
type refusals struct {
	seed  seed
	all   []refused
	next  uint64
	index []uint64 // number of a refusal + 1, by hash of its key
	log   bucket   // of those that go to the records as well
}

type refused struct {
	key    refusedKey
	first  int64
	last   int64
	count  uint64
	source uint16
	peer   string
	rule   acl.RuleID
	until  int64
}

// refusedKey is what refusals have in common that are folded.
type refusedKey struct {
	src, dst packet.Addr
	port     uint16
	proto    acl.Protocol
	d        Direction
	reason   acl.Reason
}

// A scan of ports must not wash the flows out of the records.
const refusalsRecorded = 20 // in a second

func (r *refusals) init(size int, s seed) {
	r.seed, r.all = s, make([]refused, size)
	slots := 64
	for slots < 2*size {
		slots *= 2
	}
	r.index = make([]uint64, slots)
	r.log = newBucket(refusalsRecorded)
}

// find gives the entry for a key, and whether it is a new one.
func (r *refusals) find(k refusedKey) (e *refused, fresh bool) {
	h := r.seed.hash(&key{k.src, k.dst, uint64(k.port)<<32 | uint64(k.proto)<<16 | uint64(k.d)<<8 | uint64(k.reason)})
	slot := &r.index[h&uint32(len(r.index)-1)]
	size := uint64(len(r.all))
	if at := *slot; at != 0 && r.next-(at-1) <= size {
		if e := &r.all[(at-1)%size]; e.key == k {
			return e, false
		}
	}
	e = &r.all[r.next%size]
	*e = refused{key: k}
	r.next++
	*slot = r.next
	return e, true
}

// note remembers a refusal. What is no packet has no addresses to show, and
// what a machine says to its own link (multicast, mostly) nobody asks about.
func (f *Filter) note(d Direction, p *packet.Packet, dec decision, v acl.Verdict) {
	if dec.reason == acl.Malformed || dec.reason == acl.NotOurs && d == Out {
		return
	}
	if dec.rule != noRule && f.table.rules[dec.rule].silent {
		return
	}
	k := refusedKey{p.Src, p.Dst, p.DstPort, p.Proto, d, dec.reason}
	if p.Shape != packet.Ports {
		k.port = 0
	}
	e, fresh := f.refusals.find(k)
	e.last = f.now.Machine
	e.count++
	e.rule, e.until = v.Rule, never
	if dec.reason == acl.LimitReached {
		e.until = later(f.now.Machine, dec.end-f.now.Boot)
	}
	if !fresh {
		return
	}
	e.first = f.now.Machine
	if p.Shape == packet.Ports {
		e.source = p.SrcPort
	}
	at := dec.ends
	if at.src == nil && at.dst == nil && f.table != nil {
		at, _ = f.table.locate(d, p.Src, p.Dst)
	}
	if h := at.peer(d); h.heldBy() > self {
		e.peer = f.table.holders[h.holder].name
	}
	if f.refusals.log.take(f.now.Boot) {
		rec := f.records.put()
		rec.kind, rec.direction, rec.proto, rec.flow = Refused, d, k.proto, 0
		rec.src, rec.srcPort, rec.dst, rec.dstPort = k.src, e.source, k.dst, k.port
		rec.why, rec.rule = v.Reason, v.Rule
		f.place(rec, at)
	}
}

// Refusals gives the newest refusals, newest last.
func (f *Filter) Refusals() []Refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &f.refusals
	n := min(r.next, uint64(len(r.all)))
	out := make([]Refusal, 0, n)
	for i := r.next - n; i < r.next; i++ {
		e := &r.all[i%uint64(len(r.all))]
		out = append(out, Refusal{
			First: clockTime(e.first), Last: clockTime(e.last), Count: e.count, Direction: e.key.d,
			Src: netip.AddrPortFrom(e.key.src.IP(), e.source), Dst: netip.AddrPortFrom(e.key.dst.IP(), e.key.port), Protocol: e.key.proto, Peer: e.peer,
			Verdict: acl.Verdict{Reason: e.key.reason, Rule: e.rule}, Until: clockTime(e.until),
		})
	}
	return out
}
