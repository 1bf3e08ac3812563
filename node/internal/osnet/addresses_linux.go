package osnet

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forever is as long as an address can be valid, in seconds; it is preferred for none.
const forever = math.MaxInt32

// setAddresses makes the TUN's addresses exactly what is wanted, except that the
// kernel's own link-local ones are the kernel's.
func (n *Network) setAddresses(link netlink.Link) error {
	have, err := n.addresses(link)
	if err != nil {
		return err
	}
	var (
		errs []error
		keep = make(map[netip.Addr]bool)
	)
	for _, a := range n.present() {
		if keep[a] = true; !n.serves(a.Is4()) {
			continue
		}
		addr := n.address(a)
		if is, there := have[a]; there {
			if samePurpose(&is, addr) {
				continue
			}
			// The kernel changes no scope of an address that it has.
			errs = append(errs, n.takeAddress(link, &is))
		}
		if err := n.nl.AddrReplace(link, addr); err != nil {
			errs = append(errs, fmt.Errorf("osnet: give %s the address %s: %w%s", n.cfg.Name, a, err, hintSix(a, err)))
		}
	}
	gone := n.movedAddresses()
	for a, addr := range have {
		if keep[a] || a.IsLinkLocalUnicast() {
			continue
		}
		errs = append(errs, n.takeAddress(link, &addr))
		gone = append(gone, a)
	}
	endConnections(gone)
	return errors.Join(errs...)
}

// movedAddresses lists those that were another account's, or the machine's, before.
// Their connections could send no more, and would not know.
func (n *Network) movedAddresses() (moved []netip.Addr) {
	now := make(map[netip.Addr]uint32)
	for _, a := range n.present() {
		now[a] = 0
	}
	for _, s := range n.seated() {
		for _, a := range s.Addresses {
			now[a] = s.UID
		}
	}
	for a, uid := range n.holders {
		if is, there := now[a]; there && is != uid {
			moved = append(moved, a)
		}
	}
	n.holders = now
	return moved
}

// address is one of the TUN's as the kernel should have it. A seat's must never be the
// kernel's own choice, as it is of who masquerades: it is of no scope that anybody is
// reached in, or deprecated (RFC 6724, section 5, rule 3). Routes can name it all the same.
func (n *Network) address(a netip.Addr) *netlink.Addr {
	addr := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen()))}
	if a.Is6() {
		// Nobody else is on this wire, and a route may name it as its source at once.
		addr.Flags = unix.IFA_F_NODAD
	}
	switch {
	case slices.Contains(n.want.Addresses, a):
	case a.Is4():
		addr.Scope = int(netlink.SCOPE_HOST)
	default:
		addr.ValidLft = forever
	}
	return addr
}

// samePurpose tells of one address whether the kernel may choose both or neither.
func samePurpose(is, want *netlink.Addr) bool {
	return is.Scope == want.Scope && (is.Flags&unix.IFA_F_DEPRECATED != 0) == (want.ValidLft != 0)
}

func (n *Network) takeAddress(link netlink.Link, addr *netlink.Addr) error {
	if err := n.nl.AddrDel(link, addr); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("osnet: take the address %s from %s: %w", addr.IP, n.cfg.Name, err)
	}
	return nil
}

func hintSix(a netip.Addr, err error) string {
	if a.Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) {
		return ": is IPv6 switched off (sysctl net.ipv6.conf.default.disable_ipv6)?"
	}
	return ""
}

func (n *Network) addresses(link netlink.Link) (map[netip.Addr]netlink.Addr, error) {
	list, err := n.nl.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("osnet: list the addresses of %s: %w", n.cfg.Name, err)
	}
	have := make(map[netip.Addr]netlink.Addr)
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			have[ip.Unmap()] = a
		}
	}
	return have, nil
}
