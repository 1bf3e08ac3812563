package query_test

import (
	"net/netip"
	"slices"
)

// attrs gives the nodes that carry each attribute.
func (w *world) attrs(names []string) map[string][]string {
	out := map[string][]string{}
	for _, name := range names {
		out[name] = []string{}
		for i := range w.Nodes {
			if w.carries(&w.Nodes[i], name) {
				out[name] = append(out[name], w.Nodes[i].Name)
			}
		}
		slices.Sort(out[name])
	}
	return out
}

func (w *world) carries(d *device, attr string) bool {
	for _, entry := range w.policy.NodeAttrs {
		if !slices.Contains(trim(entry.Attr), attr) {
			continue
		}
		for _, alias := range trim(entry.Target) {
			if _, yes := w.selects(alias, d); yes || alias == "*" {
				return true
			}
			if s, ok := w.literal(alias); ok && s.overlaps(w.addrs(d)) {
				return true
			}
		}
	}
	return false
}

// approve gives the advertised routes of each node that the policy approves.
func (w *world) approve(names []string) map[string][]netip.Prefix {
	out := map[string][]netip.Prefix{}
	for _, name := range names {
		out[name] = []netip.Prefix{}
		d := w.node(name)
		if d == nil || w.policy.AutoApprovers == nil {
			continue
		}
		for _, p := range d.Advertised {
			if w.approves(d, p) && !slices.Contains(out[name], p) {
				out[name] = append(out[name], p)
			}
		}
		slices.SortFunc(out[name], netip.Prefix.Compare)
	}
	return out
}

func (w *world) approves(d *device, p netip.Prefix) bool {
	if p.Bits() == 0 {
		return w.anySelects(w.policy.AutoApprovers.ExitNode, d)
	}
	for key, by := range w.policy.AutoApprovers.Routes {
		inside := key.Bits() > 0 && key.Bits() <= p.Bits() && key.Contains(p.Addr())
		if inside && w.anySelects(by, d) {
			return true
		}
	}
	return false
}

func (w *world) anySelects(aliases []string, d *device) bool {
	for _, alias := range trim(aliases) {
		if _, yes := w.selects(alias, d); yes {
			return true
		}
	}
	return false
}
