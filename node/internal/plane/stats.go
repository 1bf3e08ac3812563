package plane

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// Stats is what a plane did so far.
type Stats struct {
	Revision uint64 // that it enforces; 0 before the first Configure
	Flows    int    // in the flow table
	Peers    []PeerStats
	Tunnels  int       // peers that take memory at the moment for a tunnel, or what may become one
	Refusals []Refusal // the newest kinds, newest last; bounded
	Endings  []Ending  // of flows that lose their right soon, or have and drain; the first to end first; bounded

	// Packets since the start, by reason and Direction.
	Verdicts map[acl.Reason][2]uint64
}

// PeerStats is what a plane knows of one peer.
type PeerStats struct {
	ID            string
	LastHandshake time.Time // wall clock; zero: never
	Received      uint64    // bytes of sealed packets
	Sent          uint64
	Endpoint      netip.AddrPort // of a stock peer, where it is now; zero: not known
}

// Direction of a packet as this node sees it.
type Direction uint8

// In is from the mesh to this node, Out from this node to the mesh.
const (
	In Direction = iota
	Out
)

// String gives "in" or "out".
func (d Direction) String() string {
	if d == Out {
		return "out"
	}
	return "in"
}

// Refusal is one kind of refused packets, for `cordon status`: alike ones are
// counted, not repeated.
type Refusal struct {
	First, Last time.Time // policy time
	Count       uint64
	Direction   Direction
	Peer        string // name; empty if no peer has the address
	Src, Dst    netip.AddrPort
	Protocol    acl.Protocol
	Verdict     acl.Verdict
	Until       time.Time // LimitReached: policy time at which the limit gives again; else zero
}

// Ending is flows of one kind that lose their right soon, or drain: a new one is
// refused, and what is open goes on for a while.
type Ending struct {
	Direction Direction
	Peer      string // name
	Src       netip.Addr
	Dst       netip.AddrPort
	Protocol  acl.Protocol
	Flows     int
	End       time.Time   // policy time at which the right ends; zero: they drain
	Cut       time.Time   // policy time from which nothing passes
	Verdict   acl.Verdict // that a new one gets from the end on
}

// Question is a new flow that somebody asks about.
type Question struct {
	Direction Direction
	Src, Dst  netip.Addr
	Protocol  acl.Protocol
	Port      uint16 // destination port; not read for a protocol without ports
}
