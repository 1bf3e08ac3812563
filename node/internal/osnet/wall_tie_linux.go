package osnet

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tie holds the addresses of seats to their accounts: a packet's socket tells whose
// it is, by the account under which it was opened.
//
// A socket that its program has closed is nobody's any more, and still has data to
// send, and its peer's last words to answer. Only the kernel sends so, and only where
// there was a connection, whose beginning had a socket; so what begins none passes. No
// connection tracking is needed for that, which the whole machine would pay for.
//
// An IPv6 socket sends on with an address that the machine has no more: it may do so
// anywhere but into the tunnel.
//
// Address translation comes after that, so what it makes is judged again: with it any
// packet could become somebody's, and none begins a connection so.
//
// Root can send with any address beneath all this (a packet socket on the TUN).
func (p *plan) tie(out *nftables.Chain, tun string) {
	p.tied(out, "tied", prohibit())
	p.rule(out, "of nobody here", towards(tun), by("mesh4"), byNone("own4"), count(), drop())
	p.rule(out, "of nobody here, IPv6", towards(tun), by("mesh6"), byNone("own6"), count(), drop())
	// A refusal is heard on the way there alone.
	p.tied(p.hook("postrouting", nftables.ChainHookPostrouting, late), "translated", drop())
}

// tied has a chain judge what is sent with the addresses of seats.
func (p *plan) tied(from *nftables.Chain, name string, refuse []expr.Any) {
	tied := p.chain(name)
	p.rule(from, "of people here", by("seats4"), jump(tied))
	p.rule(from, "of people here, IPv6", by("seats6"), jump(tied))
	p.rule(tied, "to this machine itself", towards("lo"), back())
	p.rule(tied, "by its account", bySitting("sitting4"), back())
	p.rule(tied, "by its account, IPv6", bySitting("sitting6"), back())
	p.rule(tied, "by another account", byAnybody(), count(), refuse)
	p.rule(tied, "of a closed connection", goesOn(), back())
	p.rule(tied, "by no account", count(), drop())
}

// addSitting adds the set of seats' addresses, and that of addresses with accounts.
func (p *plan) addSitting(family string, is4 bool, seats []Seat) {
	var alone, pairs []nftables.SetElement
	for _, s := range seats {
		for _, e := range singles(is4, s.Addresses) {
			alone = append(alone, e)
			pairs = append(pairs, nftables.SetElement{Key: binary.NativeEndian.AppendUint32(e.Key, s.UID)})
		}
	}
	p.addSet("seats"+family, is4, alone)
	set := p.addSet("sitting"+family, is4, pairs)
	set.Concatenation, set.KeyType = true, nftables.MustConcatSetType(set.KeyType, nftables.TypeUID)
}

func back() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}} }

func byNone(set string) []expr.Any {
	parts := by(set)
	parts[len(parts)-1].(*expr.Lookup).Invert = true
	return parts
}

// bySitting compares source and account with a set of both, which stand in registers
// of four bytes, one behind the other.
func bySitting(set string) []expr.Any {
	parts := by(set)
	at := parts[len(parts)-2].(*expr.Payload)
	at.DestRegister = unix.NFT_REG32_00
	return append(parts[:len(parts)-1],
		&expr.Meta{Key: expr.MetaKeySKUID, Register: at.DestRegister + at.Len/4},
		&expr.Lookup{SourceRegister: at.DestRegister, SetName: set})
}

// byAnybody matches what a socket sends that some program has open.
func byAnybody() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeySKUID, Register: 1}, &expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: make([]byte, 4)}}
}

// goesOn matches TCP that asks for no connection.
func goesOn() []expr.Any {
	const flags, syn = 13, 0x02 // RFC 9293, section 3.1
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equals([]byte{unix.IPPROTO_TCP}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flags, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{syn}, Xor: []byte{0}}, equals([]byte{0}),
	}
}
