// Package gather finds the addresses at which this node's UDP socket may be
// reached, for others to try (gathering of candidates: RFC 8445, section 5.1.1):
// those given by hand, the one that a router was asked to open (package portmap),
// those that STUN servers see (package path/stun), and the machine's own.
//
// What it keeps to:
//
//   - All that it finds are hints. Somebody on the way can forge what a server
//     sees; peers' authenticated probes decide.
//   - One goroutine, Run's, owns the machine that asks; the socket's receivers hand
//     it answers over a bounded channel, and nobody waits for it.
//   - Names of servers are resolved aside, and their last addresses count for as
//     long as the name server does not answer.
package gather

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/stun"
)

const (
	// wantedFor is how long mappings are kept open after somebody wanted to know
	// where we are.
	wantedFor = 5 * time.Minute
	// lookEvery is how often servers' names are resolved, lookAgain how soon after
	// one could not be, and lookWithin how long that may take.
	lookEvery  = 10 * time.Minute
	lookAgain  = 15 * time.Second
	lookWithin = 10 * time.Second
	// inboxSize is how many answers may wait. A flood beyond is dropped.
	inboxSize = 32
	// maxMapped is how many addresses of a family are told that servers see us at:
	// a NAT that maps by destination shows another one to each.
	maxMapped = 2
)

// Server is a STUN server: a host name or address, and a UDP port.
type Server struct {
	Name string // for people
	Host string
	Port uint16
}

// Config of a Gatherer. Send, Lookup and Local are needed.
type Config struct {
	// Send sends from the socket that carries the tunnels.
	Send func(to netip.AddrPort, datagram []byte) error
	// Lookup finds a host's addresses, never through the mesh.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Local gives the socket's addresses on this machine; none while it is closed.
	Local func() ([]netip.AddrPort, error)
	// Hidden tells which of these peers are not told, since to them the address is
	// another machine's; nil: none. Servers are asked from them all the same.
	Hidden func(netip.Addr) bool
	// Given are told as they are.
	Given []netip.AddrPort
	// OnChange is called when List says something else, and after each look at this
	// machine's addresses that NetworkChanged asked for, by Run's goroutine. It must
	// return soon.
	OnChange func()
	Log      *slog.Logger // nil: nowhere
}

// Gatherer finds addresses while Run runs. Its methods may be called from any
// goroutine, and never wait.
type Gatherer struct {
	cfg   Config
	inbox chan answer
	wake  chan struct{}

	mu      sync.Mutex
	servers []Server
	mapped  netip.AddrPort // by a router; invalid: none
	asked   bool           // somebody waits for all servers' answers
	wanted  bool           // somebody wants to know where we are
	moved   bool           // the network is another
	list    []netip.AddrPort
	report  stun.Report

	// Run's.
	machine  *stun.Machine
	local    []netip.AddrPort
	looking  bool     // local was listed anew in this turn
	resolved []Server // of which addrs are
	addrs    map[string][]netip.Addr
	looked   time.Time
	again    time.Duration // after looked; 0: a look is under way
	found    chan map[string][]netip.Addr
	until    time.Time // when nobody wants mappings any more
	running  sync.WaitGroup
}

// answer is a datagram, copied.
type answer struct {
	from netip.AddrPort
	len  int
	data [stun.MaxSize]byte
}

// New makes a Gatherer that knows no server.
func New(c Config) *Gatherer {
	if c.OnChange == nil {
		c.OnChange = func() {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Gatherer{cfg: c, inbox: make(chan answer, inboxSize), wake: make(chan struct{}, 1), moved: true,
		machine: stun.New(stun.Config{}), addrs: map[string][]netip.Addr{}, found: make(chan map[string][]netip.Addr),
		list: slices.Clone(c.Given), again: lookEvery}
}

// SetServers says whom to ask, the most trusted first.
func (g *Gatherer) SetServers(servers []Server) {
	g.tell(func() { g.servers = slices.Clone(servers) })
}

// SetMapped says where a router lets us be reached; invalid: nowhere.
func (g *Gatherer) SetMapped(at netip.AddrPort) { g.tell(func() { g.mapped = at }) }

// NetworkChanged says that this machine's addresses or routes, or the socket's
// port, are others.
func (g *Gatherer) NetworkChanged() { g.tell(func() { g.moved = true }) }

// Want says that somebody is about to be told where we are: what List says is
// brought up to date, and kept so for a while.
func (g *Gatherer) Want() { g.tell(func() { g.wanted = true }) }

// Ask asks every server now, for a person who waits.
func (g *Gatherer) Ask() { g.tell(func() { g.asked = true }) }

func (g *Gatherer) tell(change func()) {
	g.mu.Lock()
	change()
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Receive takes a datagram that stun.Is holds for an answer, and keeps nothing of
// it.
func (g *Gatherer) Receive(from netip.AddrPort, datagram []byte) {
	if len(datagram) > stun.MaxSize {
		return
	}
	a := answer{from: from}
	a.len = copy(a.data[:], datagram)
	select {
	case g.inbox <- a:
	default:
	}
}

// List gives the addresses at which we may be reached, those first that somebody
// outside can use.
func (g *Gatherer) List() []netip.AddrPort {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.list)
}

// Report says what STUN servers see.
func (g *Gatherer) Report() stun.Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.report
}
