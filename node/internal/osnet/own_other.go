//go:build !linux

package osnet

import "net/netip"

// Own lists this machine's addresses, those of the interfaces in skip aside.
// There is no gateway on this system, so nothing rests on it.
func Own(skip []string) ([]netip.Prefix, error) {
	c, err := ListCandidates(skip)
	own := make([]netip.Prefix, 0, len(c.Addresses))
	for _, a := range c.Addresses {
		own = append(own, netip.PrefixFrom(a, a.BitLen()))
	}
	return own, err
}
