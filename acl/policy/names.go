package policy

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// Tags gives the names of all tags that somebody owns or a device may earn, sorted.
func (p *Policy) Tags() []string {
	if p == nil {
		return nil
	}
	all := slices.Collect(maps.Keys(p.tagOwners))
	for _, a := range p.assets {
		all = append(all, a.Tag)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Hosts yields the addresses of all hosts, in no order.
func (p *Policy) Hosts() iter.Seq[netip.Prefix] {
	if p == nil {
		return maps.Values(map[string]netip.Prefix(nil))
	}
	return maps.Values(p.hosts)
}
