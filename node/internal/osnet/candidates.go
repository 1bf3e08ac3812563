package osnet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Candidates are the addresses at which other nodes may find this machine
// beneath the tunnel.
type Candidates struct {
	// Addresses are of interfaces that are up, sorted; no loopback, no
	// link-local (they mean nothing to anybody without the link's name).
	Addresses []netip.Addr
	// Loopback is for two nodes on one machine.
	Loopback []netip.Addr
}

// ListCandidates reads this machine's addresses, without those of the interfaces
// named in skip (our TUNs: a tunnel through itself is none).
func ListCandidates(skip []string) (Candidates, error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return Candidates{}, fmt.Errorf("osnet: list this machine's interfaces: %w", err)
	}
	var c Candidates
	for _, i := range ifs {
		if i.Flags&net.FlagUp == 0 || slices.Contains(skip, i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went while we looked
		}
		for _, a := range addrs {
			c.add(a, i.Flags&net.FlagLoopback != 0)
		}
	}
	slices.SortFunc(c.Addresses, netip.Addr.Compare)
	slices.SortFunc(c.Loopback, netip.Addr.Compare)
	return c, nil
}

func (c *Candidates) add(addr net.Addr, loopback bool) {
	n, ok := addr.(*net.IPNet)
	if !ok {
		return
	}
	a, _ := netip.AddrFromSlice(n.IP)
	a = a.Unmap()
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast():
	case a.IsLoopback():
		c.Loopback = appendNew(c.Loopback, a)
	case !loopback:
		c.Addresses = appendNew(c.Addresses, a)
	}
}

// Collision is a network of this machine that overlaps a range of the mesh: what
// is meant for one of the two would go to the other.
type Collision struct {
	Range     netip.Prefix // the mesh's
	Local     netip.Prefix
	Interface string
}

func (c Collision) String() string {
	return fmt.Sprintf("the mesh's range %s overlaps %s on %s: give the mesh another range, or renumber that network; until then its machines in %s cannot be reached from here",
		c.Range, c.Local, c.Interface, c.Range)
}

// Collisions compares the mesh's ranges with the networks that this machine is
// in, and on Linux with its routes too. Interfaces named in skip are our own.
func Collisions(ranges []netip.Prefix, skip []string) ([]Collision, error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("osnet: list this machine's interfaces: %w", err)
	}
	var found []Collision
	note := func(local netip.Prefix, name string) {
		for _, r := range ranges {
			if r.Overlaps(local) && !slices.Contains(skip, name) {
				found = appendNew(found, Collision{Range: r, Local: local, Interface: name})
			}
		}
	}
	for _, i := range ifs {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				ip, _ := netip.AddrFromSlice(n.IP)
				ones, _ := n.Mask.Size()
				note(netip.PrefixFrom(ip.Unmap(), ones).Masked(), i.Name)
			}
		}
	}
	err = eachLocalRoute(note)
	slices.SortFunc(found, func(a, b Collision) int { return strings.Compare(a.String(), b.String()) })
	return found, err
}
