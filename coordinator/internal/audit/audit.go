// Package audit is the record of who changed or was refused what: a chain in
// which every record holds the hash of the one before, so that a record which
// is edited, dropped, inserted or moved breaks every hash after it.
//
// Its promises:
//
//   - The hash covers every field in one canonical encoding, in which no two
//     records look alike: lengths stand before texts, numbers have a fixed size.
//   - [Verify] names the first sequence that does not fit.
//   - Sequences start at 1 and have no gaps.
//
// What it leaves to others: the store writes records in the transaction of the
// change that they tell of, and remembers the head. A chain alone can't show
// that its whole tail was cut off, or that all of it was written anew by
// somebody who owns the disk; for that, export it to a place with another owner
// and compare heads. The package imports nothing of ours.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Size of a hash in bytes.
const Size = sha256.Size

// Hash links a record to the one before it. The zero Hash is before the first.
type Hash [Size]byte

// String gives 64 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Draft is what a decision says of itself, before it has a place in the chain.
// Nothing in it is secret: it is exported as it stands.
type Draft struct {
	Time     time.Time // kept to the millisecond
	Actor    string    // who: "operator:ana@clinic.example", "node:n-…", "system"
	Action   string    // what: "node.enrol", "policy.set", "token.refuse"
	Object   string    // on which thing: an id
	Detail   string    // in words, with old and new values
	Revision uint64    // of the state after the change; of the state as it stayed, for a refusal
}

// Record is a Draft in its place. Previous is the hash of the record before it.
type Record struct {
	Sequence uint64
	Draft
	Previous Hash
	Hash     Hash
}

// Head is the end of a chain. The zero Head is an empty chain.
type Head struct {
	Sequence uint64
	Hash     Hash
}

// Seal puts d behind head and returns the record and the new head.
func Seal(head Head, d Draft) (Record, Head) {
	d.Time = time.UnixMilli(d.Time.UnixMilli()).UTC()
	r := Record{Sequence: head.Sequence + 1, Draft: d, Previous: head.Hash}
	r.Hash = r.sum()
	return r, Head{Sequence: r.Sequence, Hash: r.Hash}
}

// domain keeps these hashes apart from any other SHA-256 in the mesh.
const domain = "cordon audit v1\n"

// sum hashes the canonical encoding of everything but Hash itself.
func (r Record) sum() Hash {
	b := append(make([]byte, 0, 256), domain...)
	b = binary.BigEndian.AppendUint64(b, r.Sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Time.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, r.Revision)
	for _, text := range []string{r.Actor, r.Action, r.Object, r.Detail} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	b = append(b, r.Previous[:]...)
	return sha256.Sum256(b)
}
