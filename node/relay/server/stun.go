package server

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"
)

// What one source may ask of the STUN responder. A node asks a few times a
// minute; a hospital of them stands behind one address.
const (
	stunRate  = 200 // answers a second
	stunLong  = 576 // bytes of the longest request that is looked at
	stunSlots = 4096
)

// RespondSTUN answers Binding requests (RFC 8489) on conn with the address that
// they came from, until ctx is done: by it nodes learn where their NATs have put
// them. It closes conn; its error is that somebody else did.
//
// An answer holds XOR-MAPPED-ADDRESS alone. It is at most 24 bytes longer than
// the shortest request, and a source gets 200 a second: who forges a victim's
// address sends it nothing that it could not send itself. What is not a plain
// request is not answered. An answer leaves from the address that was asked: of a
// machine with several, another's would find no way back through a NAT, and no
// belief.
func RespondSTUN(ctx context.Context, conn net.PacketConn) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	in, out := make([]byte, stunLong+1), new(stun.Message)
	limit := newStunLimit()
	request := new(stun.Message)
	socket := newAnswering(conn)
	for {
		n, from, err := socket.ReadFrom(in)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil || n > stunLong {
			continue // an ICMP error that a former answer earned, or too long
		}
		at, err := netip.ParseAddrPort(from.String())
		if err != nil || !plainRequest(request, in[:n]) || !limit.permits(at.Addr(), time.Now()) {
			continue
		}
		if answer(out, request, at) == nil {
			_, _ = socket.WriteTo(out.Raw, from)
		}
	}
}

// plainRequest decodes b and tells whether it is a Binding request that needs
// nothing which we do not do (RFC 8489 section 6.3.1): every attribute in it may
// be ignored.
func plainRequest(m *stun.Message, b []byte) bool {
	if !stun.IsMessage(b) {
		return false
	}
	m.Raw = append(m.Raw[:0], b...)
	if m.Decode() != nil || m.Type != stun.BindingRequest || 20+int(m.Length) != len(b) {
		return false
	}
	for _, a := range m.Attributes {
		if a.Type.Required() {
			return false
		}
	}
	return true
}

func answer(m, request *stun.Message, at netip.AddrPort) error {
	a := at.Addr().Unmap()
	return m.Build(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: a.AsSlice(), Port: int(at.Port())})
}

// stunLimit is a token bucket for each slot, into which sources fall by a secret
// hash: its size does not follow how many addresses somebody makes up.
type stunLimit struct {
	seed  maphash.Seed
	slots [stunSlots]bucket
}

func newStunLimit() *stunLimit { return &stunLimit{seed: maphash.MakeSeed()} }

func (l *stunLimit) permits(a netip.Addr, now time.Time) bool {
	slot := &l.slots[maphash.Comparable(l.seed, sourceOf(a))%stunSlots]
	if slot.rate == 0 {
		*slot = newBucket(stunRate, 1, now)
	}
	if slot.wait(now) > 0 {
		return false
	}
	slot.take(now, 1)
	return true
}
