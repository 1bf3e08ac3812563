package compile

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Derivation is how a verdict comes about: who the two ends are, and what each
// rule that concerns them says of it.
type Derivation struct {
	Explanation
	Who, Whom  []string     // what the policy knows of the source and of the destination
	Considered []Considered // in the order in which they were asked, glasses that are whole last; then those that come near
	Others     int          // rules that are left out: they concern neither end, or come less near
}

// Considered is one rule and what it says of a flow.
type Considered struct {
	Rule acl.RuleID
	Pos  policy.Position
	Why  string // "allows it", or what it lacks
	Met  bool   // it allows, forbids or monitors the flow
}

// maxNear bounds how many rules are told of that do not concern both ends.
const maxNear = 5

// Derive explains like [Mesh.Explain], with the whole way to the verdict.
func (m *Mesh) Derive(src, dst netip.Addr, proto acl.Protocol, port uint16) Derivation {
	from, to := m.find(src), m.find(dst)
	d := Derivation{Explanation: m.Explain(src, dst, proto, port), Who: append(m.identity(from), m.suppositions()...), Whom: m.identity(to)}
	f := flowTo(dst, proto, port)
	var matching, near []weighed
	rules := make(map[*policy.Rule]bool)
	for at, p := range m.book.parts {
		w := m.consider(p, int32(at), from, to, f)
		switch {
		case rules[p.rule] && !w.Met:
		case w.miss <= between:
			matching = append(matching, w)
			rules[p.rule] = true
		case w.Why != "":
			near = append(near, w)
			rules[p.rule] = true
		default:
			d.Others++
		}
	}
	slices.SortStableFunc(matching, func(a, b weighed) int { return cmp.Compare(a.last(), b.last()) })
	slices.SortStableFunc(near, func(a, b weighed) int { return cmp.Compare(a.miss, b.miss) })
	d.Others += max(0, len(near)-maxNear)
	for _, w := range append(matching, near[:min(maxNear, len(near))]...) {
		d.Considered = append(d.Considered, w.Considered)
	}
	return d
}

// weighed is a rule with how much it lacks.
type weighed struct {
	Considered
	miss  int
	glass bool // that must be broken
}

// last is 1 of what is told last: a glass that is whole.
func (w weighed) last() int {
	if w.glass && !w.Met {
		return 1
	}
	return 0
}

// consider says what a part says of a flow.
func (m *Mesh) consider(p *part, at int32, from, to place, f flow) weighed {
	w := weighed{Considered: Considered{Rule: p.rule.ID, Pos: p.rule.Pos}, glass: p.rule.Glass != ""}
	matches := from.class != nil && to.class != nil && has(from.class.asSrc, at) && has(to.class.asDst, at)
	named := f.openedBy(p.open)
	if p.forbid {
		named = f.namedBy(p.open)
	}
	if g := m.standing(p, from, to); matches && named && g != nil {
		w.Met, w.Why = true, "allows it"
		switch {
		case g.lift != "":
			w.Why = fmt.Sprintf("allows it: the declared break-glass %q lifts %s", g.lift, strings.Join(m.book.glasses[g.lift].Waives, ", "))
		case p.forbid:
			w.Why = "forbids it"
		case p.rule.Section == "segments":
			w.Why = "lets it pass, and takes note: the segment is only monitored"
		case p.rule.Glass != "":
			w.Why = "allows it: the glass is broken"
		default:
			w.Why += m.sparedText(p, g, from)
		}
		return w
	}
	n := m.lacks(p, at, from, to, f)
	w.Why, w.miss = n.why, n.miss
	if p.forbid {
		w.Why = "" // what does not forbid this is no news
		if matches && named {
			w.Why = "does not forbid it: " + n.why
		}
	}
	return w
}

// standing gives the ground on which a part stands between two places now, or nil.
func (m *Mesh) standing(p *part, from, to place) *ground {
	if from.class == nil || to.class == nil || !m.concerns(p, from, to) {
		return nil
	}
	if g := m.stands(p, from, to, false); g != nil {
		return g
	}
	return m.stands(p, from, to, true)
}

// segmentText names a segment with what is written of its data and of a failure.
func segmentText(s *policy.Segment) string {
	var all []string
	if s.Class != "" {
		all = append(all, s.Class)
	}
	if s.Impact != "" {
		all = append(all, "impact "+s.Impact)
	}
	if len(all) == 0 {
		return s.Name
	}
	return fmt.Sprintf("%s (%s)", s.Name, strings.Join(all, ", "))
}

// identity says what the policy knows of one end.
func (m *Mesh) identity(p place) []string {
	all := []string{whoIs(p)}
	if p.class == nil {
		return append(all, "no rule knows it")
	}
	all = append(all, "rules know it as "+strings.Join(m.namesIn(p.class), ", "))
	for _, s := range p.class.zone.list() {
		all = append(all, "in "+segmentText(&s))
	}
	return append(all, m.knownOf(p)...)
}

func whoIs(p place) string {
	switch {
	case p.host != nil && len(p.host.Tags) > 0:
		return fmt.Sprintf("node %s, tagged %s", p.host.title(), strings.Join(p.host.Tags, ", "))
	case p.host != nil && p.host.User != "":
		return fmt.Sprintf("node %s of %s", p.host.title(), p.host.User)
	case p.host != nil:
		return fmt.Sprintf("node %s, of nobody", p.host.title())
	}
	return p.label
}

// namesIn gives the words of the policy by which rules know a class.
func (m *Mesh) namesIn(c *class) []string {
	var names []string
	for _, id := range c.sign {
		if text := m.book.texts[id]; text != beyondText && !strings.HasPrefix(text, machineText) {
			names = append(names, strings.TrimPrefix(strings.TrimPrefix(text, "src:"), "dst:"))
		}
	}
	if len(names) == 0 {
		return []string{"another address of a machine that they name by one"}
	}
	return slices.Compact(names)
}

// knownOf gives the facts that hold of one end.
func (m *Mesh) knownOf(p place) []string {
	if p.host == nil {
		return nil
	}
	facts := p.host.record.facts
	if p.seat != nil {
		facts = p.seat.Facts
	}
	var all []string
	for _, f := range facts {
		switch {
		case !m.known(f.Fact, p):
		case m.unreported(f.Fact):
			all = append(all, fmt.Sprintf("taken for granted: %s, for nothing says otherwise", m.factText(f.Fact)))
		default:
			all = append(all, fmt.Sprintf("known: %s, until %s", m.heldText(f.Fact), f.Until.UTC().Format("2006-01-02 15:04 MST")))
		}
	}
	return all
}

// suppositions says what is supposed of the source.
func (m *Mesh) suppositions() []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, f := range m.supposed {
		if m.unreported(f.Fact) {
			say("taken for granted: %s, for nothing says otherwise", m.factText(f.Fact))
		} else {
			say("supposed: %s", m.heldText(f.Fact))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.declared.Glass)) {
		if m.supposing && m.book.glasses[id].Segments != nil {
			say("supposed: the break-glass %q is declared", id)
		}
	}
	return all
}
