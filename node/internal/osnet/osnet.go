// Package osnet is what a node asks of its operating system's network: a TUN
// with addresses, routes that lead the mesh's prefixes into it, and news of
// changes beneath it.
//
// Invariants:
//
//   - What should go through the tunnel goes through it or nowhere. Every prefix
//     that leads into the TUN, and every range of the mesh, also has an
//     "unreachable" route behind the first. When the TUN vanishes the kernel
//     takes its routes along; the others stay and refuse, until Open makes the
//     TUN again. They outlive a killed daemon too, and the next one adopts them.
//   - The mesh's addresses are spoken with through the tunnel or not at all, also
//     by who is on the same network, and also while somebody has taken our routes
//     away: see the wall, a table of nftables.
//   - A seat's addresses are spoken with by its account's programs, or not at all.
//   - The node's own sealed packets never enter the tunnel: our routes stand in
//     a table of their own, which packets with our mark do not ask (see
//     [Control]).
//   - Apply is the whole truth: it makes exactly what it was given, changes
//     nothing that is right already, and leaves no trace in any table but ours.
//   - Nothing is global: name, table and mark are each mesh's own.
//
// TUN mode is for Linux; elsewhere New gives [ErrUnsupported], and a node runs
// on package netstack instead. What needs no TUN (candidates, changes of the
// underlay, collisions) works everywhere. Which packets may pass is not decided
// here. There is no address translation: devices behind a gateway need a route
// back to the mesh.
package osnet

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
)

// ErrUnsupported says that this operating system has no TUN mode.
var ErrUnsupported = errors.New("a TUN is only made on Linux so far: run this node with --userspace, which needs no rights on the machine")

const (
	// DefaultName is the interface's name if Config has none.
	DefaultName = "cordon0"
	// DefaultMTU is the least that IPv6 allows.
	DefaultMTU = 1280
	// DefaultPriority puts our rule before the main table's (32766), and after
	// the local table's (0).
	DefaultPriority = 5270
	maxMTU          = 65_535 - 80
	maxName         = 15 // IFNAMSIZ less its final zero
)

// Config is how one mesh appears in this machine's network. The zero Config is
// valid and takes every default.
type Config struct {
	Name string // of the interface, 1 to 15 letters, digits, '-', '_' or '.'
	MTU  int    // in bytes, 1280 to 65455
	// Table and Mark default to a number made from Name: so two meshes on one
	// machine differ without having to agree.
	Table    uint32
	Mark     uint32
	Priority int // of our rules, 1 to 32765
}

// Validate fills in the defaults, or names the field that is wrong, its value
// and what is allowed.
func (c Config) Validate() (Config, error) {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if !nameIsPlain(c.Name) {
		return c, fmt.Errorf("osnet: interface name %q: give 1 to %d letters, digits, '-', '_' or '.', the first a letter", c.Name, maxName)
	}
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	if c.MTU < DefaultMTU || c.MTU > maxMTU {
		return c, fmt.Errorf("osnet: MTU %d: give %d to %d", c.MTU, DefaultMTU, maxMTU)
	}
	h := fnv.New32a()
	h.Write([]byte(c.Name))
	own := 0x43_00_00_00 | h.Sum32()&0xff_ff_ff
	if c.Table == 0 {
		c.Table = own
	}
	if c.Table >= 252 && c.Table <= 255 || c.Table > 1<<31-1 {
		return c, fmt.Errorf("osnet: table %d is one of the system's or too large: give another, below 2147483648", c.Table)
	}
	if c.Mark == 0 {
		c.Mark = own
	}
	if c.Priority == 0 {
		c.Priority = DefaultPriority
	}
	if c.Priority < 1 || c.Priority > 32765 {
		return c, fmt.Errorf("osnet: rule priority %d: give 1 to 32765, so that ours comes before the main table's", c.Priority)
	}
	return c, nil
}

func nameIsPlain(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789-_.", rune(c))) {
			return false
		}
	}
	return true
}

// Want is all that the mesh wants of this machine's network.
type Want struct {
	// Addresses are the TUN's, each for itself (no prefix).
	Addresses []netip.Addr
	// Seats are accounts that have others of the TUN's. They make the machine Shared.
	Seats []Seat
	// Shared says that there will be seats: what keeps them apart is there before
	// them, so that Unwalled tells before anybody sits down that it could not be made.
	Shared bool
	// Routes lead into the TUN.
	Routes []netip.Prefix
	// Guards are the ranges of the mesh: what has no route among them is
	// refused at once, and never leaves by another interface.
	Guards []netip.Prefix
	// Direct are left to the rest of the machine's routing although a wider
	// route covers them: the network that a laptop is in, for instance.
	Direct []netip.Prefix
}

// canonical masks and unmaps, and drops what is there twice or is not valid for
// a route: such input is a mistake of ours, reported and left out.
func (w Want) canonical() (Want, error) {
	var errs []error
	out := Want{Shared: w.Shared || len(w.Seats) > 0}
	for _, a := range w.Addresses {
		if a = a.Unmap(); !isOwnable(a) {
			errs = append(errs, fmt.Errorf("osnet: %q cannot be the TUN's address", a))
			continue
		}
		out.Addresses = appendNew(out.Addresses, a)
	}
	for _, s := range w.Seats {
		errs = append(errs, out.addSeat(s))
	}
	for _, l := range []struct {
		to   *[]netip.Prefix
		from []netip.Prefix
	}{{&out.Routes, w.Routes}, {&out.Guards, w.Guards}, {&out.Direct, w.Direct}} {
		for _, p := range l.from {
			if !p.IsValid() || p.Addr().Is4In6() {
				errs = append(errs, fmt.Errorf("osnet: %q is no prefix to route: give an IPv4 or IPv6 prefix", p))
				continue
			}
			*l.to = appendNew(*l.to, p.Masked())
		}
	}
	return out, errors.Join(errs...)
}

func isOwnable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a.Zone() == ""
}

func appendNew[T comparable](list []T, v T) []T {
	for _, have := range list {
		if have == v {
			return list
		}
	}
	return append(list, v)
}

// Event says what was found wrong or changed; see [Network.Watch].
type Event int

// The events. After TunnelGone call Open, after TunnelDown, AddressLost,
// RouteLost, RuleLost and WallLost call Apply. UnderlayChanged asks the path machine to
// gather anew.
const (
	TunnelGone Event = iota + 1
	TunnelDown
	AddressLost
	RouteLost
	RuleLost
	WallLost
	UnderlayChanged
)

func (e Event) String() string {
	switch e {
	case TunnelGone:
		return "the TUN was deleted"
	case TunnelDown:
		return "the TUN was taken down"
	case AddressLost:
		return "an address of the TUN was removed"
	case RouteLost:
		return "a route of ours was removed"
	case RuleLost:
		return "a routing rule of ours was removed"
	case WallLost:
		return "our table of nftables was changed or removed"
	case UnderlayChanged:
		return "the machine's addresses or default route changed"
	}
	return "no event"
}
