package compile

import (
	"slices"
	"strings"

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
	rules := m.sshRules().rules
	for i := range rules {
		if rule := &rules[i]; m.from(rule, &src.Node) && rule.maps(&src.Node, &dst.Node, login) {
			if rule.Check {
				return SSHChecked, rule.Pos
			}
			return SSHAccepted, rule.Pos
		}
	}
	return SSHRefused, policy.Position{}
}

// sshBook is a policy's ssh rules made ready for asking. Thousands of rules may have one
// list of sources, and a node is asked about a list once.
type sshBook struct {
	rules []sshRule
	from  []*sshEnd
	to    []*sshEnd
}

// sshEnd is a list of sources or of destinations that rules have.
type sshEnd struct {
	names    []policy.Selector
	leads    func(src, dst *Node) bool
	personal bool // a rule that has it asks whose a node is
}

// sshRule is a rule with its ends.
type sshRule struct {
	policy.SSHRule
	src, dst *sshEnd
}

// from tells whether a rule is for a node. One that asks for a posture lets nobody in but
// in a test that says what the source's device is like: of no other is anything known here.
func (m *Mesh) from(r *sshRule, n *Node) bool {
	return (len(r.Postures) == 0 || m.tried.has(r.Postures)) && r.src.leads(n, nil)
}

// sshRules makes the policy's ssh rules ready, once.
func (m *Mesh) sshRules() *sshBook {
	if m.ssh != nil {
		return m.ssh
	}
	m.ssh = new(sshBook)
	from, to := make(map[string]*sshEnd), make(map[string]*sshEnd)
	for _, r := range m.pol.SSH() {
		one := sshRule{SSHRule: r}
		one.src = endOf(from, &m.ssh.from, r.Src, m.sshSource)
		one.dst = endOf(to, &m.ssh.to, r.Dst, m.sshTarget)
		if one.personal() {
			one.src.personal, one.dst.personal = true, true
		}
		m.ssh.rules = append(m.ssh.rules, one)
	}
	return m.ssh
}

// endOf gives the end of a list of names, which other rules may have too.
func endOf(known map[string]*sshEnd, all *[]*sshEnd, names []policy.Selector, leads func([]policy.Selector) func(src, dst *Node) bool) *sshEnd {
	var key strings.Builder
	for _, s := range names {
		key.WriteString(s.Key())
		key.WriteByte(0)
	}
	end := known[key.String()]
	if end == nil {
		end = &sshEnd{names: names, leads: leads(names)}
		known[key.String()] = end
		*all = append(*all, end)
	}
	return end
}

func (m *Mesh) sshSource(names []policy.Selector) func(src, dst *Node) bool {
	picks := m.anyPicker(names)
	return func(src, _ *Node) bool { return picks(src) }
}

func (m *Mesh) sshTarget(names []policy.Selector) func(src, dst *Node) bool {
	self := slices.ContainsFunc(names, func(s policy.Selector) bool { return s.Kind == policy.Self })
	picks := m.anyPicker(names)
	return func(src, dst *Node) bool { return self && samePerson(src, dst) || picks(dst) }
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

func samePerson(a, b *Node) bool {
	return len(a.Tags)+len(b.Tags) == 0 && a.User != "" && a.User == b.User
}

// maps tells whether a rule is about an account of a node. A rule that gives
// people the account of their own name gives it on their own machines too,
// wherever else it leads: so the dialect has it. It never gives root, which a rule
// must name: whoever gets a login root@DOMAIN would else be root everywhere.
func (r *sshRule) maps(src, dst *Node, login string) bool {
	leads := r.dst.leads(src, dst)
	return slices.ContainsFunc(r.Users, func(u policy.SSHUser) bool {
		switch u.Kind {
		case policy.NonRoot:
			return leads && login != "root"
		case policy.LocalPart:
			own := len(src.Tags) == 0 && login != "" && login != "root" && src.User == login+"@"+u.Domain
			return own && (leads || len(r.Dst) > 0 && samePerson(src, dst))
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
