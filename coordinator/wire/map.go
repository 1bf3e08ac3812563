package wire

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Position says where in a mesh's history a map stands. The zero position is
// before everything.
type Position struct {
	Incarnation uint64 // raised by a restore from backup
	Revision    uint64 // raised by every change
	Epoch       uint64 // raised by every revocation
}

// Compare orders positions by incarnation, then epoch, then revision.
func (p Position) Compare(o Position) int {
	return cmp.Or(cmp.Compare(p.Incarnation, o.Incarnation),
		cmp.Compare(p.Epoch, o.Epoch), cmp.Compare(p.Revision, o.Revision))
}

// Map is everything that one node knows, folded from a Full and the Deltas
// since. A Map is immutable: Apply makes another. The zero Map is no map, and
// permits nothing.
//
// A Map that came from [State.Fold] or [Replay] is valid; one put together by
// hand is checked by Validate.
type Map struct {
	Incarnation, Revision, Epoch uint64

	Self  SelfRecord
	Peers map[string]PeerRecord // by PeerRecord.ID
	Rules acl.RuleSet
}

// Position gives the map's place in history.
func (m Map) Position() Position {
	return Position{Incarnation: m.Incarnation, Revision: m.Revision, Epoch: m.Epoch}
}

// IsZero tells whether m is no map at all.
func (m Map) IsZero() bool { return m.Self.ID == "" }

func (m Map) at(p Position) Map {
	m.Incarnation, m.Revision, m.Epoch = p.Incarnation, p.Revision, p.Epoch
	return m
}

// SelfRecord is what a node is told about itself. Slices are sorted and without
// duplicates; nobody may write to them.
type SelfRecord struct {
	ID      string
	Name    string // RFC 1123 label
	NodeKey key.NodePublic

	Addresses []netip.Addr
	Routes    []netip.Prefix // approved prefixes behind this node

	// Prefixes gives classes to Addresses and Routes, and to parts of Routes
	// that the policy tells apart: the longest match holds. What no rule names
	// need not be in it.
	Prefixes []acl.PrefixClass
	Owner    acl.Owner
	Facts    []acl.FactEnd

	Ranges  []netip.Prefix // the mesh's address ranges
	Domain  string         // names are NAME.Domain; may be empty
	Pending bool           // waits for approval: no peers and no rules yet
	Tags    []string
	User    string // login of the owner; empty for a tagged node

	Sessions []Session // of the people at this node, by ascending ids
	SignIn   bool      // what people may, they may only while signed in

	Until time.Time // by policy time, exclusive: this node is in the mesh until then; zero: without end
	Seats []Seat    // of the sessions that have one, by ascending sessions
	// ActiveEvery is how often the node tells that its people do something, in whole
	// milliseconds; 0: never.
	ActiveEvery time.Duration
}

// PeerRecord is what a node is told about one peer. Slices are sorted and
// without duplicates; nobody may write to them.
type PeerRecord struct {
	ID      string
	Name    string // RFC 1123 label
	NodeKey key.NodePublic

	// Statement is the peer's own word on the keys below, signed by NodeKey; nil
	// and both keys zero while the peer has stated nothing. In a valid Map the
	// keys are those of the statement.
	Statement *Statement
	TunnelKey key.TunnelPublic
	PathKey   key.PathPublic

	Addresses []netip.Addr
	Routes    []netip.Prefix    // approved prefixes behind the peer
	Prefixes  []acl.PrefixClass // as in SelfRecord
	Owner     acl.Owner
	Facts     []acl.FactEnd

	Until time.Time // by policy time, exclusive: it is a peer until then; zero: without end
	Seats []Seat    // by ascending sessions
}

// Expired tells whether the end of a machine's time has come; the zero end never does.
func Expired(until, now time.Time) bool { return !until.IsZero() && !now.Before(until) }
