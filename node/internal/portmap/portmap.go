// Package portmap asks the gateway of the local network to let one UDP port of
// this node in: by PCP (RFC 6887), NAT-PMP (RFC 6886) or UPnP IGD, whichever the
// gateway speaks, the first of these that works. Behind a NAT that maps by
// destination it is the only way to be reached directly.
//
// A Client keeps one mapping: it renews it at half of its life, makes it anew
// when the network or the port changes, and deletes it at a clean stop. After a
// crash it ends by itself, within 20 minutes (a few UPnP gateways know none but
// permanent ones; those are taken over at the next start).
//
// A gateway that restarts forgets the mapping. It may announce that to a
// multicast group, which is not listened to: the group's port is fixed, and
// anybody on the link can forge what comes there. SetNetwork asks at once, which
// a restart mostly causes, as the link goes down with the router; else the next
// renewal mends it. A clock in each answer tells that a mapping is gone which
// the gateway then refuses to renew.
//
// The local network is hostile (a hotel, a guest network):
//
//   - Only the gateway's own address is spoken to and believed: UDP sockets are
//     connected to it, the HTTP client for UPnP dials nothing else and follows no
//     redirect. Nobody on the link can make a node fetch from a third machine.
//   - A PCP answer must repeat the nonce, a NAT-PMP answer the port, an SSDP
//     answer must come from the gateway and point to it.
//   - Every answer is bounded in size, and every step in time.
//   - An external address that cannot be one is refused; one that is not of the
//     internet is marked as behind another NAT.
//   - What is told is a hint: an address that peers may try, and that only their
//     authenticated probes prove.
//
// PCP and NAT-PMP share a port and a socket, and are a few fixed layouts each;
// the libraries that exist for NAT-PMP can neither be cancelled nor told to mark
// their sockets, and none is kept for PCP, so their codecs are ours. UPnP's SOAP
// and XML are goupnp's; its discovery is not used, because it believes anybody.
//
// What the default gateway is, and when it changes, is package osnet's to know.
package portmap

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Protocol is how a gateway is asked.
type Protocol uint8

// The protocols, in the order of preference. The zero value is none.
const (
	None Protocol = iota
	PCP
	NATPMP
	UPnP
)

func (p Protocol) String() string {
	switch p {
	case PCP:
		return "PCP"
	case NATPMP:
		return "NAT-PMP"
	case UPnP:
		return "UPnP"
	}
	return "none"
}

// Network says what is to be mapped where. The zero Network says that there is
// no gateway.
type Network struct {
	// Gateway is the default gateway: IPv4, or IPv6 (with its zone, if it is
	// link-local), whose firewall is asked by PCP alone.
	Gateway netip.Addr
	// Local is this machine's address towards the gateway, of the same family,
	// and Port the UDP port that is to be reached.
	Local netip.Addr
	Port  uint16
}

func (n Network) usable() bool {
	// To the kernel, "unspecified" as a destination is this machine itself.
	host := func(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() }
	return host(n.Gateway) && host(n.Local) && n.Gateway.Is4() == n.Local.Is4() && n.Port != 0
}

// Status is what is mapped now.
type Status struct {
	// Protocol made the mapping; None: there is none, and Why says why.
	Protocol Protocol
	// External is the address that leads to us. Valid iff Protocol is not None.
	External netip.AddrPort
	// Until is when the gateway forgets it, if it is not renewed. Valid iff
	// External is.
	Until time.Time
	// DoubleNAT says that External is not an address of the internet: another
	// NAT, a carrier's or a second router, stands behind this gateway.
	DoubleNAT bool
	// Why says in words why there is no mapping; empty if there is one.
	Why string
}

// Config is what a Client may be given. The zero Config is valid.
type Config struct {
	// Log takes mappings found and lost; nil: nowhere.
	Log *slog.Logger
	// Control prepares each socket before it is used, like net.Dialer's: with
	// osnet.Control nothing of ours enters the tunnel. nil: nothing to prepare.
	Control func(network, address string, c syscall.RawConn) error
	// OnChange is called by the goroutine of Run after Status changed (Until
	// aside). It must return soon.
	OnChange func(Status)
}

// Client keeps a mapping while Run runs. Its methods may be called from any
// goroutine, and never wait for a gateway.
type Client struct {
	log      *slog.Logger
	onChange func(Status)
	sockets  sockets
	secret   [32]byte // makes the nonces of PCP

	mu      sync.Mutex
	network Network
	status  Status
	leave   context.CancelFunc // ends the keeping of an old network
	again   chan struct{}      // asks for a renewal now
}

// New makes a Client.
func New(c Config) *Client {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnChange == nil {
		c.OnChange = func(Status) {}
	}
	client := &Client{
		log: c.Log, onChange: c.OnChange, sockets: osSockets(c.Control), status: Status{Why: whyNoGateway},
		leave: func() {}, again: make(chan struct{}, 1),
	}
	rand.Read(client.secret[:])
	return client
}

// SetNetwork says what the network is now. Call it after every change of
// addresses, routes or the port, also if n is as before: the mapping is then
// checked at once.
func (c *Client) SetNetwork(n Network) {
	n.Gateway, n.Local = n.Gateway.Unmap(), n.Local.Unmap()
	c.mu.Lock()
	defer c.mu.Unlock()
	if n != c.network {
		c.network = n
		c.leave()
		return
	}
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// Status says what is mapped now.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Run keeps a mapping until ctx ends, deletes it, and returns nil. That takes a
// second at most.
func (c *Client) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		gap := time.After(minGap)
		c.keep(ctx)
		select {
		case <-ctx.Done():
		case <-gap:
		}
	}
	return nil
}

// keep keeps a mapping in one network, and deletes it if that is where we still
// are: at the end, or for another port. In another network the old gateway's
// address is a stranger's, and what is left there ends by itself.
func (c *Client) keep(ctx context.Context) {
	here, leave := context.WithCancel(ctx)
	defer leave()
	c.mu.Lock()
	n := c.network
	c.leave = leave
	c.mu.Unlock()
	k := &keeper{network: n, doors: doorsOf(n, c.sockets, c.secret), again: c.again, tell: c.tell}
	k.run(here)
	why := whyStopped
	if ctx.Err() == nil {
		c.tell(Status{Why: whyAsking}) // nobody should be sent to the old place
	}
	if next := c.next(); next.Gateway == n.Gateway && next.Local == n.Local {
		if err := k.release(ctx); err != nil {
			why = err.Error()
		}
	}
	if ctx.Err() != nil {
		c.tell(Status{Why: why})
	}
}

func (c *Client) next() Network {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.network
}

// tell takes a status of the keeper.
func (c *Client) tell(s Status) {
	c.mu.Lock()
	old := c.status
	c.status = s
	c.mu.Unlock()
	if old.Until = s.Until; old == s {
		return
	}
	if s.Protocol == None {
		c.log.Info("no port mapping", "why", s.Why)
	} else {
		c.log.Info("port mapped", "by", s.Protocol, "external", s.External, "double_nat", s.DoubleNAT)
	}
	c.onChange(s)
}
