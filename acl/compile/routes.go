package compile

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// NextHops gives the routes that a node is given, by the router that it reaches
// them through: each that the node may send into or be reached from. It holds
// no addresses of nodes.
//
// Of several routers with one prefix, the elected one carries it. Where a rule with
// a via leads to anything there that none without one opens, the first router that
// it names does, by its id.
// A default route stands for itself: whoever has one is one's own choice.
func (m *Mesh) NextHops(id string) map[string][]netip.Prefix {
	hops := make(map[string][]netip.Prefix)
	viewer, ok := m.nodes[id]
	if !ok {
		return hops
	}
	for _, prefix := range m.routes() {
		if hop := m.hop(viewer, prefix); hop != nil && hop != viewer {
			hops[hop.ID] = append(hops[hop.ID], prefix)
		}
	}
	for _, exit := range m.exits {
		if exit != viewer {
			hops[exit.ID] = append(hops[exit.ID], m.defaultsFor(viewer, exit)...)
		}
	}
	maps.DeleteFunc(hops, func(_ string, all []netip.Prefix) bool {
		slices.SortFunc(all, comparePrefix)
		return len(all) == 0
	})
	return hops
}

// routes gives every route that somebody has, once.
func (m *Mesh) routes() []netip.Prefix {
	var all []netip.Prefix
	for _, n := range m.nodes {
		all = append(all, n.Routes...)
	}
	slices.SortFunc(all, comparePrefix)
	return slices.Compact(all)
}

// hop gives the router through which a node reaches a prefix, or nil. A via leads
// past the election, unless rules without one open all that it leads to: what such
// rules open of a part of it, each router lets in.
func (m *Mesh) hop(viewer *node, prefix netip.Prefix) *node {
	e, ok := m.table.Get(prefix)
	if !ok {
		return nil
	}
	routers := slices.SortedFunc(slices.Values(e.routers), func(a, b *node) int { return cmp.Compare(a.ID, b.ID) })
	inside := m.classesIn(nil, prefix)
	if len(m.leads(viewer, inside)) > 0 {
		leads := m.leads(viewer, m.unsent(viewer, prefix))
		for _, router := range routers {
			if slices.ContainsFunc(leads, router.profile.lands) {
				return router
			}
		}
	}
	if !m.sends(viewer, inside) && !m.admits(viewer, inside) {
		return nil
	}
	if i := slices.IndexFunc(routers, func(n *node) bool { return slices.Contains(n.Elected, prefix) }); i >= 0 {
		return routers[i]
	}
	return routers[0]
}

// unsent gives the classes inside a prefix into which no part without a via lets a
// node send.
func (m *Mesh) unsent(viewer *node, prefix netip.Prefix) (all []*class) {
	for inner, e := range m.table.Subnets(prefix) {
		if e.class != nil && len(e.hosts) == 0 && !m.sends(viewer, []*class{e.class}) && !m.tiled(inner) {
			all = append(all, e.class)
		}
	}
	return all
}

// tiled tells whether every address of an entry is in a narrower one: then it has a
// class and nothing in it.
func (m *Mesh) tiled(prefix netip.Prefix) bool {
	var rest netipx.IPSetBuilder
	rest.AddPrefix(prefix)
	for inner := range m.table.Subnets(prefix) {
		if inner != prefix {
			rest.RemovePrefix(inner)
		}
	}
	set, err := rest.IPSet()
	return err == nil && len(set.Ranges()) == 0
}

// sends tells whether a part without a via lets a node send into classes.
func (m *Mesh) sends(viewer *node, into []*class) bool {
	for p := range m.into(viewer, into) {
		if p.via == anyWay && len(p.app) == 0 {
			return true
		}
	}
	return false
}

// leads gives the parts with a via that let a node send into classes.
func (m *Mesh) leads(viewer *node, into []*class) (parts []*part) {
	for p := range m.into(viewer, into) {
		if p.via != anyWay {
			parts = append(parts, p)
		}
	}
	return parts
}

// into yields the parts that lead from a node into classes that somebody routes.
func (m *Mesh) into(viewer *node, classes []*class) iter.Seq[*part] {
	return func(yield func(*part) bool) {
		for _, c := range viewer.profile.classes {
			for _, d := range classes {
				for at := range common(c.asSrc, d.asDst) {
					if p := m.book.parts[at]; !p.self && !p.forbid && !p.internet && !yield(p) {
						return
					}
				}
			}
		}
	}
}

// admits tells whether a part that lands on a node lets classes in.
func (m *Mesh) admits(viewer *node, from []*class) bool {
	for _, c := range from {
		for _, d := range viewer.profile.here {
			for at := range common(c.asSrc, d.asDst) {
				if p := m.book.parts[at]; !p.self && !p.forbid && viewer.profile.lands(p) {
					return true
				}
			}
		}
	}
	return slices.ContainsFunc(from, func(c *class) bool { return m.reachesInternet(c, viewer.profile) })
}

// defaultsFor gives the default routes of an exit node that a node may use.
func (m *Mesh) defaultsFor(viewer, exit *node) []netip.Prefix {
	var all []netip.Prefix
	for _, route := range exit.defaults {
		if m.leadsOut(viewer, exit, route) {
			all = append(all, route)
		}
	}
	return all
}

// leadsOut tells whether a part leads a node through a default route: one into
// autogroup:internet, or one whose destination holds all that there is.
func (m *Mesh) leadsOut(viewer, exit *node, route netip.Prefix) bool {
	e, ok := m.table.Get(route)
	if !ok {
		return false
	}
	for _, c := range viewer.profile.classes {
		if m.reachesInternet(c, exit.profile) {
			return true
		}
		if e.class == nil {
			continue
		}
		for at := range common(c.asSrc, e.class.asDst) {
			p := m.book.parts[at]
			if len(p.open) > 0 && !p.self && !p.forbid && exit.profile.lands(p) && slices.Contains(exit.profile.opened(p, side{}).all, e.class) {
				return true
			}
		}
	}
	return false
}
