package wire

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

const digestDomain = "cordon map digest v1"

// Digest is the SHA-256 by which both sides see whether they hold the same map.
// It is no proof of anything: where digests differ, the answer is a Full.
type Digest [sha256.Size]byte

// Digest gives m's digest. Positions are not part of it.
func (m Map) Digest() Digest {
	peers := make(map[string]Digest, len(m.Peers))
	for id, p := range m.Peers {
		peers[id] = PeerDigest(p)
	}
	return CombineDigest(SelfDigest(m.Self), peers, RulesDigest(m.Rules))
}

// PeerDigest gives a peer's part. It is the same in the map of every node that
// may know the peer, so a coordinator can keep it.
func PeerDigest(p PeerRecord) Digest { return sha256.Sum256(canonical(p.Proto())) }

// SelfDigest gives the part of the node itself.
func SelfDigest(s SelfRecord) Digest { return sha256.Sum256(canonical(s.Proto())) }

// RulesDigest gives the part of the rule set.
func RulesDigest(r acl.RuleSet) Digest {
	_, digest := EncodeRules(r)
	return digest
}

// EncodeRules gives a rule set as it travels, with its part of the digest. Both are the
// same for every node with that set, so a coordinator can keep them.
func EncodeRules(r acl.RuleSet) ([]byte, Digest) {
	b := canonical(RulesProto(r))
	return b, sha256.Sum256(b)
}

// CombineDigest gives the digest of a map from its parts: the SHA-256 of a
// domain string, the node's part, the number of peers (8 bytes, big-endian),
// the peers' parts in the order of their ids, and the rule set's part.
func CombineDigest(self Digest, peers map[string]Digest, rules Digest) (out Digest) {
	h := sha256.New()
	h.Write([]byte(digestDomain))
	h.Write(self[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(peers))))
	for _, id := range slices.SortedFunc(maps.Keys(peers), cmp.Compare[string]) {
		d := peers[id]
		h.Write(d[:])
	}
	h.Write(rules[:])
	h.Sum(out[:0])
	return out
}
