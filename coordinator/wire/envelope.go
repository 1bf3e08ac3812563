package wire

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Recipient says whose messages a node takes.
type Recipient struct {
	Mesh MeshID
	Node string
}

// NewFull addresses all of m.
func NewFull(to Recipient, m Map) *Envelope {
	e := newEnvelope(to, m.Position())
	e.Body = &Envelope_Full{m.Full()}
	return e
}

// NewDelta addresses a change that starts from the revision `from` and leads
// to `at`.
func NewDelta(to Recipient, from uint64, at Position, d *Delta) *Envelope {
	e := newEnvelope(to, at)
	e.From = from
	e.Body = &Envelope_Delta{d}
	return e
}

// NewLease says to all nodes that stand at `at` that the coordinator stands
// behind their maps at now (in whole milliseconds).
func NewLease(mesh MeshID, at Position, now time.Time) *Envelope {
	e := newEnvelope(Recipient{Mesh: mesh}, at)
	e.Body = &Envelope_Lease{&Lease{Time: now.UnixMilli()}}
	return e
}

// NewRevocation ends node for good; at.Epoch is the epoch that it began.
func NewRevocation(mesh MeshID, at Position, node key.NodePublic, now time.Time) *Envelope {
	e := newEnvelope(Recipient{Mesh: mesh}, at)
	e.Body = &Envelope_Revocation{&Revocation{NodeKey: node.Bytes(), Node: NodeID(node), Time: now.UnixMilli()}}
	return e
}

func newEnvelope(to Recipient, at Position) *Envelope {
	return &Envelope{Mesh: to.Mesh[:], Node: to.Node, Incarnation: at.Incarnation, To: at.Revision, Epoch: at.Epoch}
}

// Encode gives the bytes of e, to be signed. It fails on a message that no node
// would take because of its size.
func Encode(e *Envelope) ([]byte, error) {
	b, err := proto.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode message for node %q: %w", e.GetNode(), err)
	}
	if len(b) > MaxMessage {
		return nil, malformed("message for node %q of %d bytes, at most %d: permit this node fewer peers", e.GetNode(), len(b), MaxMessage)
	}
	return b, nil
}
