package compile

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"github.com/cordonmesh/cordon/acl/policy"
)

// Device is what a gateway observed behind itself, and was believed.
type Device struct {
	Prefix netip.Prefix // inside one of its Routes
	Tags   []string     // that the policy's assets give to such a device
}

// devicesOf gives the devices that a node vouches for, each with the selectors of
// its tags. What is not behind the node is none of its devices. A device is not
// autogroup:tagged, which is for nodes: a camera must not reach what every server may.
func (b *book) devicesOf(n Node) map[netip.Prefix][]selector {
	if len(n.Devices) == 0 {
		return nil
	}
	all, routes := make(map[netip.Prefix][]selector, len(n.Devices)), new(bart.Lite)
	for _, route := range n.Routes {
		routes.Insert(route)
	}
	for _, d := range n.Devices {
		p := d.Prefix
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || !routes.LookupPrefix(p) {
			continue
		}
		tags := all[p]
		for _, tag := range policy.TagNames(d.Tags) {
			tags = append(tags, idOf(b.byTag, tag))
		}
		all[p] = sortedSet(tags)
	}
	return all
}
