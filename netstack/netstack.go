// Package netstack is a node's network stack in user space: a TCP/IP stack
// whose wire is a tun.Device. WireGuard's engine holds the device; programs
// dial and listen through the [Stack]. It is what a node without root rights
// runs on, and what a Go program embeds to be a node by itself.
//
// Invariants:
//
//   - Nothing leaves a Stack but through its Device, and nothing of the host's
//     network is reachable from the Device, except the single local addresses
//     that [Stack.Expose] was told to serve.
//   - A refusal is an answer, not a silence: a TCP reset and an ICMP
//     "unreachable" or "administratively prohibited" about a flow end the dial,
//     datagram exchange or ping that they are about, at once, with an error
//     that says which of them it was.
//   - A proxy without a Permit function refuses every destination.
//   - Whatever New, Listen or Dial started has ended when [Stack.Close] returns.
//
// Who may talk to whom is decided outside, by the filter that wraps the Device.
// Names are resolved by the function in Config, never by the host's resolver.
package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	// DefaultMTU is the least that IPv6 allows, and fits inside WireGuard on
	// every path that carries IPv6.
	DefaultMTU = 1280
	maxMTU     = 65_535 - 80 // leaves WireGuard and its outer headers room

	nic tcpip.NICID = 1
)

// Config says what a new stack is. The zero Config is valid: a stack without an
// address, which refuses to dial until SetAddresses gives it one.
type Config struct {
	// Addresses are the node's own, each for itself (no prefix).
	Addresses []netip.Addr
	// MTU in bytes, 1280 to 65455; zero means DefaultMTU.
	MTU int
	// Resolve gives the mesh addresses of a name, best first. Nil resolves
	// nothing: only address literals can then be dialled.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Validate names the field that is wrong, its value and what is allowed.
func (c Config) Validate() error {
	if c.MTU != 0 && (c.MTU < DefaultMTU || c.MTU > maxMTU) {
		return fmt.Errorf("netstack: MTU %d is not possible: give %d to %d, or 0 for %d", c.MTU, DefaultMTU, maxMTU, DefaultMTU)
	}
	return validateAddresses(c.Addresses)
}

func validateAddresses(addrs []netip.Addr) error {
	for _, a := range addrs {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Zone() != "" {
			return fmt.Errorf("netstack: %q cannot be an address of this node: give unicast addresses without a zone", a)
		}
	}
	return nil
}

// Stack is one network stack with one interface. All methods may be called at
// the same time; those that dial or listen fail with net.ErrClosed after Close.
type Stack struct {
	ip       *stack.Stack
	dev      *device
	resolve  func(ctx context.Context, host string) ([]netip.Addr, error)
	refusals refusals
	buffers  sync.Pool

	mu    sync.Mutex
	addrs []netip.Addr // unmapped, in the order given

	closed    chan struct{}
	closeOnce sync.Once
}

// New starts a stack. Its end is [Stack.Close], or the Device's Close.
func New(c Config) (*Stack, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	s := &Stack{ip: newIP(), resolve: c.Resolve, closed: make(chan struct{})}
	s.refusals.flows = make(map[flow]chan refusal)
	s.buffers.New = func() any { return new([copyBuffer]byte) }
	s.dev = newDevice(s, c.MTU)
	err := s.setUp(c.Addresses)
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func newIP() *stack.Stack {
	// Duplicate address detection asks neighbours on a link; a tunnel has
	// none, and the coordinator hands each address out once.
	quiet := ipv6.Options{DADConfigs: stack.DADConfigurations{}}
	return stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol, ipv6.NewProtocolWithOptions(quiet),
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		HandleLocal: true,
	})
}

func (s *Stack) setUp(addrs []netip.Addr) error {
	if err := tuneTCP(s.ip); err != nil {
		return err
	}
	if err := s.ip.CreateNIC(nic, s.dev.link); err != nil {
		return fmt.Errorf("netstack: create the interface: %s", err)
	}
	s.ip.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	return s.SetAddresses(addrs)
}

// Device returns the stack's end of the wire, for a WireGuard engine (or a
// filter around it) to read from and write to. It is the same on every call.
// Closing the device closes the stack.
func (s *Stack) Device() tun.Device { return s.dev }

// Close ends every connection and listener and waits for the stack's goroutines.
func (s *Stack) Close() error {
	s.closeOnce.Do(func() {
		close(s.closed)
		s.dev.end()
		s.ip.Destroy()
	})
	return nil
}

func (s *Stack) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Addresses returns the stack's own addresses, in the order in which they were set.
func (s *Stack) Addresses() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.addrs)
}

// SetAddresses makes addrs the stack's own addresses, all of them and no other.
// Flows of an address that stays go on; flows of one that goes are ended, so
// that nobody keeps talking under an address that is no longer this node's.
func (s *Stack) SetAddresses(addrs []netip.Addr) error {
	if err := validateAddresses(addrs); err != nil {
		return err
	}
	want := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if a = a.Unmap(); !slices.Contains(want, a) {
			want = append(want, a)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, a := range s.addrs {
		if !slices.Contains(want, a) {
			errs = append(errs, s.removeAddress(a))
		}
	}
	for _, a := range want {
		if !slices.Contains(s.addrs, a) {
			errs = append(errs, s.addAddress(a))
		}
	}
	s.addrs = want
	return errors.Join(errs...)
}

func (s *Stack) addAddress(a netip.Addr) error {
	pa := tcpip.ProtocolAddress{Protocol: protocolOf(a), AddressWithPrefix: fromNetip(a).WithPrefix()}
	if err := s.ip.AddProtocolAddress(nic, pa, stack.AddressProperties{}); err != nil {
		return fmt.Errorf("netstack: add address %s: %s", a, err)
	}
	return nil
}

func (s *Stack) removeAddress(a netip.Addr) error {
	err := s.ip.RemoveAddress(nic, fromNetip(a))
	for _, te := range s.ip.RegisteredEndpoints() {
		ep, ok := te.(tcpip.Endpoint)
		if !ok {
			continue
		}
		if at, err := ep.GetLocalAddress(); err == nil && at.Addr == fromNetip(a) {
			ep.Abort()
		}
	}
	if err != nil {
		return fmt.Errorf("netstack: remove address %s: %s", a, err)
	}
	return nil
}

// source returns the address that a flow to dst leaves from: dst itself when it
// is ours, else our first of its family.
func (s *Stack) source(dst netip.Addr) (netip.Addr, error) {
	if s.isClosed() {
		return netip.Addr{}, net.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var first netip.Addr
	for _, a := range s.addrs {
		if a == dst {
			return a, nil
		}
		if !first.IsValid() && a.Is4() == dst.Is4() {
			first = a
		}
	}
	if !first.IsValid() {
		return first, fmt.Errorf("this node has no mesh address of the family of %s: wait for its map, or dial another address: %w", dst, ErrNoAddress)
	}
	return first, nil
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func fromNetip(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func fullAddress(ap netip.AddrPort) tcpip.FullAddress {
	full := tcpip.FullAddress{Port: ap.Port()}
	if a := ap.Addr().Unmap(); a.IsValid() && !a.IsUnspecified() {
		full.NIC, full.Addr = nic, fromNetip(a)
	}
	return full
}

func toNetip(f tcpip.FullAddress) netip.AddrPort {
	a, _ := netip.AddrFromSlice(f.Addr.AsSlice())
	return netip.AddrPortFrom(a.Unmap(), f.Port)
}
