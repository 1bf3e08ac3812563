package compile

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/cordonmesh/cordon/acl"
)

// Access is what one node, or what is behind it, may reach at another.
type Access struct {
	Src, Dst string // node ids
	From, To []netip.Prefix
	Open     []acl.Service // sorted, without overlap
	Rules    []acl.RuleID  // that open it, in the policy's order
	Ways     []Way         // the same, rule by rule, and when
}

// Reach yields who can reach what: one Access for each ordered pair of nodes
// and each pair of their classes with anything open, sorted by source and then
// destination.
func (m *Mesh) Reach() iter.Seq[Access] { return m.ReachBetween(nil, nil) }

func (m *Mesh) between(src, dst *node) []Access {
	var all []Access
	sameOwner := src.record.owner != 0 && src.record.owner == dst.record.owner
	for _, c := range src.profile.classes {
		for _, d := range dst.profile.here {
			from, to := meet(src.in(c), dst.in(d))
			if len(from) == 0 {
				continue
			}
			w := m.openBetween(c, d, func(p *part) bool { return (!p.self || sameOwner) && dst.profile.lands(p) })
			if len(w) > 0 {
				all = append(all, Access{src.ID, dst.ID, from, to, w.open(), w.rules(), w})
			}
		}
	}
	return all
}

// meet leaves the prefixes of those families that both sides have: nothing goes
// from IPv4 to IPv6. Both results are empty, or none is.
func meet(from, to []netip.Prefix) (a, b []netip.Prefix) {
	x, y := families(from), families(to)
	both := [2]bool{x[0] && y[0], x[1] && y[1]}
	other := func(p netip.Prefix) bool { return !both[family(p)] }
	return slices.DeleteFunc(from, other), slices.DeleteFunc(to, other)
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

func families(all []netip.Prefix) (has [2]bool) {
	for _, p := range all {
		has[family(p)] = true
	}
	return has
}

// in gives the prefixes that a node has in a class.
func (n *node) in(c *class) []netip.Prefix {
	var all []netip.Prefix
	for _, pc := range n.record.prefixes {
		if pc.Class == c.num {
			all = append(all, pc.Prefix)
		}
	}
	return all
}

// openBetween gives what the parts that count open from one class to another, under
// conditions or without, less what is forbidden whatever is known of anybody.
func (m *Mesh) openBetween(from, to *class, counts func(*part) bool) (all ways) {
	closed, perhaps := m.closedBetween(from, to)
	for at := range common(from.asSrc, to.asDst) {
		p := m.book.parts[at]
		if len(p.open) == 0 || p.forbid || !counts(p) || !m.opensEver(p, from, to) {
			continue
		}
		if left := acl.WithoutServices(p.open, closed); len(left) > 0 {
			all.add(p, left, m.when(p, perhaps, from, to))
		}
	}
	return all
}

// closedBetween gives what is forbidden from one class to another now, and under no
// condition that may be met or not; and the parts that forbid more under one.
func (m *Mesh) closedBetween(from, to *class) (closed []acl.Service, perhaps []*part) {
	for at := range common(from.asSrc, to.asDst) {
		p := m.book.parts[at]
		if !p.forbid {
			continue
		}
		switch grounds := m.groundsOf(p, p.between(from, to.zone)); {
		case slices.ContainsFunc(grounds, bare):
			closed = append(closed, p.open...)
		case len(grounds) > 0:
			perhaps = append(perhaps, p)
		}
	}
	return closed, perhaps
}

// bare tells whether a ground asks for nothing and has no end.
func bare(g ground) bool { return len(g.needs) == 0 && len(g.schedules) == 0 && g.until.IsZero() }

// opensEver tells whether a part that permits may hold: not if it asks of nodes for
// what none can do.
func (m *Mesh) opensEver(p *part, from, to *class) bool {
	return slices.ContainsFunc(m.groundsOf(p, p.between(from, to.zone)), func(g ground) bool { return len(g.features) == 0 })
}

// answers tells whether a part lands on any node that has the class.
func (c *class) answers(p *part) bool {
	return slices.ContainsFunc(c.profiles, func(q *profile) bool { return q.lands(p) })
}

// openOwn gives what a class may reach at nodes of the same owner only.
func (m *Mesh) openOwn(from *class) (all ways) {
	for _, at := range from.asSrc {
		p := m.book.parts[at]
		if !p.self || p.forbid || !m.opensEver(p, from, from) {
			continue
		}
		if left := m.openAtSome(p, from); len(left) > 0 {
			all.add(p, left, m.when(p, nil, from, from))
		}
	}
	return all
}

// openAtSome gives what a part to people's own nodes leaves open at some of them: what
// is forbidden at one may be open at another.
func (m *Mesh) openAtSome(p *part, from *class) (open []acl.Service) {
	for _, to := range p.dstClasses.all {
		closed, _ := m.closedBetween(from, to)
		open = append(open, acl.WithoutServices(p.open, closed)...)
		if len(closed) == 0 {
			break // all of it
		}
	}
	return acl.MergeServices(open)
}

// ReachTable writes who can reach what for people. Nodes and routes that the
// policy cannot tell apart share a line, so that it stays readable in a large mesh.
func (m *Mesh) ReachTable() string { return m.ReachTableBetween(nil, nil) }

// ReachTableBetween is ReachTable of what is picked.
func (m *Mesh) ReachTableBetween(from, to Pick) string {
	sources, destinations := m.parties(from), m.parties(to)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tTO\tOPEN\tBY RULE\tWHEN")
	line := func(from, to string, all ways) {
		if len(all) > 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", from, to, openText(all.open()), ruleList(all.rules()), all.text())
		}
	}
	for _, from := range sources {
		if slices.ContainsFunc(destinations, m.takesOwn) {
			line(from.label, "nodes of the same owner", m.openOwn(from.class))
		}
		for _, to := range destinations {
			if from.canMeet(to) {
				line(from.label, to.label, m.openBetween(from.class, to.class, func(p *part) bool { return !p.self && to.class.answers(p) }))
			}
		}
	}
	if err := w.Flush(); err != nil {
		return "" // a strings.Builder takes all
	}
	return b.String()
}

// party is all that nodes have in one class.
type party struct {
	class    *class
	label    string
	names    []string
	families [2]bool
	sole     *node // the only node in it, or nil
}

// canMeet tells whether there are a node of one and another node of the other
// party with addresses of one family.
func (p *party) canMeet(o *party) bool {
	return (p.families[0] && o.families[0] || p.families[1] && o.families[1]) && (p.sole == nil || p.sole != o.sole)
}

// takesOwn tells whether a rule to one's own nodes leads to a party.
func (m *Mesh) takesOwn(p *party) bool {
	return slices.ContainsFunc(p.class.asDst, func(at int32) bool { return m.book.parts[at].self })
}

func ruleList(rules []acl.RuleID) string {
	all := make([]string, len(rules))
	for i, id := range rules {
		all[i] = string(id)
	}
	return strings.Join(all, ", ")
}

// parties gives each class of what is picked, with the names of what is in it.
func (m *Mesh) parties(picked Pick) []*party {
	const most = 3
	byClass := make(map[*class]*party)
	for _, n := range m.nodes {
		for _, c := range n.profile.here {
			prefixes := picked.of(n, n.in(c))
			if picked != nil && len(prefixes) == 0 {
				continue
			}
			p := byClass[c]
			if p == nil {
				p = &party{class: c}
				byClass[c] = p
			}
			has := families(prefixes)
			p.families = [2]bool{p.families[0] || has[0], p.families[1] || has[1]}
			p.names, p.sole = append(p.names, n.point(prefixes)), n
		}
	}
	all := slices.Collect(maps.Values(byClass))
	for _, p := range all {
		if len(p.names) > 1 {
			p.sole = nil
		}
		slices.Sort(p.names)
		p.label = strings.Join(p.names[:min(len(p.names), most)], ", ")
		if len(p.names) > most {
			p.label += fmt.Sprintf(" and %d like them", len(p.names)-most)
		}
	}
	slices.SortFunc(all, func(a, b *party) int {
		return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.class.num, b.class.num))
	})
	return all
}

// point names some of a node's prefixes: itself, if they are its addresses.
func (n *node) point(prefixes []netip.Prefix) string {
	addrs := 0
	for _, p := range prefixes {
		if a := p.Addr(); p.IsSingleIP() && slices.Contains(n.Addrs, a) {
			addrs++
		}
	}
	if addrs == len(n.Addrs) && addrs == len(prefixes) {
		return n.title()
	}
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		if texts[i] = p.String(); p.IsSingleIP() {
			texts[i] = p.Addr().String()
		}
	}
	if addrs == 0 {
		return strings.Join(texts, "+") + " behind " + n.title()
	}
	return n.title() + " (" + strings.Join(texts, "+") + ")"
}
