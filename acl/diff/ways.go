package diff

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl/policy"
)

// ways are the tags of the routers through which rules lead, by where to.
type ways struct {
	tags     map[string]routers
	networks map[netip.Prefix]routers
}

type routers map[string]bool

// waysOf reads the rules once: thousands may lead through routers to thousands of networks.
func waysOf(pols []*policy.Policy) ways {
	w := ways{make(map[string]routers), make(map[netip.Prefix]routers)}
	for _, pol := range pols {
		for i := range pol.Rules() {
			r := &pol.Rules()[i]
			if len(r.Via) == 0 {
				continue
			}
			for _, part := range r.Parts {
				w.lead(pol, part.Dst, r.Via)
			}
		}
	}
	return w
}

func (w *ways) lead(pol *policy.Policy, to []policy.Selector, via []string) {
	for _, s := range flat(pol, to) {
		if s.Kind == policy.Tag {
			w.tags[s.Name] = w.tags[s.Name].with(via)
			continue
		}
		for _, p := range pol.Prefixes(s) {
			w.networks[p] = w.networks[p].with(via)
		}
	}
}

func (r routers) with(tags []string) routers {
	if r == nil {
		r = make(routers)
	}
	for _, tag := range tags {
		r[tag] = true
	}
	return r
}

// toTag gives the tags of routers to devices with a tag, sorted.
func (w *ways) toTag(tag string) []string { return slices.Sorted(maps.Keys(w.tags[tag])) }

// to gives the tags of routers to a network, or to one around it, sorted.
func (w *ways) to(p netip.Prefix) []string {
	var all routers
	for bits := range p.Bits() + 1 {
		around, _ := p.Addr().Prefix(bits)
		all = all.with(slices.Collect(maps.Keys(w.networks[around])))
	}
	return slices.Sorted(maps.Keys(all))
}
