package packet

import (
	"encoding/binary"
	"net/netip"
)

// Addr is an IPv4 or IPv6 address in two machine words, so that a flow table
// compares and hashes it without following a pointer. IPv4 is held in its
// mapped form; Parse refuses that form in IPv6 packets, so the two never meet.
type Addr struct {
	hi, lo uint64
}

const mapped4 = 0xffff << 32

// AddrFrom gives the Addr of a, which must not be in mapped form; the zone is lost.
func AddrFrom(a netip.Addr) Addr {
	b := a.As16()
	return addr16(b[:])
}

// IP gives the address as the standard library knows it.
func (a Addr) IP() netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{byte(a.lo >> 24), byte(a.lo >> 16), byte(a.lo >> 8), byte(a.lo)})
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b)
}

// Is4 reports whether the address is IPv4.
func (a Addr) Is4() bool { return a.hi == 0 && a.lo>>32 == mapped4>>32 }

// Words gives the address as two numbers, for hashing.
func (a Addr) Words() (hi, lo uint64) { return a.hi, a.lo }

// String gives the address in its usual form.
func (a Addr) String() string { return a.IP().String() }

func addr4(b []byte) Addr { return Addr{0, mapped4 | uint64(binary.BigEndian.Uint32(b))} }

func addr16(b []byte) Addr {
	return Addr{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// Less orders addresses, IPv4 among the IPv6 ones that map it.
func (a Addr) Less(b Addr) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }
