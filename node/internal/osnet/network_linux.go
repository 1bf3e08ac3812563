package osnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// addrGenNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenNone = 1

// Network is one mesh's part of this machine's network: rules, a table, and the
// TUN while it is there. Its methods may be called at the same time.
type Network struct {
	cfg  Config
	nl   *netlink.Handle
	six  bool // the kernel has IPv6
	wall *wall

	mu      sync.Mutex
	want    Want
	fence   fence
	slots   map[uint32]int        // of seats' tables, by uid
	holders map[netip.Addr]uint32 // of the TUN's addresses: a seat's uid, or 0
	index   int                   // of the TUN that Open made last; 0 for none
	round   uint64                // how often the machine was made as it should be
}

// New takes over what an earlier run left under this name, its wall too, and
// installs the rules. It needs CAP_NET_ADMIN. Sockets belong to the calling thread's network
// namespace.
func New(c Config) (*Network, error) {
	c, err := c.Validate()
	if err != nil {
		return nil, err
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("osnet: talk to the kernel's network: %w", err)
	}
	_, err = os.Stat("/proc/sys/net/ipv6")
	n := &Network{cfg: c, nl: nl, six: err == nil, wall: newWall(c.Name)}
	if err := errors.Join(n.setRules(), n.adoptFence(), n.setSeats(nil)); err != nil {
		nl.Close()
		n.wall.reset()
		return nil, err
	}
	return n, nil
}

// Config returns the configuration with its defaults filled in.
func (n *Network) Config() Config { return n.cfg }

// Open makes the TUN, gives it what the last Apply wanted and brings it up. Call
// it again when the TUN has vanished; until it returns, our prefixes are refused.
// The caller reads the device's events (a WireGuard engine does) and closes it,
// which deletes the TUN.
func (n *Network) Open() (tun.Device, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	dev, err := tun.CreateTUN(n.cfg.Name, n.cfg.MTU)
	if err != nil {
		return nil, fmt.Errorf("osnet: make the TUN %s: %w%s", n.cfg.Name, err, hint(err))
	}
	link, err := n.nl.LinkByName(n.cfg.Name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("osnet: find the TUN %s just made: %w", n.cfg.Name, err), discard(dev))
	}
	n.index = link.Attrs().Index
	if n.six {
		// A link-local address would only have the kernel ask the tunnel for
		// routers. Older kernels refuse; it is a nicety.
		_ = n.nl.LinkSetIP6AddrGenMode(link, addrGenNone)
	}
	if err := n.reconcile(); err != nil {
		return nil, errors.Join(err, discard(dev))
	}
	return n.inBatches(dev, link), nil
}

// discard closes a device that nobody got to see. Its goroutines end only if
// somebody takes their events.
func discard(dev tun.Device) error {
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for range dev.Events() {
		}
	}()
	err := dev.Close()
	<-taken
	return err
}

func hint(err error) string {
	switch {
	case errors.Is(err, unix.EBUSY):
		return ": another program holds it; choose another interface name"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return ": this needs root (CAP_NET_ADMIN); without it, run with --userspace"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return ": /dev/net/tun is missing; load the module tun, give the container the device, or run with --userspace"
	}
	return ""
}

// Apply makes the machine's network what w says. It is idempotent, and repairs
// what others took away. Without a TUN it sets the guards, and Open does the
// rest. After an error what could be done is done, and nothing that w refuses is
// open. That there can be no seats is none: see Untied.
func (n *Network) Apply(w Want) error {
	w, bad := w.canonical()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.want = w
	return errors.Join(bad, n.reconcile())
}

// Reapply repairs what others took away since the last Apply.
func (n *Network) Reapply() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.reconcile()
}

func (n *Network) reconcile() error {
	n.round++
	n.setWall() // before there is an address that it guards
	errs := []error{n.setRules(), n.setFence(), n.setBans()}
	link, err := n.link()
	if err != nil {
		errs = append(errs, err)
	}
	if link != nil {
		errs = append(errs, n.setAddresses(link), n.bringUp(link))
	}
	return errors.Join(append(errs, n.setRoutes(link), n.setSeats(link))...)
}

// link returns the TUN that Open made, or nil if it is not there (any more): an
// interface of that name that somebody else made is none of ours.
func (n *Network) link() (netlink.Link, error) {
	if n.index == 0 {
		return nil, nil
	}
	link, err := n.nl.LinkByIndex(n.index)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("osnet: look for the TUN %s: %w", n.cfg.Name, err)
	}
	return link, nil
}

func (n *Network) bringUp(link netlink.Link) error {
	if err := n.nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("osnet: bring %s up: %w", n.cfg.Name, err)
	}
	return nil
}

// Close removes our routes, guards, rules and wall: from then on the mesh's prefixes
// go where the rest of the machine's routing leads them. Close the device first.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.want = Want{}
	err := errors.Join(n.setRoutes(nil), n.setSeats(nil), n.setBans(), n.removeFence(), n.removeRules(), n.wall.remove())
	n.wall.reset()
	n.nl.Close()
	return err
}

// Leave ends and takes nothing back: what leads nowhere, and the wall, keep the
// mesh's traffic on this machine, as after a crash, until another daemon adopts
// them, or closes them.
func (n *Network) Leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nl.Close()
}

func (n *Network) families() []int {
	if n.six {
		return []int{unix.AF_INET, unix.AF_INET6}
	}
	return []int{unix.AF_INET}
}

// serves says that the kernel knows the address family.
func (n *Network) serves(is4 bool) bool { return is4 || n.six }
