package registry

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// State is the mesh at one revision. It is never changed, and neither may be
// anything that its methods return. The zero State is a mesh before Init.
type State struct {
	Mesh   wire.MeshID
	Domain string // names are NAME.Domain
	IPv4   ipam.Pool
	IPv6   ipam.Pool

	// Incarnation, Epoch and Revision order states: a restored backup begins a
	// new incarnation, every revocation raises the epoch, every event the revision.
	Incarnation uint64
	Epoch       uint64
	Revision    uint64

	SignIn     bool // what people may, they may only while signed in
	signInSaid bool // somebody said whether

	nodes      table[string, *Node]
	byKey      table[key.NodePublic, string]
	byName     table[string, string]
	byTunnel   table[key.TunnelPublic, string]
	byOwner    table[string, []string] // by login, in lower case
	tokens     table[string, *Token]
	bySecret   table[SecretHash, string]
	revoked    table[key.NodePublic, Revocation]
	users      table[string, *User]
	byLogin    table[string, string]
	roles      table[string, []string] // by user, sorted
	grants     table[string, []Grant]  // by user, by role: how they came to these
	records    table[string, string]   // ids of a directory's records, of people
	byExternal table[string, string]
	reserved   table[string, string] // logins that a directory gives to people
	groups     table[string, *Group]
	groupNames table[string, string]

	sessions table[string, []*Session] // by node, those at one by id
	sitting  table[string, []string]   // nodes at which somebody has sessions, by person
	resting  table[string, []*Rest]    // by node, sorted
	locals   table[string, *Local]     // by person
	byLink   table[SecretHash, string]
	policies []*PolicyVersion // oldest first; the last is in force
	observed *Observation     // nil before the first
}

// Initialised tells whether Init has happened.
func (s *State) Initialised() bool { return s.Incarnation != 0 }

// Ranges gives the mesh's address ranges, IPv4 first.
func (s *State) Ranges() []netip.Prefix {
	return []netip.Prefix{s.IPv4.Range, s.IPv6.Range}
}

// Node gives the node with an id.
func (s *State) Node(id string) (*Node, bool) { return s.nodes.Get(id) }

// NodeByKey gives the node that holds a key.
func (s *State) NodeByKey(k key.NodePublic) (*Node, bool) {
	id, ok := s.byKey.Get(k)
	if !ok {
		return nil, false
	}
	return s.nodes.Get(id)
}

// NodeByName gives the node with a name.
func (s *State) NodeByName(name string) (*Node, bool) {
	id, ok := s.byName.Get(name)
	if !ok {
		return nil, false
	}
	return s.nodes.Get(id)
}

// FindNode gives the node with an id or a name, as people type either. A name
// in another case, or with the mesh's domain behind it, is found too.
func (s *State) FindNode(idOrName string) (*Node, bool) {
	if n, ok := s.Node(idOrName); ok {
		return n, true
	}
	name := strings.TrimSuffix(strings.ToLower(idOrName), ".")
	if s.Domain != "" {
		name = strings.TrimSuffix(name, "."+s.Domain)
	}
	return s.NodeByName(name)
}

// NodeCount counts the nodes.
func (s *State) NodeCount() int { return s.nodes.Len() }

// Nodes gives every node, in no order.
func (s *State) Nodes() iter.Seq[*Node] { return s.nodes.Values() }

// SortedNodes gives every node, by name.
func (s *State) SortedNodes() []*Node {
	return slices.SortedFunc(s.Nodes(), func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
}

// Token gives the token with an id.
func (s *State) Token(id string) (*Token, bool) { return s.tokens.Get(id) }

// TokenBySecret gives the token whose secret has this hash.
func (s *State) TokenBySecret(h SecretHash) (*Token, bool) {
	id, ok := s.bySecret.Get(h)
	if !ok {
		return nil, false
	}
	return s.tokens.Get(id)
}

// Tokens gives every token, oldest first.
func (s *State) Tokens() []*Token {
	return slices.SortedFunc(s.tokens.Values(), func(a, b *Token) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
}

// Revoked gives the revocation of a key, if it was revoked.
func (s *State) Revoked(k key.NodePublic) (Revocation, bool) { return s.revoked.Get(k) }

// Revocations gives every revocation, by epoch.
func (s *State) Revocations() []Revocation {
	return slices.SortedFunc(s.revoked.Values(), func(a, b Revocation) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), strings.Compare(a.Node, b.Node))
	})
}

// Policy gives the policy in force, or nil before the first: then all is denied.
func (s *State) Policy() *PolicyVersion {
	if len(s.policies) == 0 {
		return nil
	}
	return s.policies[len(s.policies)-1]
}

// PolicyAt gives the policy that was in force at a revision, if it is still in
// the history.
func (s *State) PolicyAt(revision uint64) (*PolicyVersion, bool) {
	for _, v := range slices.Backward(s.policies) {
		if v.Revision <= revision {
			return v, true
		}
	}
	return nil, false
}

// Policies gives the history that is kept, oldest first.
func (s *State) Policies() []*PolicyVersion { return s.policies }

// putNode adds n, or puts it in the place of the node with its id. Indexes that
// stay as they were are not touched: most changes are to a node's versions,
// routes or tags.
func (s *State) putNode(n *Node) {
	old, known := s.nodes.Get(n.ID)
	s.nodes = s.nodes.With(n.ID, n)
	s.putOwned(old, n)
	if known && old.Key == n.Key && old.Name == n.Name && old.TunnelKey == n.TunnelKey {
		return
	}
	if known {
		s.byKey, s.byName, s.byTunnel = s.byKey.Without(old.Key), s.byName.Without(old.Name), s.byTunnel.Without(old.TunnelKey)
	}
	s.byKey = s.byKey.With(n.Key, n.ID)
	s.byName = s.byName.With(n.Name, n.ID)
	s.byTunnel = s.byTunnel.With(n.TunnelKey, n.ID)
}

func (s *State) dropNode(n *Node) {
	s.nodes = s.nodes.Without(n.ID)
	s.putOwned(n, nil)
	s.byKey = s.byKey.Without(n.Key)
	s.byName = s.byName.Without(n.Name)
	s.byTunnel = s.byTunnel.Without(n.TunnelKey)
}

func (s *State) putToken(t *Token) {
	s.tokens = s.tokens.With(t.ID, t)
	s.bySecret = s.bySecret.With(t.Secret, t.ID)
}

func (s *State) putRevocation(r Revocation) {
	s.revoked = s.revoked.With(r.Key, r)
	s.Epoch = max(s.Epoch, r.Epoch)
}
