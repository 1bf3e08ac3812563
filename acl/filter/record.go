package filter

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// RecordKind says what a Record tells of.
type RecordKind uint8

// A flow has one FlowStart and one FlowEnd for each time that it was permitted, and
// for each time that it was let pass as Monitored.
const (
	FlowStart RecordKind = iota
	FlowEnd
	Refused       // the first of packets that were refused alike
	LimitExceeded // the first excess of a limit by a source in a window
)

// String gives the kind in a word.
func (k RecordKind) String() string {
	switch k {
	case FlowStart:
		return "start"
	case FlowEnd:
		return "end"
	case LimitExceeded:
		return "limit"
	}
	return "refused"
}

// Record is one entry of the flow log.
type Record struct {
	Kind      RecordKind
	Flow      uint32    // the same in a flow's start and end, unlike that of other recent flows; 0 in Refused
	At        time.Time // policy time
	Direction Direction // of the flow's first packet
	Src, Dst  netip.AddrPort
	Protocol  acl.Protocol
	Verdict   acl.Verdict // FlowEnd: Reason Established or Monitored for a flow that ended by itself, else why it was cut off
	Revision  uint64      // of the map by which it was judged

	// What the map says of the two ends now. Zero if it does not know them any more.
	SrcPrefix, DstPrefix netip.Prefix
	SrcClass, DstClass   acl.Class
	Peer                 string // node id of the peer

	// FlowEnd only: traffic as the flow's first packet went, and against it.
	Packets, Bytes [2]uint64
	Started        time.Time

	// LimitExceeded only: what becomes of what exceeds it, and the policy time at which
	// the window ends.
	OnExceed acl.Exceed
	Until    time.Time
}

// entry is a Record as it is kept: less than half its size, since most are
// written for every flow and never read. A prefix is known by its length, since
// it covers the address.
type entry struct {
	at                 int64
	src, dst           packet.Addr
	srcPort, dstPort   uint16
	flow               uint32
	kind               RecordKind
	direction          Direction
	proto              acl.Protocol
	why                acl.Reason
	exceed             acl.Exceed // valid if kind is LimitExceeded
	srcBits, dstBits   int16      // -1: not known
	srcClass, dstClass acl.Class
	revision           uint64
	rule               acl.RuleID
	peer               string

	started int64 // valid if kind is FlowEnd; the window's end if it is LimitExceeded

	// Valid if kind is FlowEnd.
	packets, bytes [2]uint64
}

// record gives what an entry says.
func (e *entry) record() Record {
	r := Record{
		Kind: e.kind, Flow: e.flow, At: clockTime(e.at), Direction: e.direction, Protocol: e.proto,
		Src: netip.AddrPortFrom(e.src.IP(), e.srcPort), Dst: netip.AddrPortFrom(e.dst.IP(), e.dstPort),
		Verdict:  acl.Verdict{Allow: e.kind == FlowStart, Reason: e.why, Rule: e.rule},
		Revision: e.revision, SrcClass: e.srcClass, DstClass: e.dstClass, Peer: e.peer,
		SrcPrefix: covering(e.src, e.srcBits), DstPrefix: covering(e.dst, e.dstBits),
	}
	if e.kind == FlowEnd {
		r.Packets, r.Bytes, r.Started = e.packets, e.bytes, clockTime(e.started)
	}
	if e.kind == LimitExceeded {
		r.OnExceed, r.Until = e.exceed, clockTime(e.started)
	}
	return r
}

func covering(a packet.Addr, bits int16) netip.Prefix {
	if bits < 0 {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a.IP(), int(bits)).Masked()
}

// ring keeps the newest records. Each reader has a place of its own in it.
type ring struct {
	all  []entry
	next uint64 // number of the next record, from 0
	at   int    // its place, next modulo the size
}

func (r *ring) init(size int) { r.all = make([]entry, size) }

// put gives the next entry, which still holds an old record: all of it is to be set.
func (r *ring) put() *entry {
	e := &r.all[r.at]
	r.next++
	if r.at++; r.at == len(r.all) {
		r.at = 0
	}
	return e
}

// Records copies records into buf, oldest first, from number from on. It gives
// how many, the number to ask for next, and how many were overwritten before
// this reader came for them. Any number of readers may each keep their place.
func (f *Filter) Records(from uint64, buf []Record) (n int, next, lost uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &f.records
	if size := uint64(len(r.all)); r.next > size && from < r.next-size {
		lost = r.next - size - from
		from += lost
	}
	for ; n < len(buf) && from < r.next; n++ {
		buf[n] = r.all[from%uint64(len(r.all))].record()
		from++
	}
	return n, from, lost
}

// endKind says why a flow is forgotten that did not lose its right.
type endKind uint8

const (
	endIdle     endKind = iota // silent for too long
	endReplaced                // another one began with the same addresses and ports
	endEvicted                 // its entry was needed
	endHanded                  // its address is another session's
)

// ownEnd is the reason in the record of a flow that ended by itself.
func (fl *flow) ownEnd() acl.Reason {
	if fl.fast&monitored != 0 {
		return acl.Monitored
	}
	return acl.Established
}

// endBy is the reason in the record of a flow that is forgotten.
func (fl *flow) endBy(how endKind) acl.Reason {
	switch how {
	case endEvicted:
		return acl.TableFull
	case endHanded:
		return acl.NotOurs
	}
	return fl.ownEnd()
}

// start begins the account of a flow that is permitted from now on.
func (f *Filter) start(fl *flow, dec decision) {
	fl.started = f.now.Machine
	fl.packets, fl.bytes = [2]uint64{}, [2]uint64{}
	fl.fast &^= logged | monitored
	if dec.reason == acl.Monitored {
		fl.fast |= monitored
	}
	if !f.table.rules[fl.rule].flows {
		return
	}
	fl.fast |= logged
	rec := f.describe(fl, dec.ends)
	rec.kind, rec.why, rec.rule = FlowStart, dec.reason, f.table.rules[fl.rule].id
}

// recordEnd writes the end of a flow that was permitted until now. The rule is
// the one that cut it off, or else the one that had permitted it, if it is still known.
func (f *Filter) recordEnd(fl *flow, dec decision) {
	if fl.fast&logged == 0 {
		return
	}
	if dec.rule == noRule && fl.version == f.version {
		dec.rule = fl.rule
	}
	var e ends
	if f.table != nil {
		src, dst := fl.own, fl.peer
		if fl.origin == In {
			src, dst = dst, src
		}
		e, _ = f.table.locate(fl.origin, src, dst)
	}
	rec := f.describe(fl, e)
	rec.kind, rec.why, rec.rule = FlowEnd, dec.reason, ""
	if dec.rule != noRule {
		rec.rule = f.table.rules[dec.rule].id
	}
	rec.started = fl.started
	rec.packets = [2]uint64{fl.packets[fl.origin&1], fl.packets[fl.origin.reverse()&1]}
	rec.bytes = [2]uint64{fl.bytes[fl.origin&1], fl.bytes[fl.origin.reverse()&1]}
}

// describe begins a record of a flow. Kind, reason and rule are left to be set.
func (f *Filter) describe(fl *flow, e ends) *entry {
	rec := f.records.put()
	rec.flow, rec.direction, rec.proto = fl.serial, fl.origin, fl.proto()
	rec.src, rec.srcPort = fl.own, fl.shownPort(fl.ownPort())
	rec.dst, rec.dstPort = fl.peer, fl.shownPort(fl.peerPort())
	if fl.origin == In {
		rec.src, rec.dst = rec.dst, rec.src
		rec.srcPort, rec.dstPort = rec.dstPort, rec.srcPort
	}
	f.place(rec, e)
	return rec
}

// shownPort hides what stands in the place of ports for protocols without.
func (k *key) shownPort(port uint16) uint16 {
	if k.isICMP() {
		return 0
	}
	return port
}

// place fills in the time and what the map says of the ends.
func (f *Filter) place(rec *entry, e ends) {
	rec.at, rec.revision, rec.peer = f.now.Machine, 0, ""
	rec.srcBits, rec.srcClass = e.src.shown()
	rec.dstBits, rec.dstClass = e.dst.shown()
	if f.table == nil {
		return
	}
	rec.revision = f.table.revision
	from, to := e.src.heldBy(), e.dst.heldBy()
	switch {
	case to > self && (from <= self || !f.table.fronted(to)):
		rec.peer = f.table.holders[to].id
	case from > self:
		rec.peer = f.table.holders[from].id
	}
}

// shown is what a record keeps of a home.
func (h *home) shown() (bits int16, class acl.Class) {
	if h == nil {
		return -1, 0
	}
	return h.bits, h.class
}

func clockTime(n int64) time.Time {
	if n == never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
