package distribute

import (
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// evidenceOf gives what a state knows at a moment of a node, of who owns it, and of who
// sits there by some of the sessions there. It is the one door by which evidence reaches
// the compiler.
func evidenceOf(state *registry.State, n *registry.Node, sessions []*registry.Session, at time.Time) compile.Evidence {
	e := compile.Evidence{OnDuty: make(map[string]time.Time)}
	for _, s := range sessions {
		if u, ok := state.User(s.User); ok && !u.ShutOut() {
			attest(&e, s)
			e.Presence.Idle, e.Presence.Pause = at.Sub(s.LastActive()), s.Pause
			if n.Owner() == "" {
				e.Person = Person(state, u)
			}
		}
	}
	on := compiledOwner(state, n)
	if on.User == "" {
		on = e.Person
	}
	for roster, people := range state.Observed().Duty {
		for _, login := range append(slices.Clone(on.Also), on.User) {
			if until, ok := people[login]; ok && until.After(e.OnDuty[roster]) {
				e.OnDuty[roster] = until
			}
		}
	}
	return e
}

// compiledOwner gives a node with who owns it: by the login that they have now, and
// those that they had.
func compiledOwner(state *registry.State, n *registry.Node) compile.Node {
	node := CompileNode(n)
	if u, ok := state.UserByLogin(n.Owner()); ok {
		node.User, node.Also, node.Groups, node.Roles = u.Login, slices.Concat(node.Also, u.Former), u.Groups, rolesOf(state, u)
	}
	return node
}

// attest adds what a session proves. Every proof that was given in it counts, as
// long as a session that began with it would go on: a weaker one prolongs none.
func attest(e *compile.Evidence, s *registry.Session) {
	e.SignedIn = s.Until
	e.Presence = &compile.Presence{Kind: "login", Until: s.Until}
	for _, l := range s.Logins {
		e.Logins = append(e.Logins, compile.Login{At: l.At, Until: l.Until, AMR: l.AMR, ACR: l.ACR})
	}
}

// sessionsAt gives the sessions of which a node is told.
func sessionsAt(state *registry.State, node string) (all []wire.Session) {
	for _, s := range state.SessionsAt(node) {
		all = append(all, s.Wire())
	}
	return all
}

// outdated is for how long a fact that has ended is told at least, besides as long as
// anything may drain, of which a node cuts what is of somebody of whom it is told no more.
// It harms nobody: nodes see the end by themselves.
const outdated = 24 * time.Hour

// weighedAt gives the moment at which evidence by some sessions is weighed: when the
// last of it came. It is none of this process's clock, for every replica must find the
// same; and no observation moves it on but by what is long past: one that a replica
// made whose clock was ahead would else take from who signs in after it whatever
// asks for a fresh proof, until the others' clocks got there.
func weighedAt(mesh *compile.Mesh, state *registry.State, sessions []*registry.Session) time.Time {
	at := state.Observed().Time
	if len(sessions) > 0 {
		at = at.Add(-outdated - mesh.Drains())
	}
	for _, s := range sessions {
		if last := s.LastActive(); last.After(at) {
			at = last
		}
	}
	return at
}

// factsOf gives the facts of a node, by some of the sessions there. They depend on the
// state alone, so that every replica tells the same; when they end, nodes see by
// themselves.
func factsOf(mesh *compile.Mesh, state *registry.State, n *registry.Node, sessions []*registry.Session) []acl.FactEnd {
	if !mesh.AsksForFacts() {
		return nil
	}
	at := weighedAt(mesh, state, sessions)
	e := evidenceOf(state, n, sessions, at)
	return mesh.FactsOf(&e, at)
}

// weigh turns what is known of every node into facts, and gives the streams that
// are to be told of others than before.
func (h *Hub) weigh() (due []*stream) {
	if !h.mesh.AsksForFacts() {
		return nil
	}
	for n := range h.state.Nodes() {
		if !h.state.Admitted(n) {
			continue
		}
		weighed := h.weighed(n)
		if sameFacts(weighed.Facts, h.mesh.Facts(n.ID)) && sameSeats(weighed.Seats, h.mesh.Seats(n.ID)) {
			continue
		}
		h.subject(n.ID).outdate()
		due = append(due, h.apply(h.mesh.Put(weighed))...)
	}
	return due
}

func sameFacts(a, b []acl.FactEnd) bool {
	return slices.EqualFunc(a, b, func(a, b acl.FactEnd) bool { return a.Fact == b.Fact && a.Until.Equal(b.Until) })
}

// weighed gives what the compiler needs to know of a node, with its facts.
func (h *Hub) weighed(n *registry.Node) compile.Node {
	return compiledNode(h.mesh, h.state, n)
}

func compiledNode(mesh *compile.Mesh, state *registry.State, n *registry.Node) compile.Node {
	node := compiledOwner(state, n)
	machine, seats := seated(state.SessionsAt(n.ID))
	node.Facts = factsOf(mesh, state, n, machine)
	for _, s := range seats {
		node.Seats = append(node.Seats, compile.Seat{Session: s.ID, Addrs: s.Addresses, Facts: factsOf(mesh, state, n, []*registry.Session{s})})
	}
	return node
}

// Compiled gives a mesh of a state's nodes under a policy, to look at: it says what
// people may who are signed in.
func Compiled(state *registry.State, pol *policy.Policy) *compile.Mesh {
	return compiled(state, pol, false)
}

// CompiledWithin is Compiled for a policy that is new: one that would take too much is an
// error, a [compile.TooLarge].
func CompiledWithin(state *registry.State, pol *policy.Policy) (*compile.Mesh, error) {
	mesh := emptyMesh(state, pol, false)
	return mesh, mesh.LoadWithin(admitted(mesh, state))
}

func compiled(state *registry.State, pol *policy.Policy, signIn bool) *compile.Mesh {
	mesh := emptyMesh(state, pol, signIn)
	mesh.Load(admitted(mesh, state))
	return mesh
}

func emptyMesh(state *registry.State, pol *policy.Policy, signIn bool) *compile.Mesh {
	mesh := compile.New(pol, state.Ranges())
	mesh.RequireSignIn(signIn)
	mesh.Advance(state.Observed().Time)
	return mesh
}

// admitted gives the nodes of a state as a mesh of its policy needs to know them.
func admitted(mesh *compile.Mesh, state *registry.State) (nodes []compile.Node) {
	for n := range state.Nodes() {
		if state.Admitted(n) {
			nodes = append(nodes, compiledNode(mesh, state, n))
		}
	}
	return nodes
}
