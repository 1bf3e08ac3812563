// Package plane is the vocabulary between the engine, which knows what the map
// permits, and a data plane, which carries packets: the whole desired state
// goes down as one [Config], what happened comes back as [Stats].
//
// Promises that every plane keeps, and that planetest checks:
//
//   - It denies everything until the first Configure succeeded, and again
//     after a Configure that it could not carry out.
//   - Rights are narrowed before they are widened: a peer that is gone is
//     removed, then the new rule set is loaded, then new peers are added.
//   - What did not change is not touched: live sessions outlive a Configure.
//   - A packet's identity is its inner source address, and that counts only if
//     the peer whose key opened the packet owns it. At a machine of several people
//     each has an address of their own, and is judged by what they are; nobody opens
//     a flow to it.
//   - Once Done is closed, nothing passes, and nothing leaves in clear.
//   - A stock peer is a peer to this node and behind it to the others: what they say
//     to each other passes from tunnel to tunnel, judged once in each direction, and
//     what this machine sends in its name does not.
//   - A peer costs something only while there is something to carry: a packet that
//     the rules permit brings it in, and so does its own handshake; nothing that
//     they refuse does. Neither coming nor going loses a packet.
//
// The package decides nothing and starts nothing. It leaves the choice of peers
// to the engine, paths to the transport, addresses and routes to the OS layer.
package plane

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// DefaultMTU of the tunnel: the least that IPv6 permits, so that it fits
// through every underlay, a relay and another VPN included.
const DefaultMTU = 1280

// Plane carries packets between this node's interface and its peers, and judges
// each of them. All methods may be called by several goroutines.
type Plane interface {
	// Configure makes the plane as cfg says, by the smallest change. After an
	// error nothing is permitted until a later Configure succeeds.
	Configure(ctx context.Context, cfg Config) error

	// Renew tells of a lease: the policy time from which holds count on.
	Renew(lease time.Time)

	// Stats tells what the plane did so far.
	Stats() (Stats, error)

	// Explain judges a made-up new flow without touching any state. If a limit is
	// reached it gives the policy time until which it is; else the zero time.
	Explain(q Question) (v acl.Verdict, until time.Time)

	// Flows gives the records of the flow log from number from on, the oldest first; the
	// number to ask for next; and how many were overwritten before this reader came.
	Flows(from uint64) (all []FlowRecord, next, lost uint64)

	// Done is closed when the plane has ended, by Close or because its
	// interface died; Err then tells why, and is nil after Close.
	Done() <-chan struct{}
	Err() error

	// Close ends the plane and waits until all of it has ended.
	Close() error
}

// Config is the whole desired state of a plane.
type Config struct {
	Revision uint64 // of the map; named in every verdict and record

	TunnelKey  key.TunnelPrivate
	ListenPort uint16 // UDP; 0 leaves the choice to the bind

	Self  Self
	Peers []Peer
	Rules acl.RuleSet

	// Mesh holds the address ranges of the mesh. A destination in them that no
	// peer owns is refused at once.
	Mesh []netip.Prefix

	// Lease is the policy time of the last word from the coordinator, from
	// which a rule's Hold counts.
	Lease time.Time
}

// Self is what the rules need to know of this node and of what is behind it.
type Self struct {
	Prefixes []acl.PrefixClass
	Owner    acl.Owner
	Facts    []acl.FactEnd
	Seats    []acl.Seat // of those who work here, each by themselves
}

// Peer is a node that this one may talk to.
type Peer struct {
	ID        string // node id; unique, for life
	Name      string // for people
	TunnelKey key.TunnelPublic

	// Allowed holds the inner addresses that this peer speaks for: its own, those
	// of its seats, and those of the routes that are approved behind it. No two
	// peers share one.
	Allowed []netip.Prefix

	Prefixes []acl.PrefixClass
	Owner    acl.Owner
	Facts    []acl.FactEnd
	Seats    []acl.Seat

	Stock *Stock // nil: a node of the mesh
}

// Endpoint gives the text of the peer's one virtual endpoint, which the
// transport's bind resolves to wherever its path leads at the moment.
func (p Peer) Endpoint() string { return "cordon:" + p.ID }

// Validate finds what would make a plane ambiguous: two peers with one id or
// one key, a prefix that two peers speak for, a zero key.
func (c *Config) Validate() error {
	if c.TunnelKey.IsZero() {
		return fmt.Errorf("configure plane at revision %d: no tunnel key", c.Revision)
	}
	ids := make(map[string]bool, len(c.Peers))
	keys := make(map[key.TunnelPublic]string, len(c.Peers))
	owners := make(map[netip.Prefix]string)
	for i := range c.Peers {
		p := &c.Peers[i]
		if !goodID(p.ID) || ids[p.ID] {
			return fmt.Errorf("configure plane at revision %d: peer id %q is no id, or is there twice", c.Revision, p.ID)
		}
		ids[p.ID] = true
		if other, ok := keys[p.TunnelKey]; ok || p.TunnelKey.IsZero() {
			return fmt.Errorf("configure plane at revision %d: peer %s has no tunnel key, or that of %q", c.Revision, p.ID, other)
		}
		keys[p.TunnelKey] = p.ID
		if p.Stock != nil {
			if err := p.Stock.validate(); err != nil {
				return fmt.Errorf("configure plane at revision %d: stock peer %s: %w", c.Revision, p.ID, err)
			}
		}
		for _, prefix := range p.Allowed {
			other, ok := owners[prefix]
			if ok || !prefix.IsValid() || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
				return fmt.Errorf("configure plane at revision %d: prefix %s of peer %s is not canonical, or is also that of %q",
					c.Revision, prefix, p.ID, other)
			}
			owners[prefix] = p.ID
		}
	}
	return nil
}

// goodID keeps out what would end a line, or a word, in a text that is made for
// a plane's back end.
func goodID(id string) bool {
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return id != "" && len(id) <= 128
}
