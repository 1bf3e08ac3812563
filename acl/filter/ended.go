package filter

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// Ended judges by the table of now every TCP connection that has not been asked
// about since the last Load, and gives at most limit of those that lost their
// right, as packets of theirs would arrive: from the peer to this node. A
// program that only listens would else not learn of it until its own timeout.
//
// The lock is given up between chunks of the table, so that packets need not
// wait for all of it.
func (f *Filter) Ended(m Moment, limit int) []packet.Flow {
	var ended []packet.Flow
	for chunk := int32(0); len(ended) < limit; chunk++ {
		more := f.endedIn(m, chunk, limit, &ended)
		if !more {
			break
		}
	}
	return ended
}

// lostKept is how many connections are told of that began here and lost their right.
const lostKept = 100

// Lost gives TCP connections that began here and lost their right since the last Load,
// as packets of theirs would go: from this node to the peer. It tells of each once. The
// peer's node may not know: of a sign-out here it does not while there is no coordinator.
func (f *Filter) Lost() []packet.Flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	lost := slices.Clone(f.lost)
	f.lost = f.lost[:0]
	return lost
}

// lose takes note of a flow that lost its right, if there is room.
func (f *Filter) lose(fl *flow) {
	if fl.origin == Out && fl.proto() == acl.TCP && len(f.lost) < lostKept {
		f.lost = append(f.lost, packet.Flow{
			Src: fl.own, Dst: fl.peer, SrcPort: fl.ownPort(), DstPort: fl.peerPort(), Proto: acl.TCP, Shape: packet.Ports,
		})
	}
}

func (f *Filter) endedIn(m Moment, chunk int32, limit int, ended *[]packet.Flow) (more bool) {
	b := f.Begin(m)
	defer b.End()
	first := chunk << chunkBits
	if first >= f.flows.used {
		return false
	}
	for n := first; n < min(first+chunkSize, f.flows.used) && len(*ended) < limit; n++ {
		fl := f.flows.at(n)
		connected := fl.word&keyUsed != 0 && fl.proto() == acl.TCP && fl.state != revoked
		if !connected || fl.version == f.version && f.now.Boot < fl.end || f.now.Boot >= fl.idle {
			continue
		}
		if dec := f.again(fl, n); !dec.permits() {
			*ended = append(*ended, packet.Flow{
				Src: fl.peer, Dst: fl.own, SrcPort: fl.peerPort(), DstPort: fl.ownPort(), Proto: acl.TCP, Shape: packet.Ports,
			})
		}
	}
	return true
}
