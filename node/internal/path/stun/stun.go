// Package stun finds out how the internet sees this node's UDP socket: its
// public addresses, and what kind of NAT stands before it. It asks STUN servers
// (RFC 8489) with plain Binding requests from the very socket that carries the
// tunnels, and tells the kind from what several servers see (RFC 4787, section
// 4.1).
//
// A Machine is pure: time and events go in, actions come out; sockets, clocks
// and the resolving of names are the caller's (package gather).
//
// While somebody wants mappings, the fastest server of each family is asked
// every 20 to 25 s, which keeps the NAT's mapping open; every server is asked in
// a round when the network or the servers change, when an answer differs from
// the one before or stays out, and every few minutes. When nobody wants them,
// a round is rare: lazy peers need none.
//
// Invariants
//   - Only a success response to a transaction of ours that is open, from the
//     address that was asked, counts. Everything else is not consumed and
//     changes nothing.
//   - What an answer says is a hint: somebody on the way can forge it. It names
//     an address that peers may try, and never moves a path.
//   - What is sent is capped, whatever the events (see tuning.go).
//   - A kind is told from answers of one round, never from a mix of old and new.
//
// A Machine is not safe for concurrent use: one goroutine owns it.
package stun

import (
	"net/netip"
	"time"
)

// ID is a transaction id: 96 random bits (RFC 8489, section 5).
type ID [12]byte

// Server is a STUN server: a coordinator, a relay.
type Server struct {
	// Name is for people.
	Name string
	// Addrs are where it answers, of both families. Two ports of one address
	// tell more about a NAT than one.
	Addrs []netip.AddrPort
}

// Do says what an Action asks for.
type Do uint8

// What the owner of a Machine has to do. The zero value is neither.
const (
	// Send: Datagram goes to To, from the socket that carries the tunnels.
	Send Do = iota + 1
	// Changed: Report says something else than before, ages aside.
	Changed
)

// Action is something to be done outside.
type Action struct {
	Do       Do
	To       netip.AddrPort // valid iff Do is Send
	Datagram []byte         // valid iff Do is Send; the caller's to keep
}

// Report is what is known now.
type Report struct{ V4, V6 Family }

// Family is what is known of one address family.
type Family struct {
	Kind Kind
	// Presumed says that the answers fit another kind too: of one server
	// address only, or of servers inside the site. Valid iff Kind is known.
	Presumed bool
	// PreservesPort says that the outside port is the socket's own in every
	// answer. Valid iff Kind is a mapping.
	PreservesPort bool
	// Mapped are the addresses that servers saw us at, each once; the most
	// public ones first.
	Mapped []Mapped
	// Servers are those asked, in the order of asking.
	Servers []Asked
}

// Mapped is an address of ours as a server saw it.
type Mapped struct {
	Addr netip.AddrPort
	At   time.Time // of the latest answer that named it
}

// Asked is how one address of a server fares.
type Asked struct {
	Server string
	Addr   netip.AddrPort
	// Mapped is what it saw last. Valid iff At is not zero.
	Mapped netip.AddrPort
	At     time.Time // of its last answer; zero if there was none
	// RTT is the round-trip time of its last answer; at most that if the
	// request had to be repeated. Valid iff At is not zero.
	RTT time.Duration
	// Failed says that the last transaction ended without an answer.
	Failed bool
}
