package filter

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// RecordKind says what a Record tells of.
type RecordKind uint8

// A flow has one FlowStart and one FlowEnd for each time that it was permitted.
const (
	FlowStart RecordKind = iota
	FlowEnd
	Refused // the first of packets that were refused alike
)

// String gives the kind in a word.
func (k RecordKind) String() string {
	switch k {
	case FlowStart:
		return "start"
	case FlowEnd:
		return "end"
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
	Verdict   acl.Verdict // FlowEnd: Reason Established for a flow that ended by itself, else why it was cut off
	Revision  uint64      // of the map by which it was judged

	// What the map says of the two ends now. Zero if it does not know them any more.
	SrcPrefix, DstPrefix netip.Prefix
	SrcClass, DstClass   acl.Class
	Peer                 string // node id of the peer

	// FlowEnd only: traffic as the flow's first packet went, and against it.
	Packets, Bytes [2]uint64
	Started        time.Time
}

// ring keeps the newest records. Each reader has a place of its own in it.
type ring struct {
	all  []Record
	next uint64 // number of the next record, from 0
}

func (r *ring) init(size int) { r.all = make([]Record, size) }

func (r *ring) put() *Record {
	rec := &r.all[r.next%uint64(len(r.all))]
	r.next++
	*rec = Record{}
	return rec
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
		buf[n] = r.all[from%uint64(len(r.all))]
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
)

func (k endKind) reason() acl.Reason {
	if k == endEvicted {
		return acl.TableFull
	}
	return acl.Established
}

// start begins the account of a flow that is permitted from now on.
func (f *Filter) start(fl *flow, e ends) {
	fl.started = f.now.Machine
	fl.packets, fl.bytes = [2]uint64{}, [2]uint64{}
	fl.fast &^= logged
	if f.table.rules[fl.rule].log != acl.LogFlows {
		return
	}
	fl.fast |= logged
	rec := f.describe(fl, e)
	rec.Kind = FlowStart
	rec.Verdict = acl.Verdict{Allow: true, Reason: acl.Permitted, Rule: f.table.rules[fl.rule].id}
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
	rec.Kind = FlowEnd
	rec.Verdict = acl.Verdict{Reason: dec.reason}
	if dec.rule != noRule {
		rec.Verdict.Rule = f.table.rules[dec.rule].id
	}
	rec.Started = clockTime(fl.started)
	rec.Packets = [2]uint64{fl.packets[fl.origin&1], fl.packets[fl.origin.reverse()&1]}
	rec.Bytes = [2]uint64{fl.bytes[fl.origin&1], fl.bytes[fl.origin.reverse()&1]}
}

func (f *Filter) describe(fl *flow, e ends) *Record {
	rec := f.records.put()
	rec.Flow, rec.Direction, rec.Protocol = fl.serial, fl.origin, fl.proto()
	own := netip.AddrPortFrom(fl.own.IP(), fl.shownPort(fl.ownPort()))
	peer := netip.AddrPortFrom(fl.peer.IP(), fl.shownPort(fl.peerPort()))
	rec.Src, rec.Dst = own, peer
	if fl.origin == In {
		rec.Src, rec.Dst = peer, own
	}
	f.place(rec, e)
	return rec
}

// shownPort hides what stands in the place of ports for protocols without.
func (fl *flow) shownPort(port uint16) uint16 {
	if fl.isICMP() {
		return 0
	}
	return port
}

// place fills in the time and what the map says of the ends.
func (f *Filter) place(rec *Record, e ends) {
	rec.At = clockTime(f.now.Machine)
	if f.table == nil {
		return
	}
	rec.Revision = f.table.revision
	if e.src != nil {
		rec.SrcPrefix, rec.SrcClass = e.src.prefix, e.src.class
	}
	if e.dst != nil {
		rec.DstPrefix, rec.DstClass = e.dst.prefix, e.dst.class
	}
	for _, h := range []*home{e.src, e.dst} {
		if h.heldBy() > self {
			rec.Peer = f.table.holders[h.holder].id
		}
	}
}

func clockTime(n int64) time.Time {
	if n == never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
