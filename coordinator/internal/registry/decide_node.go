package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func (c Enrol) decide(d *decision) error {
	if c.Key.IsZero() {
		return fmt.Errorf("enrolment without a node key: %w", ErrInvalid)
	}
	id := wire.NodeID(c.Key)
	t, ok := d.state.TokenBySecret(c.Secret)
	if !ok || t.Kind != EnrolToken {
		// No record: garbage must not be able to fill the disk.
		return fmt.Errorf("%w: no enrolment token has this secret; check that the string was copied whole", ErrToken)
	}
	if err := d.state.TokenLive(t, d.now); err != nil {
		return d.refuse("node.enrol.refuse", id, err)
	}
	if r, revoked := d.state.Revoked(c.Key); revoked {
		return d.refuse("node.enrol.refuse", id, fmt.Errorf("%w at epoch %d; make a new key to enrol this machine", ErrRevokedKey, r.Epoch))
	}
	if known, ok := d.state.NodeByKey(c.Key); ok {
		if known.Token == t.ID {
			d.result.Node, d.result.Token = known, t
			return nil
		}
		return d.refuse("node.enrol.refuse", id, fmt.Errorf("%w as %q; it needs no token, or remove it first", ErrKnownKey, known.Name))
	}
	if t.UsesLeft == 0 {
		return d.refuse("node.enrol.refuse", id, fmt.Errorf("%w: token %s is spent; ask for a new one", ErrToken, t.ID))
	}
	n, err := d.newNode(c, t)
	if err != nil {
		return d.refuse("node.enrol.refuse", id, err)
	}
	return d.enrol(n)
}

// newNode makes the node of an enrolment, without addresses.
func (d *decision) newNode(c Enrol, t *Token) (*Node, error) {
	n := &Node{ID: wire.NodeID(c.Key), Name: d.state.freeName(Label(c.Name)), Key: c.Key,
		User: t.User, Tags: t.Tags, Approved: !t.NeedsApproval, Token: t.ID, Created: d.now, From: c.From.Unmap()}
	if err := n.describe(c.OS, c.Version); err != nil {
		return nil, err
	}
	return n, d.state.accept(n, c.Statement)
}

// enrol gives n its addresses and adds it.
func (d *decision) enrol(n *Node) error {
	addresses, pool4, pool6, err := d.state.takeAddresses()
	if err != nil {
		return exhausted(n.Name, err)
	}
	n.Addresses = addresses
	d.emit(NodeEnrolled{Node: *n, IPv4: pool4, IPv6: pool6})
	d.record("node.enrol", n.ID, "name %s, owner %s, addresses %v, %s, approved %t", n.Name, ownerText(n), n.Addresses, n.admittedBy(), n.Approved)
	d.result.Node, _ = d.state.Node(n.ID)
	d.result.Token, _ = d.state.Token(n.Token)
	return nil
}

// admittedBy says what vouched for the machine.
func (n *Node) admittedBy() string {
	if n.Proof != nil {
		return fmt.Sprintf("proof of %s, amr %v, acr %q, from %s", n.Proof.Login, n.Proof.AMR, n.Proof.ACR, n.From)
	}
	return "token " + n.Token
}

func exhausted(who string, err error) error {
	if !errors.Is(err, ipam.ErrExhausted) {
		return err
	}
	return fmt.Errorf("addresses for %s: %w: %w", who, ErrExhausted, err)
}

func ownerText(n *Node) string {
	if len(n.Tags) > 0 {
		return fmt.Sprint(n.Tags)
	}
	return n.User
}

// describe sets what the machine says of itself.
func (n *Node) describe(os, version string) error {
	if err := checkWord("operating system", os); err != nil {
		return err
	}
	if err := checkWord("version", version); err != nil {
		return err
	}
	n.OS, n.Version = os, version
	return nil
}

// accept verifies a statement by n's own key and lets n have the keys that it
// names. A tunnel key that another node uses is refused: it is no secret, and
// whoever claimed a second owner for it would cut the first off from all peers
// that hold both, since WireGuard knows a peer by this key alone.
func (s *State) accept(n *Node, st *wire.Statement) error {
	keys, err := wire.VerifyStatement(n.Key, st)
	if err != nil {
		return fmt.Errorf("statement of %s: %w: %w", n.ID, ErrInvalid, err)
	}
	if other, taken := s.byTunnel.Get(keys.Tunnel); taken && other != n.ID {
		return fmt.Errorf("tunnel key of %s: %w: node %s uses it; make a new one", n.ID, ErrExists, other)
	}
	n.Statement = st
	n.TunnelKey, n.PathKey, n.Sequence = keys.Tunnel, keys.Path, keys.Sequence
	return nil
}

func (c Report) decide(d *decision) error {
	n, ok := d.state.Node(c.Node)
	if !ok {
		return fmt.Errorf("report of node %q: %w", shorten(c.Node), ErrNotFound)
	}
	next := n.copy()
	if err := next.describe(c.OS, c.Version); err != nil {
		return err
	}
	if err := d.restate(n, next, c.Statement); err != nil {
		return err
	}
	routes, err := d.state.routeSet(c.Advertised)
	if err != nil {
		return err
	}
	next.Advertised = routes
	d.settle(next)
	d.change(n, next, "node.report")
	return nil
}

// restate takes a later statement over. The same one again is no change; an
// older one is a replay, or a machine whose disk was set back.
func (d *decision) restate(n, next *Node, st *wire.Statement) error {
	if st == nil || sameStatement(n.Statement, st) {
		return nil
	}
	if err := d.state.accept(next, st); err != nil {
		return err
	}
	if next.Sequence <= n.Sequence {
		return fmt.Errorf("statement of %s with sequence %d: %w: a statement with sequence %d is known; "+
			"two machines may be using one key", n.Name, next.Sequence, ErrStale, n.Sequence)
	}
	return nil
}

func sameStatement(a, b *wire.Statement) bool {
	return slices.Equal(a.GetPayload(), b.GetPayload()) && slices.Equal(a.GetSignature(), b.GetSignature())
}

func (c RemoveNode) decide(d *decision) error {
	n, err := d.node(c.Node)
	if err != nil {
		return err
	}
	d.remove(n, "node.remove")
	return nil
}

func (d *decision) remove(n *Node, action string) {
	d.emitOver(n.ID, NodeRemoved{d.revocation(n.Key, n.ID, n.Name)}, "the machine was removed")
	d.record(action, n.ID, "name %s, owner %s, epoch %d", n.Name, ownerText(n), d.state.Epoch)
	d.result.Node = n
}

func (d *decision) revocation(k key.NodePublic, id, name string) Revocation {
	return Revocation{Key: k, Node: id, Name: name, Epoch: d.state.Epoch + 1, Time: d.now}
}

func (c TagNode) decide(d *decision) error {
	n, err := d.node(c.Node)
	if err != nil {
		return err
	}
	tags, err := tagSet(c.Tags)
	if err != nil {
		return err
	}
	if len(tags) == 0 && n.User == "" {
		return fmt.Errorf("node %s without tags: %w: nobody owns it, so it keeps at least one tag; or remove it", n.Name, ErrInvalid)
	}
	d.warnUnknown(tags)
	next := n.copy()
	next.Tags = tags
	if len(tags) > 0 {
		next.Expires, next.Expired = time.Time{}, false
	}
	d.vouch(n, next)
	d.settle(next)
	d.change(n, next, "node.tag")
	return nil
}
