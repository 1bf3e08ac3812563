package stun_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	pion "github.com/pion/stun/v3"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
	"github.com/cordonmesh/cordon/node/internal/path/stun"
	"github.com/cordonmesh/cordon/node/internal/path/stun/stuntest"
)

// build writes a message with pion alone, as an implementation that is not ours.
func build(t testing.TB, kind pion.MessageType, id stun.ID, setters ...pion.Setter) []byte {
	t.Helper()
	m := pion.New()
	m.Type, m.TransactionID = kind, id
	m.WriteHeader()
	for _, s := range setters {
		if err := s.AddTo(m); err != nil {
			t.Fatal(err)
		}
	}
	return m.Raw
}

func xor(a netip.AddrPort) *pion.XORMappedAddress {
	return &pion.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}
}

func TestOnlyAnswersToUsCount_A33(t *testing.T) {
	good := xor(public)
	id := stun.ID{7: 1} // of the first request
	fingerprint := pion.Fingerprint
	for _, tt := range []struct {
		name string
		from netip.AddrPort
		b    []byte
		ok   bool
	}{
		{"the answer", one, build(t, pion.BindingSuccess, id, good), true},
		{"from IPv4 in IPv6", netip.AddrPortFrom(netip.AddrFrom16(one.Addr().As16()), one.Port()), build(t, pion.BindingSuccess, id, good), true},
		{"with what servers add", one, build(t, pion.BindingSuccess, id, good, &pion.MappedAddress{IP: public.Addr().AsSlice(), Port: 1},
			pion.RawAttribute{Type: 0x802b, Value: make([]byte, 8)}, pion.NewSoftware("a server"), fingerprint), true},
		{"another address", two, build(t, pion.BindingSuccess, id, good), false},
		{"another port", oneB, build(t, pion.BindingSuccess, id, good), false},
		{"another id", one, build(t, pion.BindingSuccess, stun.ID{7: 2}, good), false},
		{"no address", one, build(t, pion.BindingSuccess, id), false},
		{"plain address only", one, build(t, pion.BindingSuccess, id, &pion.MappedAddress{IP: public.Addr().AsSlice(), Port: 1}), false},
		{"address cut short", one, build(t, pion.BindingSuccess, id, pion.RawAttribute{Type: pion.AttrXORMappedAddress, Value: []byte{0, 1, 1, 1, 1}}), false},
		{"address of the other family", one, build(t, pion.BindingSuccess, id, xor(home6)), false},
		{"no family", one, build(t, pion.BindingSuccess, id, pion.RawAttribute{Type: pion.AttrXORMappedAddress, Value: make([]byte, 8)}), false},
		{"multicast", one, build(t, pion.BindingSuccess, id, xor(netip.MustParseAddrPort("224.0.0.1:1"))), false},
		{"unspecified", one, build(t, pion.BindingSuccess, id, xor(netip.MustParseAddrPort("0.0.0.0:1"))), false},
		{"broadcast", one, build(t, pion.BindingSuccess, id, xor(netip.MustParseAddrPort("255.255.255.255:1"))), false},
		{"link-local", one, build(t, pion.BindingSuccess, id, xor(netip.MustParseAddrPort("169.254.0.1:1"))), false},
		{"port 0", one, build(t, pion.BindingSuccess, id, xor(netip.MustParseAddrPort("203.0.113.7:0"))), false},
		{"unknown attribute to be understood", one, build(t, pion.BindingSuccess, id, good, pion.RawAttribute{Type: 0x7777, Value: []byte("x")}), false},
		{"error response", one, build(t, pion.BindingError, id, good), false},
		{"request", one, build(t, pion.BindingRequest, id, good), false},
		{"signed", one, build(t, pion.BindingSuccess, id, good, pion.MessageIntegrity("k")), false},
		{"too long", one, build(t, pion.BindingSuccess, id, good, pion.RawAttribute{Type: 0xC001, Value: make([]byte, 300)}), false},
		{"empty", one, nil, false},
	} {
		w := newWorld(t)
		w.outside = func(netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
		w.start(one)
		w.now = w.now.Add(10 * time.Millisecond)
		before := bytes.Clone(tt.b)
		if got := w.m.Receive(w.now, tt.from, tt.b); got != tt.ok || (len(w.mapped()) == 1) != tt.ok {
			t.Errorf("%s: consumed %v, mapped %v", tt.name, got, w.mapped())
		}
		if w.m.Receive(w.now, tt.from, tt.b) {
			t.Errorf("%s: consumed twice", tt.name)
		}
		if !bytes.Equal(before, tt.b) {
			t.Errorf("%s: reading changed the datagram", tt.name)
		}
	}
}

func TestProbesAndWireGuardAreNotAnswers(t *testing.T) {
	c, k := probe.NewCodec(), key.ProbeKey{42}
	for name, b := range map[string][]byte{
		"probe request":       c.AppendRequest(nil, probe.ID{1}, probe.Short{1}, probe.Short{2}, &k),
		"probe answer":        c.AppendAnswer(nil, probe.ID{1}, public, &k),
		"probe answer, IPv6":  c.AppendAnswer(nil, probe.ID{1}, home6, &k),
		"WireGuard":           append([]byte{1, 0, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 140)...),
		"WireGuard keepalive": append([]byte{4, 0, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 24)...),
	} {
		if stun.Is(b) {
			t.Errorf("a %s is taken for a STUN answer", name)
		}
	}
	answer := build(t, pion.BindingSuccess, stun.ID{1}, xor(public))
	if !stun.Is(answer) || !probe.Is(answer) {
		t.Error("an answer is not taken for one")
	}
	for i := range 8 {
		bad := bytes.Clone(answer)
		bad[i] ^= 0x10
		if stun.Is(bad) {
			t.Errorf("byte %d changed, and still an answer", i)
		}
	}
	if n := testing.AllocsPerRun(100, func() { stun.Is(answer) }); n != 0 {
		t.Errorf("Is allocates %v times", n)
	}
}

func TestServerAnswersPlainRequestsAlone(t *testing.T) {
	id := stun.ID{1, 2, 3}
	for _, tt := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"plain", build(t, pion.BindingRequest, id), true},
		{"with software", build(t, pion.BindingRequest, id, pion.NewSoftware("client"), pion.Fingerprint), true},
		{"asks for another address", build(t, pion.BindingRequest, id, pion.RawAttribute{Type: 0x0003, Value: make([]byte, 4)}), false},
		{"signed", build(t, pion.BindingRequest, id, pion.MessageIntegrity("k")), false},
		{"an answer", build(t, pion.BindingSuccess, id, xor(public)), false},
		{"indication", build(t, pion.NewType(pion.MethodBinding, pion.ClassIndication), id), false},
		{"cut short", build(t, pion.BindingRequest, id)[:19], false},
	} {
		for _, from := range []netip.AddrPort{public, home6, netip.AddrPortFrom(netip.AddrFrom16(public.Addr().As16()), 9)} {
			out, ok := stuntest.AppendAnswer([]byte("ahead"), tt.b, from)
			if ok != tt.ok || !bytes.HasPrefix(out, []byte("ahead")) {
				t.Errorf("%s: answered %v", tt.name, ok)
			}
			if !ok {
				continue
			}
			var m pion.Message
			var x pion.XORMappedAddress
			if err := pion.Decode(out[5:], &m); err != nil || m.TransactionID != id || x.GetFrom(&m) != nil || x.Port != int(from.Port()) {
				t.Errorf("%s: answer %v, %v", tt.name, m, err)
			}
			if addr, _ := netip.AddrFromSlice(x.IP); addr.Unmap() != from.Addr().Unmap() {
				t.Errorf("%s: %v seen as %v", tt.name, from, addr)
			}
		}
	}
	if _, ok := stuntest.AppendAnswer(nil, build(t, pion.BindingRequest, id), netip.AddrPort{}); ok {
		t.Error("an answer about nobody")
	}
}

func FuzzReceive(f *testing.F) {
	id := stun.ID{7: 1}
	f.Add(build(f, pion.BindingSuccess, id, xor(public)))
	f.Add(build(f, pion.BindingSuccess, id, xor(home6), pion.NewSoftware("x"), pion.Fingerprint))
	f.Add(build(f, pion.BindingSuccess, id, pion.RawAttribute{Type: pion.AttrXORMappedAddress, Value: nil}))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t)
		w.outside = func(netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
		w.start(one)
		before := bytes.Clone(b)
		took := w.m.Receive(w.now, one, b)
		if took && !stun.Is(b) {
			t.Fatal("Receive takes what Is refuses")
		}
		if took != (len(w.mapped()) == 1) {
			t.Fatalf("consumed %v, mapped %v", took, w.mapped())
		}
		for _, a := range w.mapped() {
			if !a.Addr().Is4() || a.Addr().IsMulticast() || a.Addr().IsUnspecified() || a.Port() == 0 {
				t.Fatalf("mapped %v", a)
			}
		}
		if !bytes.Equal(b, before) {
			t.Fatal("reading changed the datagram")
		}
	})
}
