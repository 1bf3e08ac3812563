package probe

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"

	"github.com/pion/stun/v3"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Message is an authentic probe.
type Message struct {
	Kind Kind
	ID   ID
	// Mapped is where the answerer saw the request come from. Valid iff Kind is
	// Answer.
	Mapped netip.AddrPort
	// Addresses are where the caller may be probed, as it says. Valid iff Kind is
	// Call, and until the codec is used again.
	Addresses []netip.AddrPort
}

// Codec writes and reads probes. It keeps its buffers, so one goroutine uses it
// at a time.
type Codec struct {
	in, out   *stun.Message
	padding   []byte // zeros
	addresses [MaxAddresses]netip.AddrPort
}

// NewCodec makes a codec.
func NewCodec() *Codec {
	// Strict: what follows the integrity attribute is not authentic and must
	// not be looked at.
	return &Codec{in: stun.NewWithOptions(stun.WithStrict(true)), out: stun.New()}
}

// AppendRequest appends to dst a request from sender to receiver under their
// pairwise key, and returns the longer slice.
func (c *Codec) AppendRequest(dst []byte, id ID, receiver, sender Short, k *key.ProbeKey) []byte {
	c.begin(stun.BindingRequest, id)
	c.addUsername(receiver, sender)
	return c.finish(dst, k)
}

// AppendPadded appends to dst a request that is size bytes long, and returns the
// longer slice. Sizes are rounded down to a multiple of 4, as STUN has it, and
// kept between MinPadded and MaxPadded.
func (c *Codec) AppendPadded(dst []byte, id ID, receiver, sender Short, size int, k *key.ProbeKey) []byte {
	more := min(max(size, MinPadded), MaxPadded)&^3 - MinPadded
	if len(c.padding) < more {
		c.padding = make([]byte, more)
	}
	c.begin(stun.BindingRequest, id)
	c.addUsername(receiver, sender)
	c.out.Add(stun.AttrPadding, c.padding[:more])
	return c.finish(dst, k)
}

// AppendCall appends to dst a call from sender to receiver, which names the
// first MaxAddresses of at, and returns the longer slice.
func (c *Codec) AppendCall(dst []byte, id ID, receiver, sender Short, at []netip.AddrPort, k *key.ProbeKey) []byte {
	c.begin(stun.NewType(stun.MethodBinding, stun.ClassIndication), id)
	c.addUsername(receiver, sender)
	for _, a := range at[:min(len(at), MaxAddresses)] {
		must(xorAddress(a).AddToAs(c.out, stun.AttrXORPeerAddress))
	}
	return c.finish(dst, k)
}

func (c *Codec) addUsername(receiver, sender Short) {
	var name [usernameSize]byte
	hex.Encode(name[:], receiver[:])
	name[hexSize] = ':'
	hex.Encode(name[hexSize+1:], sender[:])
	c.out.Add(stun.AttrUsername, name[:])
}

func xorAddress(a netip.AddrPort) stun.XORMappedAddress {
	return stun.XORMappedAddress{IP: a.Addr().Unmap().AsSlice(), Port: int(a.Port())}
}

// AppendAnswer appends to dst the answer to request id, which was seen to come
// from mapped, and returns the longer slice.
func (c *Codec) AppendAnswer(dst []byte, id ID, mapped netip.AddrPort, k *key.ProbeKey) []byte {
	c.begin(stun.BindingSuccess, id)
	must(xorAddress(mapped).AddTo(c.out))
	return c.finish(dst, k)
}

func (c *Codec) begin(kind stun.MessageType, id ID) {
	c.out.Reset()
	c.out.Type, c.out.TransactionID = kind, id
	c.out.WriteHeader()
}

func (c *Codec) finish(dst []byte, k *key.ProbeKey) []byte {
	must(stun.MessageIntegrity(k[:]).AddTo(c.out))
	return append(dst, c.out.Raw...)
}

// must stops on an error that only a bug of ours can cause: an address that is
// neither IPv4 nor IPv6, attributes added out of order.
func must(err error) {
	if err != nil {
		panic("probe: " + err.Error())
	}
}

// Open checks a message that Peek let through, under the pairwise key. It
// returns ErrMalformed or ErrIntegrity; their details never leave this machine.
func (c *Codec) Open(b []byte, k *key.ProbeKey) (m Message, err error) {
	h, ok := Peek(b)
	if !ok {
		return m, ErrMalformed
	}
	if _, err := c.in.Write(b); err != nil {
		return m, fmt.Errorf("%w: attributes do not fit", ErrMalformed)
	}
	if err := stun.MessageIntegrity(k[:]).Check(c.in); err != nil {
		return m, ErrIntegrity
	}
	for _, a := range c.in.Attributes {
		if a.Type.Required() && !understood(a.Type) {
			return m, fmt.Errorf("%w: unknown attribute %#04x must be understood", ErrMalformed, a.Type.Value())
		}
	}
	m.Kind, m.ID = h.Kind, h.ID
	switch m.Kind {
	case Answer:
		m.Mapped, err = c.mapped()
	case Call:
		m.Addresses, err = c.peerAddresses()
	}
	return m, err
}

func understood(t stun.AttrType) bool {
	switch t {
	case stun.AttrUsername, stun.AttrXORMappedAddress, stun.AttrXORPeerAddress, stun.AttrMessageIntegrity, stun.AttrPadding,
		stun.AttrPriority, stun.AttrUseCandidate:
		return true
	}
	return false
}

// peerAddresses reads the addresses of a call into the codec's own array.
func (c *Codec) peerAddresses() ([]netip.AddrPort, error) {
	list := c.addresses[:0]
	for _, a := range c.in.Attributes {
		if a.Type != stun.AttrXORPeerAddress || len(list) == MaxAddresses {
			continue
		}
		at, ok := unxor(a.Value, c.in.TransactionID)
		if !ok {
			return nil, fmt.Errorf("%w: call with an address that is neither IPv4 nor IPv6", ErrMalformed)
		}
		list = append(list, at)
	}
	return list, nil
}

// unxor reads an address that is hidden from NATs (RFC 8489 section 14.2).
func unxor(v []byte, id [12]byte) (netip.AddrPort, bool) {
	pad := [16]byte{0x21, 0x12, 0xA4, 0x42}
	copy(pad[4:], id[:])
	if !(len(v) == 8 && v[1] == 1) && !(len(v) == 20 && v[1] == 2) {
		return netip.AddrPort{}, false
	}
	port := (uint16(v[2])<<8 | uint16(v[3])) ^ 0x2112
	var raw [16]byte
	n := copy(raw[:], v[4:])
	for i := range n {
		raw[i] ^= pad[i]
	}
	addr, ok := netip.AddrFromSlice(raw[:n])
	return netip.AddrPortFrom(addr.Unmap(), port), ok
}

func (c *Codec) mapped() (netip.AddrPort, error) {
	var x stun.XORMappedAddress
	if err := x.GetFrom(c.in); err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: answer without a mapped address", ErrMalformed)
	}
	return addrPort(x.IP, x.Port), nil
}

func addrPort(ip net.IP, port int) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port))
}
