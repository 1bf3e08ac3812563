package distribute

import "github.com/cordonmesh/cordon/coordinator/internal/registry"

// news is what entries of the journal touch.
type news struct {
	nodes    map[string]bool // by id: whether it is new
	people   map[string]bool // by id
	edited   bool            // the policy, or whether sign-in is required
	observed bool            // the day, or who is on duty
}

func (n *news) touch(ids ...string) {
	for _, id := range ids {
		if !n.nodes[id] {
			n.nodes[id] = false
		}
	}
}

// catchUp takes over what the source has decided since.
func (h *Hub) catchUp() {
	state := h.cfg.Source.Snapshot()
	if state.Revision == h.state.Revision {
		return
	}
	entries, ok := h.cfg.Source.Since(h.state.Revision)
	if !ok {
		h.rebuild(state)
		return
	}
	was, n := h.state, news{nodes: map[string]bool{}, people: map[string]bool{}}
	h.state = state
	for _, e := range entries {
		if e.Revision > state.Revision {
			break // heard of in the next turn, with its state
		}
		if !h.take(&n, e) {
			h.rebuild(state)
			return
		}
	}
	n.touch(was.MachinesOf(n.people)...)
	n.touch(state.MachinesOf(n.people)...)
	h.tell(&n)
}

// take notes what one entry touches. Whom it removes is taken away at once. False
// means that nothing is as it was.
func (h *Hub) take(n *news, e registry.Entry) bool {
	switch v := e.Event.(type) {
	case registry.NodeEnrolled:
		n.nodes[v.Node.ID] = true
	case registry.NodeChanged:
		n.touch(v.Node.ID)
	case registry.SessionPut:
		n.touch(v.Session.Node)
	case registry.PeopleActive:
		n.touch(v.Nodes()...)
	case registry.SessionsEnded:
		n.touch(v.Node)
	case registry.UserPut:
		n.people[v.User.ID] = true
	case registry.RoleGranted:
		n.people[v.User] = true
	case registry.RoleRevoked:
		n.people[v.User] = true
	case registry.UserForgotten:
		n.people[v.ID] = true
	case registry.SignInRequired:
		n.edited = true
		h.tellSelves()
	case registry.NodeRemoved:
		h.revoke(v.Revocation, e.Revision)
	case registry.RevocationTaken:
		h.revoke(v.Revocation, e.Revision)
	case registry.PolicySet:
		n.edited = true
	case registry.Observed:
		n.observed = true
	case registry.Initialised, registry.IncarnationBegun:
		return false
	}
	return true
}

// tell has the streams owe what the news mean for them.
func (h *Hub) tell(n *news) {
	if n.edited {
		h.edit()
	}
	if n.observed {
		h.observe()
	}
	for id, fresh := range n.nodes {
		h.update(id, fresh)
	}
}
