//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func (l *Lab) build() error {
	core, err := newNamespace(l.prefix + coreName)
	if err != nil {
		return err
	}
	l.core = core
	handle, err := netlink.NewHandleAt(core.handle)
	if err != nil {
		return fmt.Errorf("speak netlink in %s: %w", core.name, err)
	}
	defer handle.Close()

	bridges := map[string]netlink.Link{}
	for i, n := range l.top.Networks {
		if bridges[n.Name], err = addBridge(handle, i, n); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
	}
	for i, m := range l.top.Machines {
		if err := l.addMachine(handle, bridges, i, m); err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	for i, m := range l.top.Machines {
		for j := range m.Links {
			if err := awaitUp(handle, portName(i, j)); err != nil {
				return fmt.Errorf("machine %s, link %d: %w", m.Name, j, err)
			}
		}
	}
	return nil
}

// awaitUp waits until a bridge's port forwards. The kernel hears of a carrier
// later than the call that made it, and drops what is sent before.
func awaitUp(handle *netlink.Handle, port string) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		link, err := handle.LinkByName(port)
		if err != nil {
			return err
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the port is %s after %s", link.Attrs().OperState, patience)
		}
	}
}

func addBridge(handle *netlink.Handle, index int, n Network) (netlink.Link, error) {
	off := false
	bridge := &netlink.Bridge{
		LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("br%d", index), MTU: n.mtu()},
		// Snooping without a querier may swallow neighbour discovery.
		MulticastSnooping: &off,
	}
	if err := handle.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("add a bridge: %w", err)
	}
	return bridge, handle.LinkSetUp(bridge)
}

func (n Network) mtu() int {
	if n.MTU == 0 {
		return 1500
	}
	return n.MTU
}

func (l *Lab) addMachine(core *netlink.Handle, bridges map[string]netlink.Link, index int, m Machine) error {
	ns, err := newNamespace(l.prefix + m.Name)
	if err != nil {
		return err
	}
	h := &Host{Name: m.Name, lab: l, ns: ns, machine: m}
	l.hosts[m.Name] = h
	if err := h.prepare(); err != nil {
		return err
	}
	handle, err := netlink.NewHandleAt(ns.handle)
	if err != nil {
		return fmt.Errorf("speak netlink in %s: %w", ns.name, err)
	}
	defer handle.Close()
	if lo, err := handle.LinkByName("lo"); err != nil || handle.LinkSetUp(lo) != nil {
		return fmt.Errorf("bring up the loopback: %w", err)
	}
	for i, link := range m.Links {
		bridge := bridges[link.Network]
		if err := addLink(core, handle, ns, bridge, index, i, link); err != nil {
			return fmt.Errorf("link to %s: %w", link.Network, err)
		}
	}
	for _, r := range m.Routes {
		if err := addRoute(handle, r); err != nil {
			return err
		}
	}
	return h.finish()
}

// hardwareAddr is the fixed address of a machine's link, so that a test can
// send to it without asking.
func hardwareAddr(machine, link int) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0xc0, 0, byte(machine >> 8), byte(machine), byte(link)}
}

func addLink(core, inside *netlink.Handle, ns *namespace, bridge netlink.Link, machine, index int, link Link) error {
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{
			Name: portName(machine, index), MTU: bridge.Attrs().MTU, MasterIndex: bridge.Attrs().Index,
		},
		PeerName:         ethName(index),
		PeerHardwareAddr: hardwareAddr(machine, index),
		PeerNamespace:    netlink.NsFd(int(ns.handle)),
	}
	if err := core.LinkAdd(veth); err != nil {
		return fmt.Errorf("add a veth pair: %w", err)
	}
	if err := core.LinkSetUp(veth); err != nil {
		return err
	}
	eth, err := inside.LinkByName(ethName(index))
	if err != nil {
		return fmt.Errorf("find the inner end: %w", err)
	}
	if err := inside.LinkSetMTU(eth, bridge.Attrs().MTU); err != nil {
		return err
	}
	if err := inside.LinkSetUp(eth); err != nil {
		return err
	}
	for _, a := range link.Addresses {
		prefix := netip.MustParsePrefix(a)
		// No duplicate address detection: an address must be usable at once.
		addr := &netlink.Addr{IPNet: ipNet(prefix), Flags: unix.IFA_F_NODAD}
		if err := inside.AddrAdd(eth, addr); err != nil {
			return fmt.Errorf("add address %s: %w", a, err)
		}
	}
	return nil
}

func portName(machine, link int) string { return fmt.Sprintf("m%dl%d", machine, link) }

func ethName(index int) string { return fmt.Sprintf("eth%d", index) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func addRoute(handle *netlink.Handle, r Route) error {
	to, via, err := r.parse()
	if err != nil {
		return err
	}
	if err := handle.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("route to %s by %s: %w", r.To, r.Via, err)
	}
	return nil
}

// prepare sets what must hold before the first link arrives.
func (h *Host) prepare() error {
	forward := "0"
	if h.machine.Forward {
		forward = "1"
	}
	settings := map[string]string{
		"net/ipv4/ip_forward":                  forward,
		"net/ipv6/conf/all/forwarding":         forward,
		"net/ipv6/conf/all/accept_dad":         "0",
		"net/ipv6/conf/default/accept_dad":     "0",
		"net/ipv6/conf/default/accept_ra":      "0",
		"net/ipv6/conf/all/disable_ipv6":       "0",
		"net/ipv6/conf/default/disable_ipv6":   "0",
		"net/ipv4/conf/all/rp_filter":          "0",
		"net/ipv4/conf/default/rp_filter":      "0",
		"net/ipv4/conf/all/accept_redirects":   "0",
		"net/ipv4/conf/all/send_redirects":     "0",
		"net/ipv4/conf/default/send_redirects": "0",
	}
	return h.sysctls(settings)
}

// finish sets what the topology asks for once the links are up.
func (h *Host) finish() error {
	if err := h.sysctls(h.machine.Sysctls); err != nil {
		return err
	}
	if h.machine.NFT == "" {
		return nil
	}
	return h.nft(h.machine.NFT)
}

func (h *Host) sysctls(settings map[string]string) error {
	return h.ns.do(func() error {
		for name, value := range settings {
			if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
				return fmt.Errorf("set %s to %q: %w", name, value, err)
			}
		}
		return nil
	})
}

func (h *Host) nft(script string) error {
	cmd := exec.Command("ip", "netns", "exec", h.ns.name, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load nftables script: %w: %s", err, out)
	}
	return nil
}
