package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Explanation says what becomes of the first packet of a flow, and why.
type Explanation struct {
	Allow   bool
	Rule    acl.RuleID      // the deciding rule; empty when no rule allows it
	Pos     policy.Position // where that rule stands
	Src     string          // whose source address this is
	Dst     string          // whose destination address this is
	Nearest acl.RuleID      // of a denial: the rule that comes nearest to allowing it, or empty
	Text    string          // the whole of it in words
}

// Explain judges the first packet of a flow from src to dst, as the node with
// dst would. Port is the destination port, without meaning for protocols that
// have none; ICMP stands for the echo request over IPv4, and ICMPv6 for that over IPv6.
func (m *Mesh) Explain(src, dst netip.Addr, proto acl.Protocol, port uint16) Explanation {
	from, to := m.find(src), m.find(dst)
	e := Explanation{Src: from.label, Dst: to.label}
	if to.seat != nil {
		e.Text = fmt.Sprintf("denied: %s is where somebody sits, and no rule leads there", to.label)
		return e
	}
	if !to.reachable {
		e.Text = fmt.Sprintf("denied: no node has or routes %s", dst)
		return e
	}
	f := flowTo(dst, proto, port)
	j := m.judge(from, to, f)
	switch {
	case j.allow && j.ground.monitor:
		e.Allow, e.Rule, e.Pos = true, j.part.rule.ID, j.part.rule.Pos
		e.Text = fmt.Sprintf("allowed for now: %s may reach %s on %s, since %s is only monitored", from.label, to.label, f, ruleText(j.part))
		return e
	case j.allow:
		e.Allow, e.Rule, e.Pos = true, j.part.rule.ID, j.part.rule.Pos
		e.Text = fmt.Sprintf("allowed: %s may reach %s on %s, by rule %s%s%s", from.label, to.label, f, ruleText(j.part), m.liftText(j.ground), m.sparedText(j.part, j.ground, from))
		return e
	case j.part != nil:
		e.Rule, e.Pos = j.part.rule.ID, j.part.rule.Pos
		e.Text = fmt.Sprintf("denied: rule %s forbids %s to reach %s on %s", ruleText(j.part), from.label, to.label, f)
		return e
	}
	e.Text = fmt.Sprintf("denied: no rule lets %s reach %s on %s", from.label, to.label, f)
	if near := m.nearest(from, to, f); near.part != nil {
		e.Nearest = near.part.rule.ID
		e.Text += fmt.Sprintf("; the nearest is rule %s: %s", ruleText(near.part), near.why)
		if way := m.glassWay(from, to, f); way != nil && way != near.part {
			e.Text += fmt.Sprintf("; in an emergency, rule %s opens it: that takes breaking the glass %q", ruleText(way), way.rule.Glass)
		}
	}
	return e
}

// liftText tells of the break-glass without which a rule would ask for more.
func (m *Mesh) liftText(g *ground) string {
	if g.lift == "" {
		return ""
	}
	return fmt.Sprintf(", of which the declared break-glass %q lifts %s", g.lift, strings.Join(m.book.glasses[g.lift].Waives, ", "))
}

// sparedText tells of a posture without which a source passes since it is no machine of
// the mesh.
func (m *Mesh) sparedText(p *part, g *ground, from place) string {
	if p.rule.Postures == nil || !p.between(from.class, nil).beyond || slices.Contains(m.book.glasses[g.lift].Waives, "posture") {
		return ""
	}
	return ": its srcPosture is asked of the mesh's own machines alone"
}

// glassWay gives the first rule for emergencies that would open this to the source.
func (m *Mesh) glassWay(from, to place, f flow) *part {
	for at, p := range m.book.parts {
		if p.rule.Glass != "" && !p.forbid && m.lacks(p, int32(at), from, to, f).miss <= 1 {
			return p
		}
	}
	return nil
}

// Allowed is the yes or no of [Mesh.Explain], without its words.
func (m *Mesh) Allowed(src, dst netip.Addr, proto acl.Protocol, port uint16) bool {
	from, to := m.locate(src), m.locate(dst)
	return to.reachable && m.judge(from, to, flowTo(dst, proto, port)).allow
}

// place is an address as the policy sees it.
type place struct {
	class     *class // nil: no rule knows it
	owner     acl.Owner
	host      *node   // whose address it is; nil when nobody's
	seat      *Seated // at that node, if it is a seat's address
	routers   []*node
	carriers  []*node // of those, who carry it
	reachable bool    // somebody has or routes it
	label     string  // for people
}

// locate looks an address up.
func (m *Mesh) locate(a netip.Addr) place {
	var p place
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
		return p
	}
	prefix, e, ok := m.table.LookupPrefixLPM(single(a))
	if !ok {
		return p
	}
	if len(e.hosts) > 1 {
		return p
	}
	p.class = e.class
	if len(e.hosts) == 1 {
		p.host, p.owner, p.seat = e.hosts[0], e.hosts[0].record.owner, e.hosts[0].seatAt(a)
		p.reachable = p.seat == nil
		return p
	}
	for route, outer := range m.table.Supernets(prefix) { // the longest first
		if len(p.carriers) == 0 {
			p.carriers = outer.carriers(route)
		}
		p.routers = append(p.routers, outer.routers...)
	}
	p.reachable = len(p.routers) > 0
	return p
}

// carriers gives who carries a route: whoever is elected, or else any who has it.
func (e *entry) carriers(route netip.Prefix) []*node {
	for _, n := range e.routers {
		if slices.Contains(n.Elected, route) {
			return []*node{n}
		}
	}
	return e.routers
}

// find is locate with a label.
func (m *Mesh) find(a netip.Addr) place {
	p := m.locate(a)
	switch {
	case p.seat != nil:
		p.label = fmt.Sprintf("%s (%s, the seat of session %s)", p.host.title(), a, p.seat.Session)
	case p.host != nil:
		p.label = fmt.Sprintf("%s (%s)", p.host.title(), a)
	case p.reachable:
		names := make([]string, 0, len(p.routers))
		for _, n := range p.routers {
			names = append(names, n.title())
		}
		p.label = fmt.Sprintf("%s behind %s", a, strings.Join(names, ", "))
	default:
		p.label = fmt.Sprintf("%s (of no node)", a)
	}
	return p
}

func (n *node) title() string {
	if n.Name != "" {
		return n.Name
	}
	return n.ID
}

// What a part misses by: up to between it is for both ends, at farthest for neither.
const (
	between  = 3
	farthest = between + 4
)

// near is a part that does not allow a flow, and what it lacks.
type near struct {
	part *part
	why  string
	miss int // fewer is nearer
}

// nearest gives the part that misses a flow by least: by a condition first, then by
// the port, the protocol, the source, the destination. Of two it is not the one for which
// a glass must be broken: who can do with a login is not to be told of an alarm first.
func (m *Mesh) nearest(from, to place, f flow) near {
	best := near{miss: farthest}
	for at, p := range m.book.parts {
		if p.forbid || p.rule.Section == "segments" {
			continue
		}
		if n := m.lacks(p, int32(at), from, to, f); n.nearer(best) {
			best = n
		}
	}
	return best
}

func (n near) nearer(o near) bool {
	return n.miss < o.miss || n.miss == o.miss && n.miss < farthest && n.part.rule.Glass == "" && o.part.rule.Glass != ""
}

// lacks says what a part lacks to allow a flow.
func (m *Mesh) lacks(p *part, at int32, from, to place, f flow) near {
	src := from.class != nil && has(from.class.asSrc, at)
	dst := to.class != nil && has(to.class.asDst, at)
	fits := f.openedBy(p.open)
	n := near{part: p}
	switch {
	case src && dst && !fits && opensProtocol(p.open, f.proto):
		n.why, n.miss = fmt.Sprintf("it opens %s there, not %s", openText(p.open), f), 2
	case src && dst && !fits:
		n.why, n.miss = fmt.Sprintf("it opens %s there, not %s", openText(p.open), f), between
	case src && dst && p.self:
		n.why, n.miss = "it lets people reach their own nodes only, and these two are not of one person", 1
	case src && dst && m.lands(p, to):
		n.why, n.miss = m.missing(p, from, to), 1
	case src && dst:
		n.why, n.miss = fmt.Sprintf("it leads through routers with %s only", strings.Join(p.rule.Via, " or ")), 1
	case dst && fits:
		n.why, n.miss = p.notFor(from), between+1
	case src && fits:
		n.why, n.miss = fmt.Sprintf("it opens this at %s, and %s is not among them", targetText(p), to.label), between+2
	case dst:
		n.why, n.miss = fmt.Sprintf("it opens %s to %s", openText(p.open), sourceText(p)), between+3
	default:
		n.miss = farthest
	}
	return n
}

// notFor says that a source is not one of a part's. People who sit at a shared device are
// none of a rule for devices of their own.
func (p *part) notFor(from place) string {
	why := fmt.Sprintf("it opens this to %s, and %s is not among them", sourceText(p), from.label)
	if from.host != nil && len(from.host.Tags) > 0 && p.person == "" && slices.ContainsFunc(p.rule.Src, isPeople) {
		why += ": for whoever sits there it takes a rule with srcDevice"
	}
	return why
}
