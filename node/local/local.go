// Package local is the contract between a node's daemon and the tools on the
// same machine: the types that go over the daemon's unix socket, and a client.
//
// The socket is the only door. There is no TCP listener, so a web page in the
// machine's browser cannot reach it, and who calls is told by the socket's peer
// credentials. Reading asks for access to the socket (mode 0660); changing asks
// for root or the daemon's own user. Requests and answers are JSON over HTTP.
//
// Signing in and out asks for access to the socket alone: a clinician is not root
// on their own laptop. It lends the caller nothing, since what opens is what
// somebody proves of themselves to the identity provider, in a browser that the
// coordinator binds to the sign-in. Whoever signs another person of this machine
// out costs them a sign-in, and nothing else. At a machine of several people
// (UpRequest.Shared) a session is that of the account which asks: others see and end
// their own alone.
package local

import (
	"net/netip"
	"time"
)

// State is what the daemon is doing, in one word.
type State string

// The states, in the order in which a machine usually passes through them.
const (
	StateUnenrolled State = "unenrolled" // no identity: wants an enrolment string
	StateJoining    State = "joining"    // no identity: waits for its person's sign-in
	StatePending    State = "pending"    // enrolled, waits for an admin's approval
	StateStopped    State = "stopped"    // taken down by its user
	StateExpired    State = "expired"    // its time is over: its person signs in, and it goes on
	StateStarting   State = "starting"   // has an identity, waits for its first map and lease
	StateRunning    State = "running"    // enforces a verified map; the coordinator stands, or stood, behind it
)

// Status is everything that `cordon status` shows.
type Status struct {
	State     State        `json:"state"`
	Version   string       `json:"version"`
	Mesh      string       `json:"mesh,omitempty"`
	Node      string       `json:"node,omitempty"`
	Name      string       `json:"name,omitempty"`
	User      string       `json:"user,omitempty"`
	Tags      []string     `json:"tags,omitempty"`
	Domain    string       `json:"domain,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// OnSite are networks behind gateways that this machine is in itself, as the
	// gateways prove: what is meant for them does not go through the tunnel.
	OnSite      []netip.Prefix `json:"onSite,omitempty"`
	Mode        string         `json:"mode"` // "tun" or "userspace"
	Interface   string         `json:"interface,omitempty"`
	Port        uint16         `json:"port,omitempty"`
	TunnelKey   string         `json:"tunnelKey,omitempty"` // public, as wg(8) writes it
	Map         MapStatus      `json:"map"`
	Coordinator Coordinator    `json:"coordinator"`
	Peers       []Peer         `json:"peers,omitempty"`
	StockPeers  []StockPeer    `json:"stockPeers,omitempty"`
	Relays      []Relay        `json:"relays,omitempty"`
	Refusals    []Refusal      `json:"refusals,omitempty"`
	Endings     []Ending       `json:"endings,omitempty"` // the first to end first; at most 20
	Routes      []RouteStatus  `json:"routes,omitempty"`
	Names       Names          `json:"names,omitzero"`

	SignIn    bool      `json:"signIn,omitempty"`    // what people may, they may only while signed in
	SignedOut bool      `json:"signedOut,omitempty"` // that is so, this is a person's machine, and nobody is; or a shared one, and the caller is not
	Shared    bool      `json:"shared,omitempty"`    // several people use the machine: only root is shown what is another's
	Sessions  []Session `json:"sessions,omitempty"`  // of people at this machine, ended ones too
	Until     time.Time `json:"until,omitzero"`      // policy time at which the machine's time in the mesh is over, unless its person signs in before
	Login     *Login    `json:"login,omitempty"`     // the last sign-in that was opened, while it is under way

	Warnings []string `json:"warnings,omitempty"`
}

// MapStatus tells which map is enforced.
type MapStatus struct {
	Incarnation uint64    `json:"incarnation"`
	Revision    uint64    `json:"revision"`
	Epoch       uint64    `json:"epoch"`
	Lease       time.Time `json:"lease,omitzero"`      // signed time of the last lease
	PolicyTime  time.Time `json:"policyTime,omitzero"` // what the filter takes for now
	FromDisk    bool      `json:"fromDisk,omitempty"`  // not confirmed by the coordinator since the start
}

// Coordinator tells of the control channel. Tunnels do not depend on it.
type Coordinator struct {
	URL       string    `json:"url,omitempty"`
	Connected bool      `json:"connected"`
	LastHeard time.Time `json:"lastHeard,omitzero"`
	Error     string    `json:"error,omitempty"` // why it is not connected
}

// Peer is one node that this one may talk to, in either direction.
type Peer struct {
	ID            string         `json:"id"`
	Name          string         `json:"name"`
	Addresses     []netip.Addr   `json:"addresses,omitempty"`
	Routes        []netip.Prefix `json:"routes,omitempty"`
	Path          string         `json:"path"`               // PathDirect, PathRelay or PathNone
	Endpoint      string         `json:"endpoint,omitempty"` // of the underlay, on a direct path
	Relay         string         `json:"relay,omitempty"`    // by name, on a relayed path
	RTT           time.Duration  `json:"rtt,omitempty"`      // nanoseconds
	MTU           int            `json:"mtu,omitempty"`      // bytes of the largest packet in the tunnel known to pass
	Why           string         `json:"why,omitempty"`      // why there is no direct path
	LastHandshake time.Time      `json:"lastHandshake,omitzero"`
	Received      uint64         `json:"received"` // bytes
	Sent          uint64         `json:"sent"`     // bytes
}

// StockPeer is a plain WireGuard client that this node fronts.
type StockPeer struct {
	Name          string         `json:"name"`
	PublicKey     string         `json:"publicKey"` // as wg(8) writes it
	Addresses     []netip.Prefix `json:"addresses"`
	Endpoint      string         `json:"endpoint,omitempty"` // where it is now; empty: not heard from yet
	Why           string         `json:"why,omitempty"`      // why it is kept out
	LastHandshake time.Time      `json:"lastHandshake,omitzero"`
	Received      uint64         `json:"received"` // bytes
	Sent          uint64         `json:"sent"`     // bytes
}

// StockRequest names a stock peer.
type StockRequest struct {
	Name string `json:"name"`
}

// StockResponse tells of stock peers.
type StockResponse struct {
	Names  []string `json:"names,omitempty"`
	Config string   `json:"config,omitempty"` // for the client's own end, without its private key
}

// How a peer is reached.
const (
	PathDirect = "direct"
	PathRelay  = "relay"
	PathNone   = "none"
)

// Relay is a server through which peers are reached that no direct path leads to.
type Relay struct {
	Name      string        `json:"name"`
	URL       string        `json:"url"`
	Home      bool          `json:"home,omitempty"` // peers reach this node there
	Connected bool          `json:"connected,omitempty"`
	RTT       time.Duration `json:"rtt,omitempty"` // nanoseconds; 0: not measured, or no answer
	Why       string        `json:"why,omitempty"` // why it is not connected, or does not answer
}

// Refusal is a packet that this node did not let pass, and those like it since.
type Refusal struct {
	Time     time.Time      `json:"time"`
	Outbound bool           `json:"outbound"` // this machine wanted to send it
	Src      netip.AddrPort `json:"src"`
	Dst      netip.AddrPort `json:"dst"`
	Protocol string         `json:"protocol"`
	Reason   string         `json:"reason"`
	Rule     string         `json:"rule,omitempty"`
	Needs    []string       `json:"needs,omitempty"` // facts that the rule needs, and the source lacks now
	Until    time.Time      `json:"until,omitzero"`  // policy time; set where a limit is reached
	Count    uint64         `json:"count"`
}

// Ending is flows of one kind, open now, that lose their right soon or drain: the
// right has ended, a new one is refused, and what is open goes on for a while.
type Ending struct {
	Outbound bool           `json:"outbound"` // this machine, or what is behind it, began them
	Peer     string         `json:"peer,omitempty"`
	Src      netip.Addr     `json:"src"`
	Dst      netip.AddrPort `json:"dst"`
	Protocol string         `json:"protocol"`
	Flows    int            `json:"flows"`
	End      time.Time      `json:"end,omitzero"` // policy time at which the right ends; absent: they drain
	Cut      time.Time      `json:"cut"`          // policy time from which nothing passes: end, or later
	Reason   string         `json:"reason"`
	Rule     string         `json:"rule,omitempty"`
}

// Names tells how this machine's programs find peers by name.
type Names struct {
	Mode    string       `json:"mode"`              // as `cordon daemon --dns` was given
	Via     string       `json:"via,omitempty"`     // what leads programs to the node; empty: nothing does
	Servers []netip.Addr `json:"servers,omitempty"` // where the node answers, on port 53
	Routes  []string     `json:"routes,omitempty"`  // domains whose names go to resolvers of their own
	Problem string       `json:"problem,omitempty"` // what is not as it should be
}

// RouteStatus is a prefix that this node advertises.
type RouteStatus struct {
	Prefix   netip.Prefix `json:"prefix"`
	Approved bool         `json:"approved"`
}

// UpRequest asks the daemon to join, or to start again what `down` stopped.
type UpRequest struct {
	// Enrolment is the one string from an admin. Empty: go on with the identity
	// that the daemon has.
	Enrolment string `json:"enrolment,omitempty"`
	// Name is the wished host name; empty: the machine's.
	Name string `json:"name,omitempty"`
	// Shared says whether several people use this machine from now on; nil: as before.
	Shared *bool `json:"shared,omitempty"`
}

// PingRequest asks for an echo through the tunnel, or for a probe of the path.
type PingRequest struct {
	Target string `json:"target"` // a peer's name, id or mesh address
}

// PingResponse says how it went.
type PingResponse struct {
	Peer     string        `json:"peer"`
	Address  netip.Addr    `json:"address"`
	RTT      time.Duration `json:"rtt"`                // nanoseconds, of a probe on the path
	Endpoint string        `json:"endpoint,omitempty"` // of the underlay, on a direct path
	Relay    string        `json:"relay,omitempty"`    // by name, on a relayed path
	Error    string        `json:"error,omitempty"`
}

// NetcheckResponse is what the daemon found out about this machine's network, the
// most basic first.
type NetcheckResponse struct {
	Findings []Finding `json:"findings"`
}

// Finding is one thing that works, or does not, in words for a help desk.
type Finding struct {
	Topic  string       `json:"topic"`
	State  FindingState `json:"state"`
	Text   string       `json:"text"`
	Advice string       `json:"advice,omitempty"` // what to do about it
}

// FindingState is a finding in one word.
type FindingState string

// The states of a finding.
const (
	FindingOK      FindingState = "ok"
	FindingLimited FindingState = "limited" // it works, less well than it could
	FindingBroken  FindingState = "broken"
)

// ExplainRequest asks what this node's filter would say of a new flow.
type ExplainRequest struct {
	Src      string `json:"src,omitempty"` // peer name or address; empty: this node
	Dst      string `json:"dst"`           // peer name or address; empty: this node
	Protocol string `json:"protocol"`      // tcp, udp, icmp, icmpv6, sctp or a number; empty: tcp
	Port     uint16 `json:"port"`
}

// ExplainResponse is the node's own verdict. File and line are there when the
// coordinator could be asked.
type ExplainResponse struct {
	Allow    bool      `json:"allow"`
	Outbound bool      `json:"outbound"`
	Reason   string    `json:"reason"`
	Rule     string    `json:"rule,omitempty"`
	Needs    []string  `json:"needs,omitempty"` // facts that the rule needs, and the source lacks
	Until    time.Time `json:"until,omitzero"`  // policy time; set where a limit is reached
	File     string    `json:"file,omitempty"`
	Line     uint32    `json:"line,omitempty"`
	Text     string    `json:"text,omitempty"`
	Src      string    `json:"src"`
	Dst      string    `json:"dst"`
}

// Problem is how the daemon says no.
type Problem struct {
	Message string `json:"message"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Message }
