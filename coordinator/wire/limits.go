package wire

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What one message may hold. A limit is far above any real mesh, and low enough
// that a node survives a coordinator gone bad.
const (
	MaxMessage = 32 << 20 // bytes of a payload; give it to connect.WithReadMaxBytes with some room
	MaxPeers   = 100_000

	maxRules    = 20_000  // each of In and Out
	maxClasses  = 100_000 // of one rule
	maxPrefixes = 4_096   // of one record; as many addresses, routes, facts, sessions and seats, and services of one rule
	maxElements = 2 << 20 // repeated things in one message, all together

	// Signed around a payload: proof, key and signature.
	signedOverhead = 4096
)

// UnhurriedWithin is how long a node may keep the acknowledgement of a map that
// came with the word that nobody waits for it.
const UnhurriedWithin = 30 * time.Second

// most tells how often a field may occur in its message.
func most(f protoreflect.FieldDescriptor) int {
	if !f.IsList() {
		return 1 // protobuf would merge the second into the first
	}
	switch f.FullName() {
	case "cordon.wire.v1.Full.peers", "cordon.wire.v1.Delta.put", "cordon.wire.v1.Delta.remove", "cordon.wire.v1.Delta.seats":
		return MaxPeers
	case "cordon.wire.v1.RuleSet.in", "cordon.wire.v1.RuleSet.out":
		return maxRules
	case "cordon.wire.v1.Rule.src", "cordon.wire.v1.Rule.dst":
		return maxClasses
	case "cordon.wire.v1.Signed.proof":
		return maxProof
	case "cordon.wire.v1.Relays.relays":
		return MaxRelays
	default:
		return maxPrefixes
	}
}

// decode is proto.Unmarshal behind a look at how much the bytes would become:
// two bytes can stand for an object of a hundred.
func decode(b []byte, m proto.Message, limit int) error {
	name := m.ProtoReflect().Descriptor().Name()
	if len(b) > limit {
		return malformed("%s of %d bytes, at most %d", name, len(b), limit)
	}
	s := scan{}
	if err := s.message(b, m.ProtoReflect().Descriptor()); err != nil {
		return err
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return malformed("%s does not decode", name)
	}
	return nil
}

// scan counts without allocating for each element.
type scan struct{ elements int }

func (s *scan) message(b []byte, d protoreflect.MessageDescriptor) error {
	var counts [32]int // by the field's place in its message, of which ours have fewer; numbers go higher
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || kind == protowire.StartGroupType {
			return malformed("%s does not decode", d.Name())
		}
		size := protowire.ConsumeFieldValue(number, kind, b[n:])
		if size < 0 {
			return malformed("%s does not decode", d.Name())
		}
		value := b[n : n+size]
		b = b[n+size:]
		field := d.Fields().ByNumber(number)
		// An unknown field is kept as bytes: it costs what it weighs.
		if field == nil {
			continue
		}
		counts[field.Index()] += occurrences(field, kind, value)
		s.elements += occurrences(field, kind, value)
		if counts[field.Index()] > most(field) || s.elements > maxElements {
			return malformed("too many %s", field.FullName())
		}
		if err := s.inner(field, kind, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) inner(field protoreflect.FieldDescriptor, kind protowire.Type, value []byte) error {
	if kind != protowire.BytesType || field.Kind() != protoreflect.MessageKind {
		return nil
	}
	inner, _ := protowire.ConsumeBytes(value)
	return s.message(inner, field.Message())
}

func occurrences(field protoreflect.FieldDescriptor, kind protowire.Type, value []byte) int {
	if field.IsList() && kind == protowire.BytesType && field.Kind() == protoreflect.Fixed64Kind {
		inner, _ := protowire.ConsumeBytes(value)
		return len(inner) / 8
	}
	return 1
}
