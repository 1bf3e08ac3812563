package compile

import (
	"cmp"
	"fmt"
	"iter"
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
}

// Reach yields who can reach what: one Access for each ordered pair of nodes
// and each pair of their classes with anything open, sorted by source and then
// destination.
func (m *Mesh) Reach() iter.Seq[Access] {
	return func(yield func(Access) bool) {
		all := make([]*node, 0, len(m.nodes))
		for _, n := range m.nodes {
			all = append(all, n)
		}
		slices.SortFunc(all, func(a, b *node) int { return cmp.Compare(a.ID, b.ID) })
		for _, src := range all {
			peers := m.peersOf(src)
			slices.SortFunc(peers, func(a, b *node) int { return cmp.Compare(a.ID, b.ID) })
			for _, dst := range peers {
				for _, a := range m.between(src, dst) {
					if !yield(a) {
						return
					}
				}
			}
		}
	}
}

// Between gives what one node may reach at another, one Access for each pair of
// their classes with anything open.
func (m *Mesh) Between(src, dst string) []Access {
	a, okA := m.nodes[src]
	b, okB := m.nodes[dst]
	if !okA || !okB || a == b {
		return nil
	}
	return m.between(a, b)
}

func (m *Mesh) between(src, dst *node) []Access {
	var all []Access
	sameOwner := src.record.owner != 0 && src.record.owner == dst.record.owner
	for _, c := range src.profile.classes {
		for _, d := range dst.profile.classes {
			open, rules := m.openBetween(c, d, func(p *part) bool { return !p.self || sameOwner })
			if len(open) > 0 {
				all = append(all, Access{src.ID, dst.ID, src.in(c), dst.in(d), open, rules})
			}
		}
	}
	return all
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

// openBetween gives what the parts that count open from one class to another.
func (m *Mesh) openBetween(from, to *class, counts func(*part) bool) (open []acl.Service, rules []acl.RuleID) {
	for at := range common(from.asSrc, to.asDst) {
		p := m.book.parts[at]
		if !counts(p) {
			continue
		}
		open = append(open, p.open...)
		if len(rules) == 0 || rules[len(rules)-1] != p.rule.ID {
			rules = append(rules, p.rule.ID)
		}
	}
	return merge(open), rules
}

// openOwn gives what a class may reach at nodes of the same owner only.
func (m *Mesh) openOwn(from *class) (open []acl.Service, rules []acl.RuleID) {
	for _, at := range from.asSrc {
		if p := m.book.parts[at]; p.self {
			open, rules = append(open, p.open...), append(rules, p.rule.ID)
		}
	}
	return merge(open), rules
}

// merge sorts services and joins those that overlap or touch.
func merge(open []acl.Service) []acl.Service {
	slices.SortFunc(open, func(a, b acl.Service) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
	})
	joined := open[:0]
	for _, s := range open {
		if n := len(joined) - 1; n >= 0 && joined[n].Protocol == s.Protocol && int(s.First) <= int(joined[n].Last)+1 {
			joined[n].Last = max(joined[n].Last, s.Last)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// ReachTable writes who can reach what for people. Nodes and routes that the
// policy cannot tell apart share a line, so that it stays readable in a large mesh.
func (m *Mesh) ReachTable() string {
	labels := m.labels()
	order := make([]*class, 0, len(labels))
	for c := range labels {
		order = append(order, c)
	}
	slices.SortFunc(order, func(a, b *class) int {
		return cmp.Or(cmp.Compare(labels[a], labels[b]), cmp.Compare(a.num, b.num))
	})
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tTO\tOPEN\tBY RULE")
	line := func(from, to string, open []acl.Service, rules []acl.RuleID) {
		if len(open) > 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", from, to, openText(open), ruleList(rules))
		}
	}
	for _, from := range order {
		open, rules := m.openOwn(from)
		line(labels[from], "nodes of the same owner", open, rules)
		for _, to := range order {
			open, rules := m.openBetween(from, to, func(p *part) bool { return !p.self })
			line(labels[from], labels[to], open, rules)
		}
	}
	if err := w.Flush(); err != nil {
		return "" // a strings.Builder takes all
	}
	return b.String()
}

func ruleList(rules []acl.RuleID) string {
	all := make([]string, len(rules))
	for i, id := range rules {
		all[i] = string(id)
	}
	return strings.Join(all, ", ")
}

// labels gives each class that a node has the names of what is in it.
func (m *Mesh) labels() map[*class]string {
	const most = 3
	names := make(map[*class][]string)
	for _, n := range m.nodes {
		for _, c := range n.profile.classes {
			names[c] = append(names[c], n.point(c))
		}
	}
	labels := make(map[*class]string, len(names))
	for c, all := range names {
		slices.Sort(all)
		label := strings.Join(all[:min(len(all), most)], ", ")
		if len(all) > most {
			label += fmt.Sprintf(" and %d like them", len(all)-most)
		}
		labels[c] = label
	}
	return labels
}

// point names what a node has in a class: itself, or some of its prefixes.
func (n *node) point(c *class) string {
	prefixes := n.in(c)
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
