package distribute

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Messages are put together from parts that were serialised once: marshalling
// ten thousand peers anew for each of ten thousand nodes would take minutes. The
// bytes are those that wire.Encode gives for the same content; a test says so.

// Numbers of fields in wire.proto.
const (
	envelopeMesh, envelopeNode, envelopeIncarnation = 1, 2, 3
	envelopeFrom, envelopeTo, envelopeEpoch         = 4, 5, 6
	envelopeFull, envelopeDelta                     = 7, 8

	fullSelf, fullPeers, fullRules               = 1, 2, 3
	deltaSelf, deltaPut, deltaRemove, deltaRules = 1, 2, 3, 4
	deltaSeats                                   = 190
)

// message is an envelope's content before it has bytes.
type message struct {
	body   protowire.Number // envelopeFull or envelopeDelta
	from   uint64
	self   []byte // serialised; nil: none, as below
	rules  []byte
	put    []*record
	remove []string
	seats  [][]byte // serialised
	adds   bool     // nothing but peers that the node did not have
}

func (m *message) empty() bool {
	return m.body == envelopeDelta && m.self == nil && m.rules == nil && len(m.put) == 0 && len(m.remove) == 0 && len(m.seats) == 0
}

// encode gives the bytes of the envelope that carries m to a node.
func (m *message) encode(mesh wire.MeshID, node string, at wire.Position) []byte {
	body := sized(deltaSelf, m.self) + sized(deltaRules, m.rules)
	for _, r := range m.put {
		body += sized(deltaPut, r.bytes)
	}
	for _, id := range m.remove {
		body += protowire.SizeTag(deltaRemove) + protowire.SizeBytes(len(id))
	}
	for _, change := range m.seats {
		body += sized(deltaSeats, change)
	}
	b := make([]byte, 0, 64+len(mesh)+len(node)+body)
	b = appendBytes(b, envelopeMesh, mesh[:])
	b = appendText(b, envelopeNode, node)
	b = appendNumber(b, envelopeIncarnation, at.Incarnation)
	b = appendNumber(b, envelopeFrom, m.from)
	b = appendNumber(b, envelopeTo, at.Revision)
	b = appendNumber(b, envelopeEpoch, at.Epoch)
	b = protowire.AppendTag(b, m.body, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(body))
	return m.append(b)
}

// append writes the body, its fields in the order of their numbers.
func (m *message) append(b []byte) []byte {
	self, put, rules := protowire.Number(deltaSelf), protowire.Number(deltaPut), protowire.Number(deltaRules)
	if m.body == envelopeFull {
		self, put, rules = fullSelf, fullPeers, fullRules
	}
	b = appendPart(b, self, m.self)
	for _, r := range m.put {
		b = appendPart(b, put, r.bytes)
	}
	for _, id := range m.remove {
		b = appendText(b, deltaRemove, id)
	}
	b = appendPart(b, rules, m.rules)
	for _, change := range m.seats {
		b = appendPart(b, deltaSeats, change)
	}
	return b
}

// sized gives the size of a part with its tag, which has as many bytes in a Full.
func sized(field protowire.Number, part []byte) int {
	if part == nil {
		return 0
	}
	return protowire.SizeTag(field) + protowire.SizeBytes(len(part))
}

func appendPart(b []byte, field protowire.Number, part []byte) []byte {
	if part == nil {
		return b
	}
	return appendBytes(b, field, part)
}

func appendBytes(b []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), value)
}

func appendText(b []byte, field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), value)
}

// appendNumber leaves a zero out, as proto3 does.
func appendNumber(b []byte, field protowire.Number, value uint64) []byte {
	if value == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
}

func serialised(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic("distribute: " + err.Error()) // text that is not UTF-8, which the registry lets nobody store
	}
	return b
}
