package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Binding names one TLS connection to its two ends, and to nobody else: the
// channel binding tls-exporter (RFC 9266). Where somebody in between ends TLS and
// begins it again, the two ends see different ones.
type Binding [32]byte

// BindingOf gives the binding of a TLS 1.3 connection.
func BindingOf(state *tls.ConnectionState) (b Binding, err error) {
	if state == nil || state.Version != tls.VersionTLS13 {
		return b, fmt.Errorf("%w: want a connection of TLS 1.3", ErrTLSBroken)
	}
	exported, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, len(b))
	if err != nil {
		return b, fmt.Errorf("export from TLS: %w", err)
	}
	return Binding(exported), nil
}

// Challenge is what a relay says first.
type Challenge struct {
	Level byte
	Nonce [32]byte
}

// NewChallenge makes one that nobody can guess.
func NewChallenge() Challenge {
	c := Challenge{Level: Level}
	rand.Read(c.Nonce[:]) // never fails: crypto/rand ends the process without entropy
	return c
}

// Append appends the frame.
func (c Challenge) Append(b []byte) []byte {
	return Append(b, TypeChallenge, []byte{c.Level}, c.Nonce[:])
}

// ParseChallenge reads the body of a Challenge.
func ParseChallenge(body []byte) (c Challenge, err error) {
	if len(body) < 1+len(c.Nonce) {
		return c, fmt.Errorf("%w: challenge of %d bytes, want %d", ErrFrame, len(body), 1+len(c.Nonce))
	}
	return Challenge{Level: body[0], Nonce: [32]byte(body[1:])}, nil
}

// Instance is random for each run of a daemon: a node that comes back replaces
// its old connection, two machines with one key are told apart.
type Instance [16]byte

// NewInstance makes one.
func NewInstance() (i Instance) {
	rand.Read(i[:])
	return i
}

// Hello is how a node answers a Challenge.
type Hello struct {
	Level     byte
	Node      key.NodePublic
	Instance  Instance
	Binding   Binding // of the connection as the node sees it
	Signature [64]byte
	Ticket    []byte // for wire.OpenRelayTicket
}

const (
	helloFixed = 1 + key.Size + 16 + 32 + 64
	// MaxHello is the longest body of a Hello.
	MaxHello = helloFixed + wire.MaxTicket
)

// NewHello answers c on the connection b, with node's proof.
func NewHello(node *key.NodePrivate, c Challenge, b Binding, i Instance, ticket []byte) Hello {
	h := Hello{Level: Level, Node: node.Public(), Instance: i, Binding: b, Ticket: ticket}
	h.Signature = [64]byte(node.Sign(key.ContextRelay, proven(c, b)))
	return h
}

func proven(c Challenge, b Binding) []byte { return append(c.Nonce[:], b[:]...) }

// Verify checks the proof against what the relay asked and the connection as the
// relay sees it. It fails with [ErrProof], or, where the node proved its key on
// another connection than this, with [ErrTLSBroken].
func (h Hello) Verify(c Challenge, own Binding) error {
	if err := h.Node.Verify(key.ContextRelay, proven(c, h.Binding), h.Signature[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if h.Binding != own {
		return ErrTLSBroken
	}
	return nil
}

// Append appends the frame. It panics on a ticket longer than any.
func (h Hello) Append(b []byte) []byte {
	if len(h.Ticket) > wire.MaxTicket {
		panic("relay: ticket too long")
	}
	return Append(b, TypeHello, []byte{h.Level}, h.Node.Bytes(), h.Instance[:], h.Binding[:], h.Signature[:], h.Ticket)
}

// ParseHello reads the body of a Hello. Nothing in it is verified.
func ParseHello(body []byte) (Hello, error) {
	if len(body) < helloFixed || len(body) > MaxHello {
		return Hello{}, fmt.Errorf("%w: hello of %d bytes, want %d to %d", ErrFrame, len(body), helloFixed, MaxHello)
	}
	node, err := key.NodePublicFrom(body[1 : 1+key.Size])
	if err != nil {
		return Hello{}, fmt.Errorf("%w: hello: %w", ErrFrame, err)
	}
	rest := body[1+key.Size:]
	return Hello{Level: body[0], Node: node, Instance: Instance(rest), Binding: Binding(rest[16:]),
		Signature: [64]byte(rest[48:]), Ticket: bytes.Clone(rest[112:])}, nil
}

// AppendWelcome appends the frame that ends the beginning.
func AppendWelcome(b []byte, rate uint64) []byte {
	return Append(b, TypeWelcome, binary.BigEndian.AppendUint64(nil, rate))
}

// ParseWelcome reads the body of a Welcome: how many bytes a second the node may
// send, 0 for as many as it likes.
func ParseWelcome(body []byte) (rate uint64, err error) {
	if len(body) < 8 {
		return 0, fmt.Errorf("%w: welcome of %d bytes, want 8", ErrFrame, len(body))
	}
	return binary.BigEndian.Uint64(body), nil
}
