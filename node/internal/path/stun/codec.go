package stun

import (
	"net/netip"

	"github.com/pion/stun/v3"
)

const (
	headerSize = 20
	// MaxSize bounds the messages that are read at all, in bytes. Servers add
	// their software's name and their other addresses, far less than this.
	MaxSize = 256
)

// Is tells whether datagram b is a success response to a plain Binding request
// (RFC 8489): one without MESSAGE-INTEGRITY. The answers to path probes, which
// have it, and WireGuard's messages are not. It does not allocate.
func Is(b []byte) bool { return success(b) && !signed(b) }

// success looks at the fixed places of a Binding success response (RFC 8489,
// section 5).
func success(b []byte) bool {
	return len(b) >= headerSize && len(b) <= MaxSize &&
		b[0] == 0x01 && b[1] == 0x01 &&
		int(b[2])<<8|int(b[3]) == len(b)-headerSize &&
		b[4] == 0x21 && b[5] == 0x12 && b[6] == 0xA4 && b[7] == 0x42
}

// signed tells whether a message has MESSAGE-INTEGRITY or its successor.
func signed(b []byte) bool {
	for b = b[headerSize:]; len(b) >= 4; {
		if b[0] == 0 && (b[1] == 0x08 || b[1] == 0x1C) {
			return true
		}
		size := 4 + (int(b[2])<<8|int(b[3])+3)&^3
		if size > len(b) {
			return false
		}
		b = b[size:]
	}
	return false
}

// request writes a Binding request: the header alone, which names no software.
func request(id ID) []byte {
	m := stun.New()
	m.Type, m.TransactionID = stun.BindingRequest, id
	m.WriteHeader()
	return m.Raw
}

// parse reads what Is let through. An answer without a usable address, or with
// an attribute that must be understood and is not, is none (RFC 8489, section
// 6.3.3).
func parse(b []byte) (id ID, mapped netip.AddrPort, ok bool) {
	if !Is(b) {
		return id, mapped, false
	}
	m := stun.New()
	if _, err := m.Write(b); err != nil {
		return id, mapped, false
	}
	for _, a := range m.Attributes {
		if a.Type.Required() && !understood(a.Type) {
			return id, mapped, false
		}
	}
	mapped, ok = address(m)
	return m.TransactionID, mapped, ok
}

// understood are the attributes that answers to a plain request may hold;
// MAPPED-ADDRESS is known and not believed, because NATs rewrite what looks like
// an address of theirs.
func understood(t stun.AttrType) bool {
	return t == stun.AttrXORMappedAddress || t == stun.AttrMappedAddress
}

func address(m *stun.Message) (netip.AddrPort, bool) {
	var x stun.XORMappedAddress
	v, err := m.Get(stun.AttrXORMappedAddress)
	if err != nil || x.GetFrom(m) != nil || len(x.IP) != len(v)-4 {
		return netip.AddrPort{}, false // the library fills a short one up with zeros
	}
	addr, _ := netip.AddrFromSlice(x.IP)
	return netip.AddrPortFrom(addr, uint16(x.Port)), usable(addr) && x.Port != 0
}

// usable tells whether a is the address of one machine, reachable from another
// link than its own.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
