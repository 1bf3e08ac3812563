// Package path finds, keeps and leaves the way on which each peer is reached: an
// address of the underlay, or a relay. It is a pure machine: time and events go
// in, actions come out; sockets, clocks and goroutines are the caller's (package
// transport).
//
// A Set holds one machine per peer. A peer nobody wants to send to sleeps: it
// costs no probe and almost no memory. Wanting to send wakes it: every candidate
// is probed with an authenticated Binding request (package probe), its relay and
// all its addresses at once. The first to answer becomes the path, in most cases
// the relay; a direct one takes over as soon as it answers, and of direct ones a
// clearly better one. Both ends take what comes in on any way, so a move loses
// nothing, whichever end moves first.
//
// Candidates are the peer's home relay and the addresses that the map names, the
// ways on which its authentic requests come (peer-reflexive, RFC 8445 section
// 7.3.1.3), and the addresses of its calls. A call goes over the relay and says
// "here I am, probe me as I probe you": a NAT lets in only who was sent to. A peer
// whose home cannot be reached is looked for at the other relays.
//
// While packets flow the path is probed every second, and sooner where nothing
// comes back, so that a silent death is on the relay within a second. A quiet
// direct path is probed every 20 s, which keeps NAT mappings open, a quiet
// relayed one never; a path nobody has used for 200 s is let go. From a relay
// the way back is tried for as long as packets flow, at least every half minute.
//
// Invariants
//   - Only an authentic answer to a request of ours, on the way on which we
//     asked, makes or moves a path. A request or a call, authentic or not, only
//     makes us ask. A replayed answer fits no open request, a replayed call has
//     an old number.
//   - A probe that is not authentic, or comes from a node that is not in the
//     map, is dropped without a reply and changes nothing. What it may cost is
//     bounded (see limit.go).
//   - Requests that we send are limited per peer, in total and per host, so
//     nobody turns nodes into scanners or into a flood by naming addresses.
//   - A working path is kept while it works: direct beats relayed, and else a
//     better one must be better by a class of round-trip time, or local. A way
//     that failed must prove itself the longer the more often it failed.
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
	// Home is the relay at which the peer can be reached; "": none.
	Home Relay
}

// Info says how a peer is reached, for status.
type Info struct {
	// Endpoint is the address to which packets for the peer go. Invalid: there is
	// no direct path, and Why says why.
	Endpoint netip.AddrPort
	// Relay is through which relay they go; "": through none.
	Relay Relay
	// RTT is the smoothed round-trip time of the path, if there is one.
	RTT time.Duration
	// Since is when the path came to lead where it does, if there is one.
	Since time.Time
	// LastAnswer is when the peer last answered a probe; zero if it never did.
	LastAnswer time.Time
	// MTU is the largest datagram that is known to pass on the path whole, in
	// bytes of UDP payload or relay frame; a multiple of 4, found to within 16. 0:
	// not known yet, or less than 1,200. See InnerMTU.
	MTU int
	// Candidates counts the addresses that are probed for the peer.
	Candidates int
	// Why says in words why there is no direct path; empty if there is one.
	Why string
}

// Way is where packets for the peer go; invalid: nowhere.
func (i Info) Way() Way { return Way{Addr: i.Endpoint, Relay: i.Relay} }

// InnerMTU is the largest IP packet that passes through a WireGuard tunnel on the
// path, in bytes; 0: not known. WireGuard adds 32 bytes and pads to 16 (the
// WireGuard paper, section 5.4.6).
func (i Info) InnerMTU() int { return max(i.MTU-32, 0) &^ 15 }

// Reasons in Info.Why.
const (
	WhyIdle         = "idle: nothing was sent to this peer lately"
	WhyNoCandidates = "no address is known for this peer; it may reach us first"
	WhySearching    = "searching: its addresses are being probed"
	WhyNoAnswer     = "none of its addresses answered; will be probed again (is UDP blocked, or the peer off?)"
	WhyLost         = "the path stopped answering; its addresses are being probed"
	WhyRelayed      = "none of its addresses answers; they are tried again while packets flow (NAT or firewall between us?)"
	WhyBadKey       = "the peer's path key is invalid; it must enrol again"
	WhyUnknown      = "this peer is not in the map"
)

// Do says what an Action asks for.
type Do uint8

// What the owner of a Set has to do.
const (
	// Send: Datagram goes to Peer by To. A direct one goes out by the local address at
	// which the last datagram from To that led to an action with that To came in
	// (only authentic ones do), unless Fresh.
	Send Do = iota + 1
	// Moved: packets for Peer go by To from now on; To is invalid if there is
	// no path any more. What still comes in by the old way is the peer's.
	Moved
	// Answered: Peer has answered a probe, from To.
	Answered
	// Unanswered: every address of Peer was probed and none answered.
	Unanswered
	// Changed: Info says another Why for Peer.
	Changed
	// Gather: the addresses of this node are wanted (SetOwn), as local interfaces
	// and STUN servers tell them now: a peer is being called.
	Gather
	// Resized: Info says another MTU for Peer.
	Resized
)

// Action is something to be done outside.
type Action struct {
	Do       Do
	Peer     string
	To       Way
	Datagram []byte // valid iff Do is Send; the caller's to keep
	// Fresh leaves the choice of the local address to the routing table: the one
	// that worked before has not answered. Valid iff Do is Send.
	Fresh bool
	// Whole wants Datagram sent in one piece or not at all (IPv4: don't fragment;
	// IPv6: no fragment header), whatever the kernel believes of the path's MTU
	// (IP_PMTUDISC_PROBE). Valid iff Do is Send.
	Whole bool
}
