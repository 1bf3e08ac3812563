// Package stock reads the file that names this node's stock peers: plain WireGuard
// clients, such as a vendor's modality, that an admin sets up by hand and that this
// node fronts. It also writes what goes into the client's own configuration.
//
// The file speaks wg(8)'s language, which is what such an admin knows:
//
//	[Peer]
//	Name = ct-3
//	PublicKey = the client's, as `wg pubkey` prints it
//	AllowedIPs = 10.99.0.2/32, fd99::2/128
//	Endpoint = 192.0.2.7:51820        # or nothing: it calls
//	PersistentKeepalive = 25          # or nothing; seconds
//
// An address of a stock peer lies in a prefix that the node is told to keep for
// them, and that nothing else is behind. Whatever is not understood refuses the
// whole file: half of it would be a guess at who may come in. Errors name file and
// line and what is allowed, and never repeat a key.
//
// What a peer may do is not said here: that is the policy's, by its address.
package stock

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Peer is one stock peer.
type Peer struct {
	Name      string // RFC 1123 label in lower case; unique
	Key       key.TunnelPublic
	Allowed   []netip.Prefix // sorted; no two overlap, of whatever peers
	Endpoint  netip.AddrPort // zero: not known before it calls
	Keepalive time.Duration  // whole seconds; 0: none
	Line      int            // of its section in the file
}

// Bounds of a file. A peer costs a tunnel for as long as it is there.
const (
	maxFile    = 256 << 10
	maxPeers   = 256
	maxAllowed = 16
	maxName    = 63
)

// Limits is what a file is held against.
type Limits struct {
	Prefixes []netip.Prefix   // that are kept for stock peers
	Own      key.TunnelPublic // of this node, which is no peer of itself
}

// covers tells whether one of the prefixes holds all of p.
func (l *Limits) covers(p netip.Prefix) bool {
	return slices.ContainsFunc(l.Prefixes, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Overlaps(p) })
}
