package compile

import (
	"slices"

	"github.com/cordonmesh/cordon/acl/policy"
)

// Capabilities gives what applications on a node let others do: by the id of the
// source, by the capability's name, its values in the policy's order. A node may
// be its own source.
//
// Sharing a drive works both ways, and so does relaying: whoever may use it is
// made known to the one that offers it, under a name of its own.
func (m *Mesh) Capabilities(id string) map[string]map[string][]string {
	target, ok := m.nodes[id]
	if !ok {
		return nil
	}
	g := giving{all: make(map[string]map[string][]string)}
	nodes := m.sortedNodes()
	for _, part := range m.book.parts {
		if len(part.app) == 0 || part.via != anyWay || part.rule.Conditional() {
			continue
		}
		for _, other := range nodes {
			if m.mayUse(part, other, target) {
				g.give(receipt{part.rule, other.ID, false}, part.app)
			}
			if m.mayUse(part, target, other) {
				g.give(receipt{part.rule, other.ID, true}, companions(part.app))
			}
		}
	}
	return g.all
}

// giving gathers the capabilities at one node.
type giving struct {
	all  map[string]map[string][]string
	done map[receipt]bool
}

// receipt is what a rule gives once, however many of its parts lead there.
type receipt struct {
	rule *policy.Rule
	to   string
	back bool
}

func (g *giving) give(r receipt, capabilities []policy.Capability) {
	if g.done[r] || len(capabilities) == 0 {
		return
	}
	if g.done == nil {
		g.done = make(map[receipt]bool)
	}
	g.done[r] = true
	if g.all[r.to] == nil {
		g.all[r.to] = make(map[string][]string)
	}
	for _, c := range capabilities {
		g.all[r.to][c.Name] = append(g.all[r.to][c.Name], c.Values...)
	}
}

// companions gives the capabilities that go the other way.
func companions(capabilities []policy.Capability) []policy.Capability {
	var all []policy.Capability
	for _, c := range capabilities {
		switch c.Name {
		case "tailscale.com/cap/drive":
			all = append(all, policy.Capability{Name: "tailscale.com/cap/drive-sharer"})
		case "tailscale.com/cap/relay":
			all = append(all, policy.Capability{Name: "tailscale.com/cap/relay-target"})
		}
	}
	return all
}

// mayUse tells whether a part of capabilities leads from one node's addresses to
// another's.
func (m *Mesh) mayUse(part *part, from, to *node) bool {
	if part.self && (from.record.owner == 0 || from.record.owner != to.record.owner) {
		return false
	}
	return to.profile.lands(part) && slices.ContainsFunc(from.profile.addrs, func(c *class) bool {
		return has(c.asSrc, part.at) && slices.ContainsFunc(to.profile.addrs, func(d *class) bool { return m.asksNothing(part, c, d) })
	})
}

// asksNothing tells whether a part leads from one class to another and asks for nothing
// there: no program is told of facts, so that a segment's floor closes it to people.
func (m *Mesh) asksNothing(part *part, from, to *class) bool {
	return has(to.asDst, part.at) && slices.ContainsFunc(m.groundsOf(part, part.between(from, to.zone)), bare)
}
