package relay

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Sizes, in bytes.
const (
	HeaderSize  = 4
	MaxDatagram = 64 << 10
	MaxBody     = key.Size + MaxDatagram
	MaxFrame    = HeaderSize + MaxBody
	maxText     = 200
)

// Type tells frames apart.
type Type byte

// Every type of frame.
const (
	TypeChallenge Type = 0x01
	TypeHello     Type = 0x02
	TypeWelcome   Type = 0x03
	TypeRefused   Type = 0x04
	TypeRenew     Type = 0x05
	TypeSend      Type = 0x10
	TypeRecv      Type = 0x11
	TypePing      Type = 0x12
	TypePong      Type = 0x13
	TypePeerGone  Type = 0x14
	TypeNotice    Type = 0x15
)

// PutHeader writes the header of a frame whose body has n bytes into b, which
// has at least HeaderSize. It panics on a body that no reader takes.
func PutHeader(b []byte, t Type, n int) {
	if n < 0 || n > MaxBody {
		panic(fmt.Sprintf("relay: body of %d bytes", n))
	}
	binary.BigEndian.PutUint32(b, uint32(t)<<24|uint32(n))
}

// ParseHeader reads what PutHeader wrote. It fails with [ErrFrame] on a body
// longer than MaxBody.
func ParseHeader(b [HeaderSize]byte) (t Type, n int, err error) {
	v := binary.BigEndian.Uint32(b[:])
	t, n = Type(v>>24), int(v&0xffffff)
	if n > MaxBody {
		return 0, 0, fmt.Errorf("%w: body of %d bytes, at most %d", ErrFrame, n, MaxBody)
	}
	return t, n, nil
}

// Append appends a frame whose body is the given parts, one behind the other.
func Append(b []byte, t Type, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	at := len(b)
	b = append(b, make([]byte, HeaderSize)...)
	PutHeader(b[at:], t, n)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// AppendText appends a Refused or a Notice.
func AppendText(b []byte, t Type, kind byte, text string) []byte {
	return Append(b, t, []byte{kind}, []byte(printable(text)))
}

// ParseText reads the body of a Refused or a Notice. What a terminal would obey
// is gone from the text.
func ParseText(body []byte) (kind byte, text string, err error) {
	if len(body) < 1 {
		return 0, "", fmt.Errorf("%w: reason of no bytes", ErrFrame)
	}
	return body[0], printable(string(body[1:min(len(body), 1+maxText)])), nil
}

func printable(text string) string {
	out := []byte(text[:min(len(text), maxText)])
	for i, c := range out {
		if c < ' ' || c > '~' {
			out[i] = '?'
		}
	}
	return string(out)
}

// ParseDatagram reads the body of a Send or a Recv: whom it is for or from, and
// the datagram, which shares memory with body and is never empty.
func ParseDatagram(body []byte) (peer key.NodePublic, datagram []byte, err error) {
	if len(body) <= key.Size {
		return peer, nil, fmt.Errorf("%w: datagram in a body of %d bytes, want more than %d", ErrFrame, len(body), key.Size)
	}
	if peer, err = key.NodePublicFrom(body[:key.Size]); err != nil {
		return peer, nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return peer, body[key.Size:], nil
}

// ParsePeerGone reads the body of a PeerGone.
func ParsePeerGone(body []byte) (peer key.NodePublic, why Reason, err error) {
	if len(body) < key.Size+1 {
		return peer, 0, fmt.Errorf("%w: PeerGone of %d bytes, want %d", ErrFrame, len(body), key.Size+1)
	}
	if peer, err = key.NodePublicFrom(body[:key.Size]); err != nil {
		return peer, 0, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return peer, Reason(body[key.Size]), nil
}

// PingSize is how many bytes a Ping has, which its Pong repeats.
const PingSize = 8

// ParsePing reads the body of a Ping or a Pong.
func ParsePing(body []byte) (id [PingSize]byte, err error) {
	if len(body) < PingSize {
		return id, fmt.Errorf("%w: ping of %d bytes, want %d", ErrFrame, len(body), PingSize)
	}
	return [PingSize]byte(body), nil
}

// ReadFrame reads one frame into buf, whose capacity is the longest body that it
// takes, and gives its body, which shares memory with buf. It is for the few
// frames at the beginning of a connection.
func ReadFrame(r io.Reader, buf []byte) (Type, []byte, error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	t, n, err := ParseHeader(head)
	if err != nil {
		return 0, nil, err
	}
	if n > cap(buf) {
		return 0, nil, fmt.Errorf("%w: type %#x of %d bytes, want at most %d here", ErrFrame, byte(t), n, cap(buf))
	}
	body := buf[:n]
	_, err = io.ReadFull(r, body)
	return t, body, err
}
