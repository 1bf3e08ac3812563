package filter

import (
	"math/bits"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// key names a flow as this node sees it, whichever way a packet goes: our
// address, the peer's, and a word of all else:
//
//	bits 0-15  the peer's port, or an ICMP type
//	bits 16-31 our port, or an ICMP identifier
//	bits 32-39 the protocol
//	bit  40    the peer asks (ICMP): a query the other way is another flow
//	bit  41    ICMP without question and answer: every packet is a question
//	bit  48    set in every key, so that the zero key is no flow's
type key struct {
	own, peer packet.Addr
	word      uint64
}

// is compares keys, the part first in which two of them differ most often.
func (k *key) is(o *key) bool {
	return k.word == o.word && k.peer == o.peer && k.own == o.own
}

// hashed is a key with its hash, which is worked out once for each packet.
type hashed struct {
	key
	hash uint32
}

const (
	protoShift = 32
	peerAsks   = 1 << 40
	oneWayICMP = 1 << 41
	keyUsed    = 1 << 48
)

// portsWord is the word of a packet with ports.
func portsWord(proto acl.Protocol, own, peer uint16) uint64 {
	return keyUsed | uint64(proto)<<protoShift | uint64(own)<<16 | uint64(peer)
}

// keyOf gives the key of the flow that f, going in a direction, belongs to.
func keyOf(d Direction, f *packet.Flow) key {
	k := key{own: f.Src, peer: f.Dst}
	own, peer := f.SrcPort, f.DstPort
	if d == In {
		k.own, k.peer = f.Dst, f.Src
		own, peer = peer, own
	}
	switch {
	case f.Shape == packet.Ports:
		k.word = portsWord(f.Proto, own, peer)
	case f.Shape == packet.Query || f.Shape == packet.Answer:
		k.word = portsWord(f.Proto, f.SrcPort, uint16(f.Type))
		if (d == In) == (f.Shape == packet.Query) {
			k.word |= peerAsks
		}
	case isICMP(f):
		k.word = portsWord(f.Proto, 0, uint16(f.Type)) | oneWayICMP
		if d == In {
			k.word |= peerAsks
		}
	default:
		k.word = portsWord(f.Proto, 0, 0)
	}
	return k
}

func isICMP(f *packet.Flow) bool {
	if f.Src.Is4() {
		return f.Proto == acl.ICMP
	}
	return f.Proto == acl.ICMPv6
}

func (k *key) proto() acl.Protocol { return acl.Protocol(k.word >> protoShift) }
func (k *key) ownPort() uint16     { return uint16(k.word >> 16) }
func (k *key) peerPort() uint16    { return uint16(k.word) }

// isICMP reports whether the flow is ICMP of its own family.
func (k *key) isICMP() bool {
	if k.own.Is4() {
		return k.proto() == acl.ICMP
	}
	return k.proto() == acl.ICMPv6
}

// wish is what the flow wants if it began in a direction.
func (k *key) wish(d Direction) wish {
	w := wish{proto: k.proto()}
	switch {
	case w.proto.HasPorts():
		w.port = k.peerPort()
		if d == In {
			w.port = k.ownPort()
		}
	case k.isICMP() && k.word&oneWayICMP == 0 && (k.peerPort() == 8 || k.peerPort() == 128):
		w.kind = wishAny
	default:
		w.kind = wishWhole
	}
	return w
}

// seed makes the hash unpredictable: without it a peer that may send to a few
// ports could choose addresses and ports that all fall into one place.
type seed [5]uint64

// hash folds the key by multiplications with the secret. It gives the upper
// bits to find a place, all of it to tell entries apart.
func (s *seed) hash(k *key) uint32 {
	ownHi, ownLo := k.own.Words()
	peerHi, peerLo := k.peer.Words()
	h := fold(ownHi^s[0], ownLo^s[1]) ^ fold(peerHi^s[2], peerLo^s[3])
	h = fold(h^s[4], k.word^s[0])
	return uint32(h>>32) ^ uint32(h)
}

// hashed gives a key with its hash.
func (s *seed) hashed(k key) hashed { return hashed{k, s.hash(&k)} }

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
