//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
)

// Topology describes a network as data.
type Topology struct {
	Networks []Network
	Machines []Machine
	// Names are what every program of the lab finds in /etc/hosts, with the
	// addresses of each. Without names it finds the machine's own file.
	Names map[string][]netip.Addr
}

// Network is a layer-2 segment: a switch that all machines linked to it share.
type Network struct {
	Name string
	MTU  int // 0: 1500
}

// Machine is a host, or with Forward a router.
type Machine struct {
	Name    string
	Links   []Link // become eth0, eth1, ...
	Routes  []Route
	Forward bool              // forwards IPv4 and IPv6
	NFT     string            // an nftables script, loaded when the links are up
	Sysctls map[string]string // such as "net/ipv4/ip_local_port_range": "2000 3000"
	Env     []string          // what its programs find in their environment besides, such as "HTTPS_PROXY=..."
}

// Link joins a machine to a network. Addresses are prefixes such as
// "10.0.0.1/24" or "fd00::1/64".
type Link struct {
	Network   string
	Addresses []string
}

// Route leads to a prefix by a neighbour's address; To may be "default", which
// is of Via's address family.
type Route struct{ To, Via string }

// Segment is the common small case: machines with one link each on one network
// called "lan", named as given, with addresses 10.77.0.N/24 and fd77::N/64, N
// counted from 1.
func Segment(names ...string) Topology {
	top := Topology{Networks: []Network{{Name: "lan"}}}
	for i, name := range names {
		top.Machines = append(top.Machines, Machine{Name: name, Links: []Link{{
			Network:   "lan",
			Addresses: []string{fmt.Sprintf("10.77.0.%d/24", i+1), fmt.Sprintf("fd77::%x/64", i+1)},
		}}})
	}
	return top
}

func (top Topology) validate() error {
	var errs []error
	networks := map[string]bool{}
	for _, n := range top.Networks {
		if networks[n.Name] {
			errs = append(errs, fmt.Errorf("two networks are named %q", n.Name))
		}
		networks[n.Name] = true
	}
	machines := map[string]bool{}
	for _, m := range top.Machines {
		if machines[m.Name] || m.Name == coreName || m.Name == "" {
			errs = append(errs, fmt.Errorf("the machine name %q is empty, taken or reserved", m.Name))
		}
		machines[m.Name] = true
		errs = append(errs, m.validate(networks))
	}
	return errors.Join(errs...)
}

func (m Machine) validate(networks map[string]bool) error {
	var errs []error
	for _, link := range m.Links {
		if !networks[link.Network] {
			errs = append(errs, fmt.Errorf("machine %s is linked to a network %q that the topology lacks", m.Name, link.Network))
		}
		for _, a := range link.Addresses {
			if _, err := netip.ParsePrefix(a); err != nil {
				errs = append(errs, fmt.Errorf("machine %s: %w", m.Name, err))
			}
		}
	}
	for _, r := range m.Routes {
		_, _, err := r.parse()
		if err != nil {
			errs = append(errs, fmt.Errorf("machine %s: %w", m.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (r Route) parse() (netip.Prefix, netip.Addr, error) {
	via, err := netip.ParseAddr(r.Via)
	if err != nil {
		return netip.Prefix{}, via, fmt.Errorf("route to %s: %w", r.To, err)
	}
	if r.To == "default" {
		if via.Is4() {
			return netip.PrefixFrom(netip.IPv4Unspecified(), 0), via, nil
		}
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0), via, nil
	}
	to, err := netip.ParsePrefix(r.To)
	if err != nil {
		return to, via, fmt.Errorf("route by %s: %w", r.Via, err)
	}
	return to.Masked(), via, nil
}
