package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Machine is what a machine that wants to join says of itself. Key is that of its
// channel, From where the channel comes from.
type Machine struct {
	Key       key.NodePublic
	Name      string
	Statement *wire.Statement
	OS        string
	Version   string
	From      netip.Addr
}

// Proof is by whose proof of who they are a machine joined.
type Proof struct {
	Login  string    `json:"login"`
	Issuer string    `json:"issuer"`
	At     time.Time `json:"at"`
	AMR    []string  `json:"amr,omitempty"`
	ACR    string    `json:"acr,omitempty"`
}

// MaxJoined is how many machines that joined by sign-ins one person may have: a
// stolen login must not be able to use a mesh's addresses up.
const MaxJoined = 20

// Check bounds what a machine says of itself, before a person is asked about it.
func (m Machine) Check() error {
	if m.Key.IsZero() {
		return fmt.Errorf("a machine without a node key: %w", ErrInvalid)
	}
	if _, err := wire.VerifyStatement(m.Key, m.Statement); err != nil {
		return fmt.Errorf("statement of %s: %w: %w", wire.NodeID(m.Key), ErrInvalid, err)
	}
	return new(Node).describe(m.OS, m.Version)
}

func (c Join) decide(d *decision) error {
	if err := c.Session.check(); err != nil {
		return err
	}
	id, refuse := wire.NodeID(c.Key), func(err error) error {
		return d.refuse("node.join.refuse", wire.NodeID(c.Key), fmt.Errorf("%s cannot join as a machine of %s: %w", Label(c.Name), c.Session.Who.Login, err))
	}
	if r, revoked := d.state.Revoked(c.Key); revoked {
		return refuse(fmt.Errorf("%w at epoch %d; make a new key to enrol this machine", ErrRevokedKey, r.Epoch))
	}
	u, err := d.person(c.Session.Who)
	if err != nil {
		return refuse(err)
	}
	if known, ok := d.state.Node(id); ok {
		if !known.joinedBy(u) {
			return refuse(fmt.Errorf("%w as %q", ErrKnownKey, known.Name))
		}
		d.result.Node = known
		return nil
	}
	if n := d.state.joinedBy(u); n >= MaxJoined {
		return refuse(fmt.Errorf("%w: %d machines joined in this way, at most %d may: an admin can remove one, or give a token", ErrUser, n, MaxJoined))
	}
	n, err := d.joining(c, u)
	if err != nil {
		return refuse(err)
	}
	d.know(u)
	if err := d.enrol(n); err != nil {
		return refuse(err)
	}
	if err := d.begin(d.result.Node, u, c.Session); err != nil {
		return refuse(err)
	}
	d.result.Node, _ = d.state.Node(id)
	return nil
}

// joining makes the node of a machine that joins, without addresses. It has no
// tags, whatever anybody says: a server is a machine that an admin made one.
func (d *decision) joining(c Join, u *User) (*Node, error) {
	who := c.Session.Who
	n := &Node{ID: wire.NodeID(c.Key), Name: d.state.freeName(Label(c.Name)), Key: c.Key, User: u.Login, Approved: c.Approved, Created: d.now, From: c.From.Unmap(),
		Proof: &Proof{Login: u.Login, Issuer: u.Issuer, At: earlier(who.At.UTC().Truncate(time.Second), d.now), AMR: slices.Compact(slices.Sorted(slices.Values(who.AMR))), ACR: who.ACR}}
	if life := c.Session.DeviceLife; life > 0 {
		n.Expires = d.now.Add(life).Truncate(time.Second)
	}
	if err := n.describe(c.OS, c.Version); err != nil {
		return nil, err
	}
	return n, d.state.accept(n, c.Statement)
}

// joinedBy tells whether the machine joined by a sign-in of that person, and is
// theirs still.
func (n *Node) joinedBy(u *User) bool {
	return n.Proof != nil && u.called(n.Proof.Login) && u.called(n.Owner())
}

// joinedBy counts the machines that joined by a person's sign-ins.
func (s *State) joinedBy(u *User) (count int) {
	for n := range s.owned(u) {
		if n.joinedBy(u) {
			count++
		}
	}
	return count
}
