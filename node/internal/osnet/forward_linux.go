package osnet

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Change is one sysctl that EnableForwarding set.
type Change struct {
	Path    string // below /proc/sys
	Was, Is string
}

func (c Change) String() string {
	return fmt.Sprintf("sysctl %s: %s, was %s", strings.ReplaceAll(c.Path, "/", "."), c.Is, c.Was)
}

// EnableForwarding lets the kernel of a gateway pass packets between the TUN and
// the devices behind: for IPv4 on the TUN and on the interfaces that lead to
// behind, no other; for IPv6 on the whole machine, as the kernel knows no less.
// It returns what it changed, also beside an error; Restore takes it back.
// What forwards because of it leads into the mesh and nowhere else, until Close.
func (n *Network) EnableForwarding(behind []netip.Prefix) ([]Change, error) {
	var (
		names [2][]string // of interfaces, by family
		errs  []error
	)
	for _, p := range behind {
		is4 := p.Addr().Is4()
		name, err := n.towards(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !n.serves(is4) {
			errs = append(errs, fmt.Errorf("osnet: forward to %s: this kernel has no IPv6", p))
			continue
		}
		at := &names[0]
		if !is4 {
			at = &names[1]
		}
		*at = appendNew(appendNew(*at, n.cfg.Name), name)
	}
	var wanted []Change
	for _, name := range names[0] {
		wanted = append(wanted, Change{Path: "net/ipv4/conf/" + name + "/forwarding", Is: "1"})
	}
	if names[1] != nil {
		keep, err := keepRouterAdvertisements()
		errs = append(errs, err)
		wanted = append(append(wanted, keep...), Change{Path: allForwarding6, Is: "1"})
	}
	changed, err := setSysctls(wanted)
	return changed, errors.Join(append(errs, err, n.fenceIn(changed))...)
}

// fenceIn fences what forwards from now on.
func (n *Network) fenceIn(changed []Change) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changed {
		if c.Path == allForwarding6 {
			n.fence.six = true
		}
		name, is4 := strings.CutPrefix(c.Path, "net/ipv4/conf/")
		if name = strings.TrimSuffix(name, "/forwarding"); is4 && name != n.cfg.Name {
			n.fence.four = appendNew(n.fence.four, name)
		}
	}
	return n.setFence()
}

const allForwarding6 = "net/ipv6/conf/all/forwarding"

// towards names the interface by which the machine reaches p, our tunnel aside.
// It asks for a few of p's addresses: the first is often the network's own
// number, and the next the gateway's own address, which leads to itself.
func (n *Network) towards(p netip.Prefix) (string, error) {
	var last error = unix.ENETUNREACH
	at := p.Masked().Addr()
	for range 4 {
		routes, err := n.nl.RouteGetWithOptions(at.AsSlice(), &netlink.RouteGetOptions{Mark: n.cfg.Mark})
		if err != nil {
			last = err
		} else if len(routes) > 0 && routes[0].Type == unix.RTN_UNICAST {
			link, err := n.nl.LinkByIndex(routes[0].LinkIndex)
			if err != nil {
				return "", fmt.Errorf("osnet: forward to %s: %w", p, err)
			}
			return link.Attrs().Name, nil
		}
		if at = at.Next(); !p.Contains(at) {
			break
		}
	}
	return "", fmt.Errorf("osnet: forward to %s: this machine has no route there: %w", p, last)
}

// keepRouterAdvertisements lists the interfaces that follow router
// advertisements while the machine forwards nothing (1), and would stop, losing
// their default route, once it does: 2 means "all the same".
func keepRouterAdvertisements() ([]Change, error) {
	paths, err := filepath.Glob("/proc/sys/net/ipv6/conf/*/accept_ra")
	if err != nil {
		return nil, fmt.Errorf("osnet: list interfaces that accept router advertisements: %w", err)
	}
	var list []Change
	for _, p := range paths {
		p = strings.TrimPrefix(p, "/proc/sys/")
		if v, err := readSysctl(p); err == nil && v == "1" && filepath.Base(filepath.Dir(p)) != "all" {
			list = append(list, Change{Path: p, Is: "2"})
		}
	}
	return list, nil
}

// setSysctls writes what differs and returns it with what was there.
func setSysctls(wanted []Change) ([]Change, error) {
	var (
		done []Change
		errs []error
	)
	for _, c := range wanted {
		was, err := readSysctl(c.Path)
		if err == nil && was == c.Is {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join("/proc/sys", c.Path), []byte(c.Is), 0)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("osnet: set sysctl %s to %s: %w: set it by hand, or let this process write /proc/sys", strings.ReplaceAll(c.Path, "/", "."), c.Is, err))
			continue
		}
		done = append(done, Change{Path: c.Path, Was: was, Is: c.Is})
	}
	return done, errors.Join(errs...)
}

func readSysctl(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys", path))
	return strings.TrimSpace(string(b)), err
}

// Restore takes changes back, the last first, where they still stand: what
// somebody else set meanwhile is theirs. An interface that is gone is no error.
func Restore(changes []Change) error {
	var errs []error
	for _, c := range slices.Backward(changes) {
		now, err := readSysctl(c.Path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && now != c.Is {
			continue
		}
		if _, err := setSysctls([]Change{{Path: c.Path, Is: c.Was}}); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
