// Package ipam hands out the mesh's addresses: from each range the next one
// that nobody ever had.
//
// A [Pool] is a value: a range and the next address to look at. Taking one gives
// the address and the pool that comes after; the pool that was asked is as it
// was. Since the mark only moves forward, an address is never given twice in the
// life of the mesh, not even after its node was removed: a rule, a log line or a
// flow that names an address means one machine for ever. The price is that a
// range empties with the nodes that ever were, not with those that are; 100.64.0.0/10
// has room for four million.
//
// Addresses that mean something else are left out: a range's first address, an
// IPv4 range's last (broadcast), and in 100.64.0.0/10 the address on which other
// meshes answer names and the block that ChromeOS keeps for its containers.
//
// What it leaves to others: the registry keeps pools in its state, so that an
// address is taken in the transaction that gives it to a node. The package
// imports nothing of ours.
package ipam

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
)

// ErrExhausted is returned when a range has no address left.
var ErrExhausted = errors.New("the address range is used up")

// ErrRange is returned for a prefix that can't be a mesh's range.
var ErrRange = errors.New("not usable as an address range")

// DefaultIPv4 is the shared address space of RFC 6598.
func DefaultIPv4() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/10") }

// RandomULA makes an IPv6 unique local /48 with a random global id (RFC 4193,
// section 3.2.2), so that two hospitals that merge do not collide.
func RandomULA() netip.Prefix {
	var b [16]byte
	rand.Read(b[:6]) // never fails: crypto/rand ends the process without entropy
	b[0] = 0xfd
	return netip.PrefixFrom(netip.AddrFrom16(b), 48)
}

// Pool is a range and how far it was handed out. The zero Pool gives nothing.
// Its JSON form is part of the registry's checkpoint.
type Pool struct {
	Range netip.Prefix `json:"range"`
	Next  netip.Addr   `json:"next"` // the first address that nobody ever had; zero: none is left
}

// New makes the pool of a range. The range must be canonical (no bits beyond
// its length), a /8 to /30 for IPv4 or a /32 to /120 for IPv6.
func New(prefix netip.Prefix) (Pool, error) {
	if !prefix.IsValid() || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
		return Pool{}, fmt.Errorf("%w: %q is not a canonical prefix such as 100.64.0.0/10", ErrRange, prefix)
	}
	least, most := 8, 30
	if prefix.Addr().Is6() {
		least, most = 32, 120
	}
	if prefix.Bits() < least || prefix.Bits() > most {
		return Pool{}, fmt.Errorf("%w: %v: want a length from /%d to /%d", ErrRange, prefix, least, most)
	}
	return Pool{Range: prefix, Next: prefix.Addr().Next()}, nil
}

// Take gives the next address and the pool without it. It fails with
// ErrExhausted when none is left.
func (p Pool) Take() (netip.Addr, Pool, error) {
	addr := p.usable(p.Next)
	if !addr.IsValid() {
		return netip.Addr{}, p, fmt.Errorf("%w: %v has given an address to as many nodes as it ever can; "+
			"a mesh with a larger range takes more", ErrExhausted, p.Range)
	}
	p.Next = addr.Next()
	if !p.Range.Contains(p.Next) {
		p.Next = netip.Addr{}
	}
	return addr, p, nil
}

// Skip moves the mark by n addresses, or by less, so that at most one part in
// 16 of what remains is given up. A registry restored from an old backup skips
// the addresses that it may have given to nodes which it no longer knows.
func (p Pool) Skip(n uint32) Pool {
	for p.Next.IsValid() && n > p.room()/16 {
		n /= 2
		if n == 0 {
			return p
		}
	}
	p.Next = add(p.Next, n)
	return p
}

// usable gives the first address from a on that may be given out, or the zero
// address.
func (p Pool) usable(a netip.Addr) netip.Addr {
	for a.IsValid() && p.Range.Contains(a) {
		block, reserved := reservedAt(a)
		if !reserved {
			if a.Is4() && a == last(p.Range) {
				return netip.Addr{}
			}
			return a
		}
		a = last(block).Next()
	}
	return netip.Addr{}
}

// reservedAt gives the reserved block that holds a.
func reservedAt(a netip.Addr) (netip.Prefix, bool) {
	for _, block := range [...]netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 100, 100, 100}), 32),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 115, 92, 0}), 23),
	} {
		if block.Contains(a) {
			return block, true
		}
	}
	return netip.Prefix{}, false
}
