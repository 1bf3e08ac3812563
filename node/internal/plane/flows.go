package plane

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// FlowEvent says what a FlowRecord tells of.
type FlowEvent uint8

// A flow has a start and an end for each time that it was let pass.
const (
	FlowStart    FlowEvent = iota
	FlowEnd                // with its totals
	FlowRefused            // the first of packets that were refused alike
	FlowExceeded           // the first excess of a rule's limit by a source in a window
)

// FlowRecord is one entry of a plane's flow log.
type FlowRecord struct {
	Event     FlowEvent
	Flow      uint32    // the same in a flow's start and end, unlike that of other recent flows; 0 in others
	At        time.Time // policy time
	Direction Direction // of the flow's first packet
	Src, Dst  netip.AddrPort
	Protocol  acl.Protocol
	Peer      string // node id; empty if no peer has the address
	Revision  uint64 // of the map by which it was judged
	Verdict   acl.Verdict

	// FlowEnd only: traffic as the first packet went, and against it.
	Packets, Bytes [2]uint64
	Started        time.Time

	// FlowExceeded only: what becomes of what is more, and until when.
	OnExceed acl.Exceed
	Until    time.Time
}
