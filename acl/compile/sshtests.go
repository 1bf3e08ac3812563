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
	w, all := newWork(ctx), newFailing()
	for _, t := range m.pol.SSHTests() {
		for _, f := range m.failuresOf(t, w) {
			all.add(f)
		}
		if err := w.done(t.Pos); err != nil {
			return nil, err
		}
	}
	return all.list(), nil
}

// FailuresOf gives what fails of one of these tests, of the first two nodes between
// which anything does, whatever it costs.
func (m *Mesh) FailuresOf(t policy.SSHTest) []TestFailure { return m.failuresOf(t, nil) }

func (m *Mesh) failuresOf(t policy.SSHTest, w *work) []TestFailure {
	m.tried = m.attempt(trial(t.Attributes))
	defer func() { m.tried = nil }()
	to := m.sshEnds(m.anyPicker(t.Dst), w, m.sshTo)
	for _, src := range m.sshEnds(m.picker(t.Src), w, m.sshFrom) {
		for _, dst := range to {
			w.spend((len(t.Accept) + len(t.Check) + len(t.Deny)) * (1 + len(m.sshRules())))
			if w.over() {
				return nil
			}
			if failures := m.expectSSH(t, src, dst); len(failures) > 0 {
				return failures
			}
		}
	}
	return nil
}

// sshEnds gives the first of those nodes that are picked and that no rule tells apart.
func (m *Mesh) sshEnds(picked func(*Node) bool, w *work, likeness func(*node) []byte) []*node {
	var all []*node
	seen := make(map[string]bool)
	for _, n := range m.sortedNodes() {
		if w.spend(1); w.over() {
			return all
		}
		if !picked(&n.Node) {
			continue
		}
		w.spend(2 * m.sshSteps())
		if key := string(likeness(n)); !seen[key] {
			seen[key] = true
			all = append(all, n)
		}
	}
	return all
}

func (m *Mesh) sshSteps() (steps int) {
	for _, r := range m.sshRules() {
		steps += len(r.Src) + len(r.Dst)
	}
	return steps
}

// sshFrom is all that ssh rules ask of the source of a login.
func (m *Mesh) sshFrom(n *node) (key []byte) {
	personal := false
	for i, r := range m.sshRules() {
		if r.from(&n.Node) {
			key = binary.BigEndian.AppendUint32(key, uint32(i))
			personal = personal || r.personal()
		}
	}
	if personal && len(n.Tags) == 0 {
		key = append(key, n.User...)
	}
	return key
}

// sshTo is all that ssh rules ask of its destination.
func (m *Mesh) sshTo(n *node) (key []byte) {
	personal := false
	for i, r := range m.sshRules() {
		leads := slices.ContainsFunc(r.dsts, func(target func(src, dst *Node) bool) bool { return target(&Node{}, &n.Node) })
		if leads {
			key = binary.BigEndian.AppendUint32(key, uint32(i))
		}
		personal = personal || r.personal()
	}
	if personal && len(n.Tags) == 0 {
		key = append(key, n.User...)
	}
	return key
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
