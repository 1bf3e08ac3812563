package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"google.golang.org/protobuf/proto"
)

// A log is what a node keeps on disk of what it accepted, byte for byte as
// received: 8 bytes of header, then records of a length and a CRC-32C (4 bytes
// each, big-endian) and a serialised Signed. Signatures protect the content;
// the checksum only tells a write that a crash cut short from an attack.

const (
	logHeader   = "cordon\x00\x01" // the last byte is the version
	recordFront = 8
	maxRecords  = 1 << 20
)

// NewLog gives the bytes of an empty log.
func NewLog() []byte { return []byte(logHeader) }

// AppendRecord appends s to a log, or to bytes that the caller will append to
// one.
func AppendRecord(log []byte, s *Signed) ([]byte, error) {
	b, err := proto.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("append to the stored map: %w", err)
	}
	if len(b) > MaxMessage+signedOverhead {
		return nil, malformed("message of %d bytes, at most %d", len(b), MaxMessage)
	}
	log = binary.BigEndian.AppendUint32(log, uint32(len(b)))
	log = binary.BigEndian.AppendUint32(log, checksum(b))
	return append(log, b...), nil
}

// EncodeLog gives a whole log.
func EncodeLog(records []*Signed) ([]byte, error) {
	log := NewLog()
	for _, s := range records {
		var err error
		if log, err = AppendRecord(log, s); err != nil {
			return nil, err
		}
	}
	return log, nil
}

// DecodeLog gives the records of a log, and how many bytes of it are whole. A
// last record that is torn (cut short, or zeros, or failing its checksum) is
// dropped: the crash came before anybody relied on it, and the caller truncates
// the file to `whole` before it appends. Anything else that is wrong fails as
// [ErrLog]; nothing was verified yet.
func DecodeLog(log []byte) (records []*Signed, whole int, err error) {
	if len(log) < len(logHeader) || string(log[:len(logHeader)]) != logHeader {
		return nil, 0, fmt.Errorf("%w: it does not begin as one of this version", ErrLog)
	}
	whole = len(logHeader)
	for whole < len(log) {
		b, torn := record(log[whole:])
		if torn {
			if !lastRecord(log[whole:]) {
				return nil, 0, fmt.Errorf("%w: damaged at byte %d", ErrLog, whole)
			}
			return records, whole, nil
		}
		s := new(Signed)
		if err := decode(b, s, MaxMessage+signedOverhead); err != nil || len(records) >= maxRecords {
			return nil, 0, fmt.Errorf("%w: record %d does not decode", ErrLog, len(records))
		}
		records = append(records, s)
		whole += recordFront + len(b)
	}
	return records, whole, nil
}

// record gives the first record of rest, or says that it is torn.
func record(rest []byte) (b []byte, torn bool) {
	if len(rest) < recordFront {
		return nil, true
	}
	size := binary.BigEndian.Uint32(rest)
	if size == 0 || uint64(size) > uint64(len(rest)-recordFront) {
		return nil, true
	}
	b = rest[recordFront : recordFront+int(size)]
	return b, checksum(b) != binary.BigEndian.Uint32(rest[4:])
}

// lastRecord tells whether a torn record is the last thing in the file. After a
// crash a file may have its new length but zeros for bytes, of which no message
// consists.
func lastRecord(rest []byte) bool {
	if len(rest) < recordFront || !slices.ContainsFunc(rest[recordFront:], func(b byte) bool { return b != 0 }) {
		return true
	}
	size := uint64(binary.BigEndian.Uint32(rest))
	return size <= MaxMessage+signedOverhead && size >= uint64(len(rest)-recordFront)
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Replay verifies and folds the records of a log at a cold start: a Full, and
// what followed it. It fails with [ErrLog] and the reason if any record does
// not verify or does not follow, and with [ErrOlder] too if the map would stand
// below floor, the [State.Floor] that the node noted when it last wrote: then
// somebody put an old file back. After a failure the node holds no map.
//
// The epoch of floor may be above the map's, since a lease can tell of a
// revocation that did not concern this node; the map given back stands at it.
//
// Map keys need not be valid now (see [OpenKept]). A nil or empty trust fails.
func Replay(t *Trust, to Recipient, records []*Signed, floor Position) (Map, error) {
	var s State
	for i, signed := range records {
		o, err := OpenKept(t, signed)
		if err != nil {
			return Map{}, fmt.Errorf("%w: record %d: %w", ErrLog, i, err)
		}
		if s, err = s.Fold(to, o); err != nil {
			return Map{}, fmt.Errorf("%w: record %d: %w", ErrLog, i, err)
		}
	}
	if s.Map.IsZero() {
		return Map{}, fmt.Errorf("%w: it holds no Full", ErrLog)
	}
	m := s.Map
	if m.Incarnation == floor.Incarnation {
		m.Epoch = max(m.Epoch, floor.Epoch)
	}
	if at := m.Position(); at.Compare(floor) < 0 {
		return Map{}, fmt.Errorf("%w: %w", ErrLog, older(at, floor))
	}
	return m, nil
}

// ReplayRevocations verifies a log that holds revocations only, and gives them
// by node id.
func ReplayRevocations(t *Trust, records []*Signed) (map[string]RevokedKey, error) {
	out := make(map[string]RevokedKey, len(records))
	for i, signed := range records {
		o, err := OpenKept(t, signed)
		if err != nil {
			return nil, fmt.Errorf("%w: revocation %d: %w", ErrLog, i, err)
		}
		r, err := o.Revocation()
		if err != nil {
			return nil, fmt.Errorf("%w: revocation %d: %w", ErrLog, i, err)
		}
		out[r.Node] = r
	}
	return out, nil
}
