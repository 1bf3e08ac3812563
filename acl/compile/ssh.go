package compile

import (
	"slices"

	"github.com/cordonmesh/cordon/acl/policy"
)

// SSHVerdict says whether a login over SSH is let in. The zero value refuses.
type SSHVerdict uint8

const (
	SSHRefused SSHVerdict = iota
	SSHChecked            // after the person proved again who they are
	SSHAccepted
)

// SSH judges a login from one node to an account of another, and names the rule
// that decides. Whether a packet comes through to port 22 is not asked here.
func (m *Mesh) SSH(from, to, login string) (SSHVerdict, policy.Position) {
	src, okSrc := m.nodes[from]
	dst, okDst := m.nodes[to]
	if !okSrc || !okDst {
		return SSHRefused, policy.Position{}
	}
	for _, rule := range m.sshRules() {
		if rule.from(&src.Node) && rule.maps(&src.Node, &dst.Node, login) {
			if rule.Check {
				return SSHChecked, rule.Pos
			}
			return SSHAccepted, rule.Pos
		}
	}
	return SSHRefused, policy.Position{}
}

// sshRule is a rule made ready for asking.
type sshRule struct {
	policy.SSHRule
	from func(*Node) bool
	dsts []func(src, dst *Node) bool
}

// sshRules makes the policy's ssh rules ready, once. One that asks for a posture
// lets nobody in but in a test that says what the source's device is like: of no
// other is anything known here.
func (m *Mesh) sshRules() []sshRule {
	if m.ssh != nil {
		return m.ssh
	}
	m.ssh = make([]sshRule, 0, len(m.pol.SSH()))
	for _, r := range m.pol.SSH() {
		one := sshRule{SSHRule: r, from: m.anyPicker(r.Src)}
		if len(r.Postures) > 0 {
			picks := one.from
			one.from = func(n *Node) bool { return m.tried.has(r.Postures) && picks(n) }
		}
		for _, s := range r.Dst {
			one.dsts = append(one.dsts, m.sshTarget(s))
		}
		m.ssh = append(m.ssh, one)
	}
	return m.ssh
}

// anyPicker tells of nodes whether one of several selectors picks them.
func (m *Mesh) anyPicker(all []policy.Selector) func(*Node) bool {
	picks := make([]func(*Node) bool, len(all))
	for i, s := range all {
		picks[i] = m.picker(s)
	}
	return func(n *Node) bool {
		return slices.ContainsFunc(picks, func(pick func(*Node) bool) bool { return pick(n) })
	}
}

func (m *Mesh) sshTarget(s policy.Selector) func(src, dst *Node) bool {
	if s.Kind == policy.Self {
		return samePerson
	}
	pick := m.picker(s)
	return func(_, dst *Node) bool { return pick(dst) }
}

func samePerson(a, b *Node) bool {
	return len(a.Tags)+len(b.Tags) == 0 && a.User != "" && a.User == b.User
}

// maps tells whether a rule is about an account of a node. A rule that gives
// people the account of their own name gives it on their own machines too,
// wherever else it leads: so the dialect has it. It never gives root, which a rule
// must name: whoever gets a login root@DOMAIN would else be root everywhere.
func (r *sshRule) maps(src, dst *Node, login string) bool {
	leads := slices.ContainsFunc(r.dsts, func(target func(src, dst *Node) bool) bool { return target(src, dst) })
	return slices.ContainsFunc(r.Users, func(u policy.SSHUser) bool {
		switch u.Kind {
		case policy.NonRoot:
			return leads && login != "root"
		case policy.LocalPart:
			own := len(src.Tags) == 0 && login != "" && login != "root" && src.User == login+"@"+u.Domain
			return own && (leads || len(r.dsts) > 0 && samePerson(src, dst))
		}
		return leads && u.Login == login
	})
}

// trial is what a test says of the source's devices; nil for one that says nothing.
func trial(attributes map[string]any) *Evidence {
	if attributes == nil {
		return nil
	}
	e := &Evidence{Attributes: make(map[string]Attribute, len(attributes))}
	for name, value := range attributes {
		e.Attributes[name] = Attribute{value, Forever()}
	}
	return e
}

// attempt is a test of ssh rules that says what the source's device is like.
type attempt struct {
	weighing
	known map[string]bool // which postures it has
}

func (m *Mesh) attempt(e *Evidence) *attempt {
	if e == nil {
		return nil
	}
	return &attempt{weighing{m: m, e: e}, make(map[string]bool)}
}

// has tells whether the device has one of some postures.
func (a *attempt) has(postures []string) bool {
	return a != nil && slices.ContainsFunc(postures, func(name string) bool {
		has, weighed := a.known[name]
		if !weighed {
			has = !a.posture(name).IsZero()
			a.known[name] = has
		}
		return has
	})
}

// String gives the verdict in words.
func (v SSHVerdict) String() string {
	switch v {
	case SSHChecked:
		return "let in after a check"
	case SSHAccepted:
		return "let in"
	}
	return "refused"
}
