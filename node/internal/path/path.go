// Package path finds, keeps and leaves the address at which each peer is
// reached. It is a pure machine: time and events go in, actions come out;
// sockets, clocks and goroutines are the caller's (package transport).
//
// A Set holds one machine per peer. A peer nobody wants to send to sleeps: it
// costs no probe and almost no memory. Wanting to send wakes it: every
// candidate address is probed with an authenticated Binding request (package
// probe), the first to answer becomes the path, a clearly better one takes
// over. While traffic flows the path is probed every second, so a silent death
// is noticed within two; a quiet path is probed every 20 s, which keeps NAT
// mappings open; a path nobody has used for 200 s is let go.
//
// Candidates are the addresses that the map names for the peer, and those from
// which its authentic requests come (peer-reflexive, RFC 8445 section 7.3.1.3).
//
// Invariants
//   - Only an authentic answer to a request of ours, from the address that we
//     asked, makes or moves a path. A request, authentic or not, only makes us
//     ask. A replayed answer fits no open request.
//   - A probe that is not authentic, or comes from a node that is not in the
//     map, is dropped without a reply and changes nothing. What it may cost is
//     bounded (see limit.go).
//   - Requests that we send are limited per peer and in total, so nobody turns
//     a node into a scanner by naming addresses.
//   - A working path is kept while it works: a better one must be better by a
//     class of round-trip time, or local.
//
// A Set is not safe for concurrent use: one goroutine owns it.
package path

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Peer is what the map says about a peer, as far as paths go.
type Peer struct {
	// ID is the peer's name in the map; unique, not empty.
	ID string
	// Node is the peer's node key: its probes name it.
	Node key.NodePublic
	// Path is the peer's path key: its probes are authentic under it.
	Path key.PathPublic
	// Candidates are addresses at which the peer may be reached, the likeliest
	// first. Only the first MaxCandidates usable ones are probed.
	Candidates []netip.AddrPort
}

// Info says how a peer is reached, for status.
type Info struct {
	// Endpoint is where packets for the peer go. Invalid: there is no path, and
	// Why says why.
	Endpoint netip.AddrPort
	// RTT is the smoothed round-trip time of the path. Valid iff Endpoint is.
	RTT time.Duration
	// Since is when the path came to lead to Endpoint. Valid iff Endpoint is.
	Since time.Time
	// LastAnswer is when the peer last answered a probe; zero if it never did.
	LastAnswer time.Time
	// Mapped is our own address as the peer saw it in its last answer.
	Mapped netip.AddrPort
	// Candidates counts the addresses that are probed for the peer.
	Candidates int
	// Why says in words why there is no path; empty if there is one.
	Why string
}

// Reasons in Info.Why.
const (
	WhyIdle         = "idle: nothing was sent to this peer lately"
	WhyNoCandidates = "no address is known for this peer; it may reach us first"
	WhySearching    = "searching: its addresses are being probed"
	WhyNoAnswer     = "none of its addresses answered; will be probed again (is UDP blocked, or the peer off?)"
	WhyLost         = "the path stopped answering; its addresses are being probed"
	WhyBadKey       = "the peer's path key is invalid; it must enrol again"
	WhyUnknown      = "this peer is not in the map"
)

// Do says what an Action asks for.
type Do uint8

// What the owner of a Set has to do. Later kinds (a request to a STUN server, a
// call through the relay) join this list.
const (
	// Send: Datagram goes to To. It goes out by the local address at which the
	// last datagram from To that led to an action with that To came in (only
	// authentic ones do), unless Fresh.
	Send Do = iota + 1
	// Moved: packets for Peer go to To from now on; To is invalid if there is
	// no path any more.
	Moved
	// Answered: Peer has answered a probe, from To.
	Answered
	// Unanswered: every address of Peer was probed and none answered.
	Unanswered
	// Changed: Info says another Why for Peer.
	Changed
)

// Action is something to be done outside.
type Action struct {
	Do       Do
	Peer     string
	To       netip.AddrPort
	Datagram []byte // valid iff Do is Send; the caller's to keep
	// Fresh leaves the choice of the local address to the routing table: the one
	// that worked before has not answered. Valid iff Do is Send.
	Fresh bool
}
