package registry

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// ByPolicy is in Node.ApprovedRoutes where the policy approved a route, not a person.
const ByPolicy = "policy"

// Node is a machine of the mesh. It is never changed once it is in a State.
type Node struct {
	ID   string         `json:"id"`   // wire.NodeID of Key
	Name string         `json:"name"` // RFC 1123 label, unique in the mesh
	Key  key.NodePublic `json:"key"`  // identity, for life

	// Statement names the keys in use; the three below are what it says.
	Statement *wire.Statement  `json:"statement"`
	TunnelKey key.TunnelPublic `json:"tunnelKey"`
	PathKey   key.PathPublic   `json:"pathKey"`
	Sequence  uint64           `json:"sequence"`

	User      string       `json:"user,omitempty"` // login of the person who enrolled it; see Owner
	Tags      Tags         `json:"tags,omitempty"`
	Addresses []netip.Addr `json:"addresses"` // IPv4, then IPv6; for life

	// Advertised is what the node says is behind it; ApprovedRoutes is what it
	// may carry, with who allowed it: ByPolicy or an actor. Only what is in both
	// counts: see Routes.
	Advertised     []netip.Prefix          `json:"advertised,omitempty"` // sorted
	ApprovedRoutes map[netip.Prefix]string `json:"approvedRoutes,omitempty"`

	Approved bool      `json:"approved"` // false: waits for approval, and has no peers
	Token    string    `json:"token"`    // id of the token that it enrolled with; empty: see Proof
	Created  time.Time `json:"created"`
	Vouched  *Vouch    `json:"vouched,omitempty"` // who approved, tagged or renewed it last; nil: nobody since it came
	OS       string    `json:"os,omitempty"`
	Version  string    `json:"version,omitempty"`

	// Expires is the end of a person's machine: its person proves anew who they are
	// there, or it is a peer of nobody from then on. Zero: without end, as machines
	// with tags are. Expired says that the end has come.
	Expires time.Time `json:"expires,omitzero"` // exclusive
	Expired bool      `json:"expired,omitempty"`

	From  netip.Addr `json:"from,omitzero"`   // where it enrolled from, as the coordinator saw it
	Proof *Proof     `json:"proof,omitempty"` // of a person, instead of a token: it joined by a sign-in
}

// Owner gives the login whose device the node is for the policy, or "" for a
// tagged node: that belongs to its tags.
func (n *Node) Owner() string {
	if len(n.Tags) > 0 {
		return ""
	}
	return n.User
}

// Routes gives the prefixes that the node advertises and may carry, sorted.
func (n *Node) Routes() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range n.Advertised {
		if _, ok := n.ApprovedRoutes[p]; ok {
			out = append(out, p)
		}
	}
	return out
}

// copy gives a Node that may be changed without changing n.
func (n *Node) copy() *Node {
	c := *n
	c.Tags = slices.Clone(n.Tags)
	c.Advertised = slices.Clone(n.Advertised)
	c.ApprovedRoutes = maps.Clone(n.ApprovedRoutes)
	return &c
}

// Revocation ends a node key for good.
type Revocation struct {
	Key   key.NodePublic `json:"key"`
	Node  string         `json:"node"` // id that the key had
	Name  string         `json:"name,omitempty"`
	Epoch uint64         `json:"epoch"` // of the mesh, raised by this revocation
	Time  time.Time      `json:"time"`
}
