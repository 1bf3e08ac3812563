package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl/policy"
)

// What a policy costs depends on the nodes, too: each person whom it names is told apart
// from all others, and each gateway has rules about all that it fronts. Whoever may
// write a policy must not be able to end the coordinator by one, so a policy that is
// new is compiled within bounds. They are counted in cases, not in bytes: what one
// coordinator takes, another one takes too.
const (
	maxMeshCases = 20_000_000 // of what is told apart, and a rule that holds it
	maxMeshRules = 2_000_000  // of all nodes; those that are told the same count once

	routedCases = 50 // what it costs that something stands behind a node
)

// TooLarge is the error of a policy that comes to more on the nodes that there are than
// may be.
type TooLarge struct {
	Pos      policy.Position // of the first of the rules that cost most
	Why, Fix string
}

func (e *TooLarge) Error() string { return e.Pos.String() + ": " + e.Why + "; " + e.Fix }

// room is how many cases may yet come. A nil one is boundless.
type room struct{ left int }

func (r *room) spend(cases int) {
	if r != nil {
		r.left -= cases
	}
}

func (r *room) over() bool { return r != nil && r.left < 0 }

// LoadWithin is Load for a policy that nobody has obeyed yet. If that is too large it
// gives a [TooLarge], and the mesh denies all.
func (m *Mesh) LoadWithin(nodes []Node) error {
	m.room = &room{maxMeshCases}
	m.Load(nodes)
	if err := m.affordable(); err != nil {
		*m = *New(nil, m.ranges)
		return err
	}
	m.room = nil
	return nil
}

// Try is [Mesh.With] for a policy that nobody has obeyed yet.
func (m *Mesh) Try(pol *policy.Policy) (*Mesh, error) {
	next := m.emptied(pol, m.book.signIn)
	return next, next.LoadWithin(m.given())
}

func (m *Mesh) affordable() error {
	rules := 0
	if !m.room.over() {
		rules = m.countRules()
	}
	switch {
	case m.room.over():
		return m.tooLarge(fmt.Sprintf("on the nodes that there are the rules fall more than %d times on something that they tell apart", maxMeshCases))
	case rules > maxMeshRules:
		return m.tooLarge(fmt.Sprintf("the nodes that there are would hold more than %d rules together", maxMeshRules))
	}
	return nil
}

// tooLarge names what most of it is by.
func (m *Mesh) tooLarge(why string) error {
	e := &TooLarge{Why: why, Fix: "join rules with the same purpose, or name groups and tags instead of single people and addresses"}
	b, most := m.book, 0
	apart := make([]int, len(b.texts)) // in how many classes each is
	for _, c := range m.classes {
		for _, id := range c.sign {
			apart[id]++
		}
	}
	for id, text := range b.texts {
		parts := slices.Concat(b.asSrc[id], b.asDst[id])
		if cost := len(parts) * (1 + apart[id]); cost > most {
			most = cost
			e.Pos = b.parts[slices.Min(parts)].rule.Pos
			e.Why = fmt.Sprintf("%s; most of it is by %q, which stands in %d rules of the file", why, written(text), len(parts))
		}
	}
	return e
}

// written gives a selector's text as the file has it.
func written(text string) string {
	for _, mark := range []string{"src:", "dst:", machineText, "net:", "user:"} {
		text = strings.TrimPrefix(text, mark)
	}
	return text
}

// countRules gives how many rules all nodes hold, or more than may be.
func (m *Mesh) countRules() int {
	inward, outbound := make([]int, len(m.book.parts)), make([]int, len(m.book.parts))
	for i, p := range m.book.parts {
		n := m.variants(p)
		inward[i], outbound[i] = n, n*len(m.allDestinations(p))
	}
	rules, round, seen := 0, int32(0), make([]int32, len(m.book.parts))
	count := func(classes []*class, parts func(*class) []int32, each []int) {
		round++
		for _, c := range classes {
			all := parts(c)
			m.room.spend(len(all))
			for _, at := range all {
				if seen[at] != round {
					seen[at] = round
					rules += each[at]
				}
			}
		}
	}
	for _, p := range m.profiles {
		count(p.classes, func(c *class) []int32 { return c.asSrc }, outbound)
		count(p.here, func(c *class) []int32 { return c.asDst }, inward)
		if rules > maxMeshRules || m.room.over() {
			break
		}
	}
	return rules
}

// variants gives how many rules a part is to a node, for each zone of its destinations.
func (m *Mesh) variants(p *part) int {
	n := max(1, len(p.rule.Postures))
	if s, ok := m.pol.Schedule(p.rule.When.Schedule); ok {
		n *= max(1, s.Weekly.Times())
	}
	return n
}
