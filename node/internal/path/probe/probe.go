// Package probe is the wire form of path probes: STUN Binding requests, their
// success responses, and Binding indications (RFC 8489), authenticated as in ICE
// (RFC 8445 section 7), so that any packet analyser decodes them.
//
//	request   header | USERNAME "receiver:sender" | MESSAGE-INTEGRITY     84 bytes
//	answer    header | XOR-MAPPED-ADDRESS         | MESSAGE-INTEGRITY     56 or 68 bytes
//	call      header | USERNAME | XOR-PEER-ADDRESS ... | MESSAGE-INTEGRITY
//
// A request may be padded (RFC 5780 section 7.6), to learn whether a datagram of
// its size arrives: PADDING then stands between the name and the integrity.
//
// A call is an indication: it has no answer. It names up to MaxAddresses
// addresses at which the sender may be probed now, in the attribute that TURN
// uses for lists of addresses (RFC 8656 section 18.3). The first 8 bytes of its
// transaction id are a number that grows from call to call, by which a replay
// is told from a new one.
//
// Receiver and sender are Short names of node keys, in hexadecimal; the
// integrity key is the pairwise probe key of the two path keys. An answer is
// never larger than the request, so a probe amplifies nothing.
//
// Invariants: Peek reads only fixed places and does no cryptography, so a
// stranger's datagram is turned away for the price of a few comparisons; what
// Open returns was covered by the integrity attribute, and attributes after it
// are ignored (RFC 8489 section 14.5); an unknown attribute that must be
// understood refuses the message. Whom to answer, and what an answer means, is
// left to package path.
package probe

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

const (
	headerSize = 20
	// usernameSize is the length of two Short names in hexadecimal and a colon.
	usernameSize = 2*hexSize + 1
	hexSize      = 2 * len(Short{})
	// RequestSize is the length in bytes of a request as AppendRequest writes
	// it: header, USERNAME with 3 bytes of padding, MESSAGE-INTEGRITY.
	RequestSize = headerSize + (4 + usernameSize + 3) + (4 + 20)
	// MaxSize bounds the probes that are read at all, but for padded requests. It
	// leaves room for attributes that later versions add.
	MaxSize = 384
	// MinPadded and MaxPadded bound the sizes of padded requests in bytes; they
	// are multiples of 4. The largest fits a link that takes packets of 9,000.
	MinPadded = RequestSize + 4
	MaxPadded = 9000 - 20 - 8
	// MaxAddresses is how many addresses of a call are read.
	MaxAddresses = 8
)

// The limit on sizes leaves room for a call of IPv6 addresses alone.
const _ = uint(MaxSize - (RequestSize + MaxAddresses*(4+20)))

// Reasons why Open refuses a message.
var (
	// ErrMalformed means that the bytes are not a probe.
	ErrMalformed = errors.New("not a path probe")
	// ErrIntegrity means that the integrity attribute is missing or was made
	// with another key: a forgery, or a peer whose path key has changed.
	ErrIntegrity = errors.New("path probe is not authentic")
)

// ID is the transaction id of a request and of the answer to it: 96 random
// bits, which an attacker who does not see the request cannot guess.
type ID [12]byte

// Number is the growing number in the id of a call.
func (id ID) Number() uint64 { return binary.BigEndian.Uint64(id[:]) }

// Numbered is id with the number n in it.
func (id ID) Numbered(n uint64) ID {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// Short names a node in a request: the first 8 bytes of the SHA-256 of its node
// key. It only finds the key; it proves nothing.
type Short [8]byte

// ShortOf gives the short name of the node that holds k.
func ShortOf(k key.NodePublic) (s Short) {
	raw := k.Raw()
	sum := sha256.Sum256(raw[:])
	copy(s[:], sum[:])
	return s
}

// String gives 16 hexadecimal digits.
func (s Short) String() string { return hex.EncodeToString(s[:]) }

// Kind tells requests, answers and calls apart.
type Kind uint8

// The kinds of probe messages. The zero value is none.
const (
	Request Kind = iota + 1
	Answer
	Call
)

// Header is what a message says before its integrity is checked.
type Header struct {
	Kind Kind
	ID   ID
	// Receiver and Sender are valid iff Kind is Request or Call.
	Receiver, Sender Short
}

// Is tells whether datagram b is STUN: the cookie at byte 4, the length field
// equal to what follows the header, the first two bits zero (RFC 8489
// section 5), and bytes 1 to 3 not all zero, because WireGuard has zeros there
// while its bytes 4 to 7 may hold anything.
func Is(b []byte) bool {
	return len(b) >= headerSize &&
		b[4] == 0x21 && b[5] == 0x12 && b[6] == 0xA4 && b[7] == 0x42 &&
		b[0]&0xC0 == 0 &&
		int(b[2])<<8|int(b[3]) == len(b)-headerSize &&
		b[1]|b[2]|b[3] != 0
}

// Peek reads the header of a probe without checking anything about its origin.
// It says no to everything that no node sends.
func Peek(b []byte) (h Header, ok bool) {
	if !Is(b) || len(b) > MaxSize && !padded(b) {
		return h, false
	}
	copy(h.ID[:], b[8:headerSize])
	switch uint16(b[0])<<8 | uint16(b[1]) {
	case 0x0001:
		h.Kind = Request
		return h, peekUsername(b, &h)
	case 0x0011:
		h.Kind = Call
		return h, peekUsername(b, &h)
	case 0x0101:
		h.Kind = Answer
		return h, true
	}
	return h, false
}

// padded tells whether b is laid out as AppendPadded does it.
func padded(b []byte) bool {
	const at = RequestSize - 24
	return len(b) >= MinPadded && len(b) <= MaxPadded && b[at] == 0 && b[at+1] == 0x26 &&
		int(b[at+2])<<8|int(b[at+3]) == len(b)-MinPadded
}

// peekUsername reads the USERNAME, which must be the first attribute.
func peekUsername(b []byte, h *Header) bool {
	const at = headerSize + 4
	if len(b) < at+usernameSize || b[20] != 0 || b[21] != 0x06 || b[22] != 0 || b[23] != byte(usernameSize) {
		return false
	}
	name := b[at : at+usernameSize]
	return name[hexSize] == ':' && unhex(h.Receiver[:], name) && unhex(h.Sender[:], name[hexSize+1:])
}

// unhex accepts the one form that we write, lower case: two spellings of a name
// would be two entries in somebody's table.
func unhex(dst, src []byte) bool {
	for i := range dst {
		hi, lo := nibble(src[2*i]), nibble(src[2*i+1])
		if hi|lo > 0xF {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xFF
}
