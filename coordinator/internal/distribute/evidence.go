package distribute

import (
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// evidenceOf gives what a state knows of a node and of who owns it. It is the one
// door by which evidence reaches the compiler.
func evidenceOf(state *registry.State, n *registry.Node) compile.Evidence {
	e := compile.Evidence{OnDuty: make(map[string]time.Time)}
	if n.Owner() == "" {
		return e
	}
	for roster, people := range state.Observed().Duty {
		if until, ok := people[n.Owner()]; ok {
			e.OnDuty[roster] = until
		}
	}
	return e
}

// factsOf gives the facts of a node. They depend on the state alone, so that every
// replica tells the same; when they end, nodes see by themselves.
func factsOf(mesh *compile.Mesh, state *registry.State, n *registry.Node) []acl.FactEnd {
	if !mesh.AsksForFacts() {
		return nil
	}
	e := evidenceOf(state, n)
	return mesh.FactsOf(&e, state.Observed().Time)
}

// weigh turns what is known of every node into facts, and gives the streams that
// are to be told of others than before.
func (h *Hub) weigh() (due []*stream) {
	if !h.mesh.AsksForFacts() {
		return nil
	}
	same := func(a, b acl.FactEnd) bool { return a.Fact == b.Fact && a.Until.Equal(b.Until) }
	for n := range h.state.Nodes() {
		facts := factsOf(h.mesh, h.state, n)
		if !n.Approved || slices.EqualFunc(facts, h.mesh.Facts(n.ID), same) {
			continue
		}
		h.subject(n.ID).record = nil
		due = append(due, h.apply(h.mesh.Put(h.weighed(n)))...)
	}
	return due
}

// weighed gives what the compiler needs to know of a node, with its facts.
func (h *Hub) weighed(n *registry.Node) compile.Node {
	node := CompileNode(n)
	node.Facts = factsOf(h.mesh, h.state, n)
	return node
}

// Compiled gives a mesh of a state's nodes under a policy, to look at.
func Compiled(state *registry.State, pol *policy.Policy) *compile.Mesh {
	mesh := compile.New(pol, state.Ranges())
	mesh.Advance(state.Observed().Time)
	var nodes []compile.Node
	for n := range state.Nodes() {
		if n.Approved {
			node := CompileNode(n)
			node.Facts = factsOf(mesh, state, n)
			nodes = append(nodes, node)
		}
	}
	mesh.Load(nodes)
	return mesh
}
