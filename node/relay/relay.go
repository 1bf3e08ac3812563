// Package relay carries sealed datagrams between nodes that cannot reach each
// other directly: the frames that a node and a relay speak, the ways in which a
// node reaches a relay (TLS on port 443, through a proxy, by Upgrade or as a
// WebSocket), a client that keeps one connection up, and the choice of a home
// among several relays. The relay itself is in the package server below.
//
// A relay is addressed by node keys and knows nothing else. What it carries was
// sealed by WireGuard; it can drop, delay and repeat, and the tunnel's ends see
// to that as they do on any network.
//
// A connection begins with the relay's Challenge. The node answers with a Hello:
// its ticket, and its node key's signature over the challenge and over the TLS
// exporter of this very connection ([BindingOf]), so that a hostile relay, or a
// box on the way that decrypts TLS, cannot pass the proof on to another. The
// relay answers with Welcome, or with Refused and a reason.
//
// Frames: all numbers are big-endian, a body has at most [MaxBody] bytes.
//
//	| type 1 | length of body 3 | body                                          |
//
//	0x01 Challenge  relay to node  level 1, nonce 32
//	0x02 Hello      node to relay  level 1, node key 32, instance 16, binding 32, signature 64, ticket
//	0x03 Welcome    relay to node  rate 8: bytes a second that the node may send
//	0x04 Refused    relay to node  code 1, text
//	0x05 Renew      node to relay  ticket
//	0x10 Send       node to relay  destination's node key 32, datagram
//	0x11 Recv       relay to node  source's node key 32, datagram
//	0x12 Ping       node to relay  8 bytes
//	0x13 Pong       relay to node  the same 8 bytes
//	0x14 PeerGone   relay to node  node key 32, reason 1
//	0x15 Notice     relay to node  kind 1, text
//
// Whoever reads skips types that it does not know, and what a body has beyond
// what it knows (other than ticket, datagram and text, which end with the body):
// that is how later versions speak with this one.
//
// What the package promises: nothing that the other side sends makes it panic,
// or hold more than bounds that are named here; [Client.Send] never blocks, and
// what is too much leaves the oldest behind; no secret, and no password of a
// proxy, is in an error.
package relay

import (
	"errors"
	"fmt"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Level is the version of the protocol that this build speaks.
const Level = 1

// UpgradeToken is what a node asks for in the header Upgrade, and the name of
// the WebSocket subprotocol.
const UpgradeToken = "cordon-relay"

// DefaultPath is where a relay answers unless its URL names another path.
const DefaultPath = wire.RelayPath

// What a caller branches on.
var (
	// ErrFrame: the bytes are not frames. The connection cannot go on.
	ErrFrame = errors.New("not a relay's frame")
	// ErrProof: the signature in a Hello is not that of its node key.
	ErrProof = errors.New("proof of the node key does not verify")
	// ErrTLSBroken: somebody between node and relay ends TLS and begins it again.
	ErrTLSBroken = errors.New("something between this node and the relay decrypts TLS (TLS inspection)")
	// ErrRelayKey: the server is not the relay that was named.
	ErrRelayKey = errors.New("not the relay that was named")
	// ErrProxy: the HTTP proxy does not let us through.
	ErrProxy = errors.New("HTTP proxy")
	// ErrUpgrade: what answers at the URL is no relay, or something between
	// us takes neither Upgrade nor WebSocket.
	ErrUpgrade = errors.New("no relay answers at this URL")
)

// Code says why a relay refused.
type Code byte

// Every code. A node treats one that it does not know as Later.
const (
	Malformed Code = 1 // the node does not speak the protocol
	BadTicket Code = 2 // forged, of another mesh, too early or over: get another
	BadProof  Code = 3 // the node key was not proven
	BrokenTLS Code = 4 // TLS does not reach from node to relay unbroken
	Later     Code = 5 // full, or about to stop: try later, or another relay
	Denied    Code = 6 // the relay was told not to serve this node
	Replaced  Code = 7 // newer connections of the same node key took its place
)

// RefusedError is a relay's refusal.
type RefusedError struct {
	Code Code
	Text string // of the relay, printable
}

// Error gives the relay's words.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("relay refused (%d): %s", e.Code, e.Text)
}

// Is makes a refusal the error that a caller branches on: [ErrTLSBroken] or [ErrProof].
func (e *RefusedError) Is(target error) bool {
	return e.Code == BrokenTLS && target == ErrTLSBroken || e.Code == BadProof && target == ErrProof
}

// Reason says why a peer is gone.
type Reason byte

// NotHere: the peer is not connected to this relay.
const NotHere Reason = 1

// NoticeKind says what a Notice is about.
type NoticeKind byte

// The notices. One that a node does not know is for people alone.
const (
	Duplicate NoticeKind = 1 // another machine uses this node key, and is sent its datagrams
	Draining  NoticeKind = 2 // the relay is about to stop: move to another
)
