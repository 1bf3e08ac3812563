package compile

import (
	"fmt"
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
			one.from = func(n *Node) bool { return m.tried.has(m, r.Postures) && picks(n) }
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

// TestSSH judges the policy's own tests of its ssh rules on the nodes that there
// are. A source or destination without nodes fails nothing.
func (m *Mesh) TestSSH() []TestFailure {
	var failures []TestFailure
	for _, t := range m.pol.SSHTests() {
		failures = append(failures, m.FailuresOf(t)...)
	}
	return failures
}

// FailuresOf judges one of these tests.
func (m *Mesh) FailuresOf(t policy.SSHTest) []TestFailure {
	var failures []TestFailure
	nodes, from, to := m.sortedNodes(), m.picker(t.Src), m.anyPicker(t.Dst)
	m.tried = trial(t.Attributes)
	for _, src := range nodes {
		for _, dst := range nodes {
			if from(&src.Node) && to(&dst.Node) {
				failures = append(failures, m.expectSSH(t, src, dst)...)
			}
		}
	}
	m.tried = nil
	return failures
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

// has tells whether a device has one of some postures.
func (e *Evidence) has(m *Mesh, postures []string) bool {
	if e == nil {
		return false
	}
	w := weighing{m: m, e: e}
	return slices.ContainsFunc(postures, func(name string) bool { return !w.posture(name).IsZero() })
}

// expectSSH judges one test on one pair of nodes.
func (m *Mesh) expectSSH(t policy.SSHTest, src, dst *node) []TestFailure {
	var failures []TestFailure
	expect := func(logins []string, wanted string, fits func(SSHVerdict) bool) {
		for _, login := range logins {
			if v, _ := m.SSH(src.ID, dst.ID, login); !fits(v) {
				text := fmt.Sprintf("%s as %s on %s must be %s, but is %s", src.title(), login, dst.title(), wanted, v)
				failures = append(failures, TestFailure{Pos: t.Pos, Text: text})
			}
		}
	}
	expect(t.Accept, "let in", func(v SSHVerdict) bool { return v == SSHAccepted })
	expect(t.Check, "let in after a check", func(v SSHVerdict) bool { return v == SSHChecked })
	expect(t.Deny, "refused", func(v SSHVerdict) bool { return v == SSHRefused })
	return failures
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
