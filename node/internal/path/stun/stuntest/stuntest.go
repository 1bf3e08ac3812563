// Package stuntest plays a STUN server in tests of those who ask one.
package stuntest

import (
	"net/netip"

	"github.com/pion/stun/v3"
)

// AppendAnswer appends to dst the success response to a client seen at from, if
// datagram is a plain Binding request (RFC 8489). Whatever is not, or asks for
// what such a server lacks, gets no answer.
func AppendAnswer(dst, datagram []byte, from netip.AddrPort) (out []byte, ok bool) {
	m := stun.New()
	if err := stun.Decode(datagram, m); err != nil || m.Type != stun.BindingRequest || !from.IsValid() {
		return dst, false
	}
	for _, a := range m.Attributes {
		if a.Type.Required() {
			return dst, false
		}
	}
	seen := stun.XORMappedAddress{IP: from.Addr().Unmap().AsSlice(), Port: int(from.Port())}
	answer, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, &seen)
	if err != nil {
		return dst, false
	}
	return append(dst, answer.Raw...), true
}
