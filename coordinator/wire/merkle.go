package wire

import (
	"crypto/sha256"
)

// The tree of RFC 9162 section 2.1: a leaf is SHA-256(0x00 || payload), a node
// SHA-256(0x01 || left || right). The two prefixes keep an inner node from
// being shown as a leaf (second preimage).

type hash = [sha256.Size]byte

const (
	maxProof  = 24
	maxLeaves = 1 << maxProof
)

func leafHash(payload []byte) (out hash) {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(payload)
	h.Sum(out[:0])
	return out
}

func nodeHash(left, right []byte) hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left)
	copy(b[1+sha256.Size:], right)
	return sha256.Sum256(b[:])
}

// tree holds every level, leaves first, root last. A last node without a
// sibling moves up as it is, which gives the same root as the RFC's split at
// the largest power of two.
type tree [][]hash

func newTree(payloads [][]byte) tree {
	leaves := make([]hash, len(payloads))
	for i, p := range payloads {
		leaves[i] = leafHash(p)
	}
	t := tree{leaves}
	for level := leaves; len(level) > 1; {
		up := make([]hash, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			up = append(up, nodeHash(level[i][:], level[i+1][:]))
		}
		if len(level)%2 == 1 {
			up = append(up, level[len(level)-1])
		}
		t, level = append(t, up), up
	}
	return t
}

func (t tree) root() hash { return t[len(t)-1][0] }

// proof gives the siblings on the way from a leaf to the root. They share the
// tree's memory.
func (t tree) proof(leaf int) [][]byte {
	if len(t) == 1 {
		return nil
	}
	out := make([][]byte, 0, len(t)-1)
	for _, level := range t[:len(t)-1] {
		if sibling := leaf ^ 1; sibling < len(level) {
			out = append(out, level[sibling][:])
		}
		leaf /= 2
	}
	return out
}

// rootFrom walks a proof, RFC 9162 section 2.1.3.2.
func rootFrom(leaf hash, index, leaves uint32, proof [][]byte) (hash, error) {
	if leaves == 0 || leaves > maxLeaves || index >= leaves {
		return hash{}, malformed("leaf %d of %d", index, leaves)
	}
	at, last := index, leaves-1
	for _, sibling := range proof {
		if len(sibling) != sha256.Size || last == 0 {
			return hash{}, malformed("proof of wrong length")
		}
		if at&1 == 1 || at == last {
			leaf = nodeHash(sibling, leaf[:])
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			leaf = nodeHash(leaf[:], sibling)
		}
		at, last = at>>1, last>>1
	}
	if last != 0 {
		return hash{}, malformed("proof of wrong length")
	}
	return leaf, nil
}
