package compile

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cordonmesh/cordon/acl/policy"
)

// TestSSH judges the policy's own tests of its ssh rules on the nodes that there
// are. A source or destination without nodes fails nothing. It ends as [Mesh.Test]
// does.
func (m *Mesh) TestSSH(ctx context.Context) ([]TestFailure, error) {
	j, all := m.sshJudging(newWork(ctx)), newFailing()
	for _, t := range m.pol.SSHTests() {
		for _, f := range j.failuresOf(t) {
			all.add(f)
		}
		if err := j.done(t.Pos); err != nil {
			return nil, err
		}
	}
	return all.list(), nil
}

// FailuresOf gives what fails of one of these tests, of the first two nodes between
// which anything does, whatever it costs.
func (m *Mesh) FailuresOf(t policy.SSHTest) []TestFailure { return m.sshJudging(nil).failuresOf(t) }

// sshJudging judges tests of ssh rules.
type sshJudging struct {
	*Mesh
	*work
	nodes        []*node
	lists, rules int // steps of asking all of one node
}

func (m *Mesh) sshJudging(w *work) *sshJudging {
	j := &sshJudging{Mesh: m, work: w, nodes: m.sortedNodes()}
	j.lists, j.rules = m.sshRules().steps()
	return j
}

func (j *sshJudging) failuresOf(t policy.SSHTest) []TestFailure {
	j.tried = j.attempt(trial(t.Attributes))
	defer func() { j.tried = nil }()
	to := j.ends(t.Dst, j.sshTo)
	for _, src := range j.ends([]policy.Selector{t.Src}, j.sshFrom) {
		for _, dst := range to {
			j.spend((len(t.Accept) + len(t.Check) + len(t.Deny)) * (1 + j.rules))
			if j.over() {
				return nil
			}
			if failures := j.expectSSH(t, src, dst); len(failures) > 0 {
				return failures
			}
		}
	}
	return nil
}

// ends gives the first of those nodes that are named and that no rule tells apart.
func (j *sshJudging) ends(named []policy.Selector, likeness func(*node) []byte) []*node {
	var all []*node
	picked, steps := j.anyPicker(named), 1+pickSteps(named)
	seen := make(map[string]bool)
	for _, n := range j.nodes {
		if j.spend(steps); j.over() {
			return all
		}
		if !picked(&n.Node) {
			continue
		}
		j.spend(j.lists)
		if key := string(likeness(n)); !seen[key] {
			seen[key] = true
			all = append(all, n)
		}
	}
	return all
}

// steps is what it costs to ask of one node about all lists, and about all rules.
func (b *sshBook) steps() (lists, rules int) {
	for _, end := range slices.Concat(b.from, b.to) {
		lists += pickSteps(end.names)
	}
	for i := range b.rules {
		rules += 1 + pickSteps(b.rules[i].Src) + pickSteps(b.rules[i].Dst)
	}
	return lists, rules
}

// pickSteps is what it costs to ask of one node whether it is picked: to look somebody up
// in a large group takes as long as to compare many names.
func pickSteps(all []policy.Selector) (steps int) {
	for _, s := range all {
		if steps += 2; s.Kind == policy.Group {
			steps += groupSteps
		}
	}
	return steps
}

// sshFrom is all that ssh rules ask of the source of a login.
func (m *Mesh) sshFrom(n *node) []byte {
	var l likeness
	for i, end := range m.sshRules().from {
		leads := end.leads(&n.Node, nil)
		l.add(i, leads, leads && end.personal)
	}
	return l.of(n)
}

// sshTo is all that they ask of its destination, whose own login from elsewhere they may
// mean.
func (m *Mesh) sshTo(n *node) []byte {
	var l likeness
	for i, end := range m.sshRules().to {
		l.add(i, end.leads(&Node{}, &n.Node), end.personal)
	}
	return l.of(n)
}

// likeness is what rules ask of a node, for telling those alike.
type likeness struct {
	ends     []byte // that lead
	personal bool
}

func (l *likeness) add(end int, leads, personal bool) {
	if leads {
		l.ends = binary.BigEndian.AppendUint32(l.ends, uint32(end))
	}
	l.personal = l.personal || personal
}

func (l *likeness) of(n *node) []byte {
	if l.personal && len(n.Tags) == 0 {
		return append(l.ends, n.User...)
	}
	return l.ends
}

// personal tells whether a rule asks whose a node is.
func (r *sshRule) personal() bool {
	return slices.ContainsFunc(r.Dst, func(s policy.Selector) bool { return s.Kind == policy.Self }) ||
		slices.ContainsFunc(r.Users, func(u policy.SSHUser) bool { return u.Kind == policy.LocalPart })
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
