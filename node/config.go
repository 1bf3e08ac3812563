package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Config is everything that a daemon is started with. What the mesh decides
// (addresses, peers, rules) is not in it.
type Config struct {
	StateDir string // holds keys, identity and map; one daemon at a time
	Socket   string // unix socket of the local API; empty: none
	Version  string

	// Userspace makes the node rootless: no TUN, no routes, no privileges. Only
	// what SOCKS5, HTTPProxy, Forwards and Exposes name goes in or out.
	Userspace bool
	Interface string // name of the TUN; empty: "cordon0"
	MTU       int    // of the tunnel; 0: 1280
	Port      uint16 // UDP; 0: any

	// Only443 leaves UDP alone: peers are reached through relays, over TLS, also by
	// way of a proxy.
	Only443 bool

	// NoPortMapping asks no router to let peers in.
	NoPortMapping bool

	// Endpoints are addresses of this machine's UDP port that it cannot see
	// itself, such as a port forward on the router in front of it.
	Endpoints []netip.AddrPort
	// Advertise names prefixes behind this node. An admin or the policy must
	// approve each before anybody is sent there.
	Advertise []netip.Prefix

	// StockPeers is the file of the plain WireGuard clients that this node fronts
	// (package internal/stock has its language); empty: none. StockPrefixes hold
	// their addresses, are advertised too, and have nothing else behind them.
	StockPeers    string
	StockPrefixes []netip.Prefix

	// Names says how this machine's programs find peers by name; the zero Names
	// answers nothing and changes nothing.
	Names Names

	SOCKS5    string    // listen address on this machine; empty: none
	HTTPProxy string    // the same, for programs that know HTTP's CONNECT alone
	Forwards  []Forward // local port to mesh address
	Exposes   []Expose  // mesh port to a service of this machine

	Log *slog.Logger
}

// Forward leads a local TCP port to an address in the mesh.
type Forward struct {
	Listen string // local "host:port"
	Target string // mesh "address:port" or "peer-name:port"
}

// Expose leads a TCP port of this node's mesh addresses to a local service.
type Expose struct {
	Port   uint16
	Target string // local "host:port"
}

// DefaultInterface is the TUN's name where none is given.
const DefaultInterface = "cordon0"

// Validate says of the first bad value which key it belongs to, what it is and
// what is allowed.
func (c *Config) Validate() error {
	if c.StateDir == "" {
		return bad("state", "", "a directory")
	}
	if c.MTU != 0 && (c.MTU < 1280 || c.MTU > 9000) {
		return bad("mtu", strconv.Itoa(c.MTU), "1280 to 9000, or 0 for 1280")
	}
	if len(c.Interface) > 15 || strings.ContainsAny(c.Interface, "/ \t\n") {
		return bad("interface", c.Interface, "at most 15 characters without blanks and slashes")
	}
	for _, p := range c.Advertise {
		if !isPrefixBehind(p) {
			return bad("advertise", p.String(), "a prefix without host bits, neither IPv4 written as IPv6, loopback, link-local, multicast nor everything")
		}
	}
	if !c.Userspace && (c.SOCKS5 != "" || c.HTTPProxy != "" || len(c.Forwards) > 0 || len(c.Exposes) > 0) {
		return errors.New("socks5, http-proxy, forward and expose are for rootless nodes: add --userspace, or leave them out")
	}
	if c.Userspace && len(c.Advertise) > 0 {
		return errors.New("advertise needs a TUN: a rootless node cannot forward for others; leave out --userspace")
	}
	if err := c.Names.validate(c.Userspace); err != nil {
		return err
	}
	if err := c.validateStock(); err != nil {
		return err
	}
	if err := c.validateEndpoints(); err != nil {
		return err
	}
	return c.validateDoors()
}

// maxEndpoints leaves room for the machine's own addresses in what the
// coordinator takes.
const maxEndpoints = 8

func (c *Config) validateEndpoints() error {
	if len(c.Endpoints) > maxEndpoints {
		return bad("endpoint", strconv.Itoa(len(c.Endpoints))+" of them", "at most "+strconv.Itoa(maxEndpoints))
	}
	for _, e := range c.Endpoints {
		a := e.Addr()
		if e.Port() == 0 || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.Zone() != "" || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return bad("endpoint", e.String(), "the address and port of a host, such as 203.0.113.7:51820")
		}
	}
	for i, p := range c.Advertise {
		if slices.Contains(c.Advertise[:i], p) {
			return bad("advertise", p.String(), "each prefix once")
		}
	}
	return nil
}

func (c *Config) validateDoors() error {
	for _, door := range []struct{ flag, at string }{{"socks5", c.SOCKS5}, {"http-proxy", c.HTTPProxy}} {
		if door.at == "" {
			continue
		}
		if err := localAddress(door.flag, door.at); err != nil {
			return err
		}
	}
	for _, f := range c.Forwards {
		if err := localAddress("forward", f.Listen); err != nil {
			return err
		}
		if _, port, err := net.SplitHostPort(f.Target); err != nil || !isPort(port) {
			return bad("forward", f.Target, "a target such as 100.64.0.7:443 or ehr:443")
		}
	}
	seen := map[uint16]bool{}
	for _, e := range c.Exposes {
		if e.Port == 0 || seen[e.Port] {
			return bad("expose", strconv.Itoa(int(e.Port)), "each port from 1 to 65535 once")
		}
		seen[e.Port] = true
		if _, port, err := net.SplitHostPort(e.Target); err != nil || !isPort(port) {
			return bad("expose", e.Target, "a local service such as 127.0.0.1:8080")
		}
	}
	return nil
}

// ParseForward reads "LISTEN=TARGET", such as "127.0.0.1:8443=ehr:443"; LISTEN
// may be a port alone, which is taken on 127.0.0.1.
func ParseForward(text string) (Forward, error) {
	listen, target, ok := strings.Cut(text, "=")
	if !ok || target == "" {
		return Forward{}, bad("forward", text, "LISTEN=TARGET, such as 8443=ehr:443")
	}
	if isPort(listen) {
		listen = net.JoinHostPort("127.0.0.1", listen)
	}
	return Forward{Listen: listen, Target: target}, nil
}

// ParseExpose reads "PORT=TARGET", such as "443=127.0.0.1:8443"; TARGET may be
// a port alone, which is taken on 127.0.0.1.
func ParseExpose(text string) (Expose, error) {
	port, target, ok := strings.Cut(text, "=")
	n, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil || n == 0 {
		return Expose{}, bad("expose", text, "PORT=TARGET, such as 443=127.0.0.1:8443")
	}
	if isPort(target) {
		target = net.JoinHostPort("127.0.0.1", target)
	}
	return Expose{Port: uint16(n), Target: target}, nil
}

// localAddress takes loopback alone: whoever reaches such a door enters the mesh
// with this node's rights, and nobody could tell them from its user.
func localAddress(key, value string) error {
	host, port, err := net.SplitHostPort(value)
	if err != nil || !isPort(port) && port != "0" || host != "localhost" && !isLoopback(host) {
		return bad(key, value, "a loopback address and port such as 127.0.0.1:1080, since whoever reaches it enters the mesh as this node")
	}
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func bad(key, value, allowed string) error {
	return fmt.Errorf("%s: %q is not allowed: want %s", key, value, allowed)
}
