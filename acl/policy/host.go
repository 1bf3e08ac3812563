package policy

import "net/netip"

// Host gives what a name of hosts stands for: an address, or a network.
func (p *Policy) Host(name string) (prefix netip.Prefix, ok bool) {
	if p == nil {
		return netip.Prefix{}, false
	}
	prefix, ok = p.hosts[name]
	return prefix, ok
}
