package query_test

import (
	"net/netip"
	"slices"
)

// routes gives each viewer the prefixes of each next hop.
func (w *world) routes(names []string) map[string]map[string][]netip.Prefix {
	out := map[string]map[string][]netip.Prefix{}
	for _, name := range names {
		out[name] = map[string][]netip.Prefix{}
		viewer := w.node(name)
		if viewer == nil {
			continue
		}
		for _, p := range w.approvedSubnets() {
			if hop := w.hop(viewer, p); hop != nil && hop != viewer {
				out[name][hop.Name] = append(out[name][hop.Name], p)
			}
		}
		for i := range w.Nodes {
			hop := &w.Nodes[i]
			for _, p := range hop.exits() {
				if hop != viewer && w.seesExit(viewer, hop, p) {
					out[name][hop.Name] = append(out[name][hop.Name], p)
				}
			}
		}
		for _, list := range out[name] {
			slices.SortFunc(list, netip.Prefix.Compare)
		}
	}
	return out
}

// approvedSubnets is each approved prefix of anyone, once.
func (w *world) approvedSubnets() []netip.Prefix {
	var all []netip.Prefix
	for i := range w.Nodes {
		for _, p := range w.Nodes[i].subnets() {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// hop is by whom a viewer reaches a prefix: by the first on which a rule with via
// lands, unless plain rules open all of the prefix that it opens; else by the elected
// router if a plain rule opens any of it, or if the viewer may be reached from there;
// nil if it is not given the prefix.
func (w *world) hop(viewer *device, p netip.Prefix) *device {
	prefix := spaceOfPrefixes([]netip.Prefix{p})
	type lead struct {
		by   *device
		into space
	}
	var leads []lead
	var plain space
	reason := false
	for _, q := range w.parts() {
		reason = reason || !q.self() && w.lands(q, viewer) && w.admits(q, viewer).overlaps(prefix)
	}
	for i := range w.Nodes {
		at := &w.Nodes[i]
		if !slices.Contains(at.subnets(), p) {
			continue
		}
		for _, q := range w.parts() {
			if q.self() || !w.lands(q, at) || !w.admitsNode(q, at, viewer) || !w.reaches(q, at).overlaps(prefix) {
				continue
			}
			switch {
			case len(q.via) == 0 && q.opens():
				reason = true
				plain = append(plain, w.reaches(q, at)...)
			case len(q.via) > 0:
				leads = append(leads, lead{at, w.reaches(q, at)})
			}
		}
	}
	for _, l := range leads {
		if l.into.minus(plain).overlaps(prefix) {
			return l.by
		}
	}
	if reason {
		return w.elected(p)
	}
	return nil
}

// elected is the router that is primary of a prefix, else the first of it.
func (w *world) elected(p netip.Prefix) *device {
	for i := range w.Nodes {
		if slices.Contains(w.Nodes[i].Primary, p) && slices.Contains(w.Nodes[i].subnets(), p) {
			return &w.Nodes[i]
		}
	}
	for i := range w.Nodes {
		if slices.Contains(w.Nodes[i].subnets(), p) {
			return &w.Nodes[i]
		}
	}
	return nil
}

// seesExit says whether a viewer is given a default route of an exit node.
func (w *world) seesExit(viewer, hop *device, p netip.Prefix) bool {
	for _, q := range w.parts() {
		wide := q.outward() || q.dst == "*" || q.acl && w.isDefault(q.dst, p)
		if q.opens() && wide && w.lands(q, hop) && w.admitsNode(q, hop, viewer) {
			return true
		}
	}
	return false
}
