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
	Verdicts map[acl.Reason]uint64 // packets since the start, by reason
	Refusals []Refusal             // the latest, newest last; bounded
}

// PeerStats is what a plane knows of one peer.
type PeerStats struct {
	ID            string
	LastHandshake time.Time // wall clock; zero: never
	Received      uint64    // bytes of sealed packets
	Sent          uint64
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

// Refusal is one refused packet, for `cordon status`.
type Refusal struct {
	At        time.Time // policy time
	Direction Direction
	Peer      string // name; empty if no peer owns the address
	Src, Dst  netip.AddrPort
	Protocol  acl.Protocol
	Verdict   acl.Verdict
}

// Question is a new flow that somebody asks about.
type Question struct {
	Direction Direction
	Src, Dst  netip.Addr
	Protocol  acl.Protocol
	Port      uint16 // destination port; not read for a protocol without ports
}
