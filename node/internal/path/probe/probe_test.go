package probe_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/stun/v3"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

var (
	id     = probe.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	alice  = probe.Short{0xaa, 1, 2, 3, 4, 5, 6, 7}
	bob    = probe.Short{0xbb, 7, 6, 5, 4, 3, 2, 1}
	secret = key.ProbeKey{42}
	seen4  = netip.MustParseAddrPort("198.51.100.7:51820")
	seen6  = netip.MustParseAddrPort("[2001:db8::7]:51820")
)

func TestRequestSurvivesTheWire(t *testing.T) {
	c := probe.NewCodec()
	b := c.AppendRequest(nil, id, bob, alice, &secret)
	if len(b) != probe.RequestSize {
		t.Errorf("request of %d bytes, RequestSize says %d", len(b), probe.RequestSize)
	}
	h, ok := probe.Peek(b)
	want := probe.Header{Kind: probe.Request, ID: id, Receiver: bob, Sender: alice}
	if !ok || h != want {
		t.Fatalf("Peek = %+v, %v; want %+v", h, ok, want)
	}
	m, err := c.Open(b, &secret)
	if err != nil || m.Kind != probe.Request || m.ID != id {
		t.Fatalf("Open = %+v, %v", m, err)
	}
}

func TestAnswerSurvivesTheWireAndIsNoLargerThanTheRequest(t *testing.T) {
	c := probe.NewCodec()
	for _, seen := range []netip.AddrPort{seen4, seen6} {
		b := c.AppendAnswer(nil, id, seen, &secret)
		if len(b) > probe.RequestSize {
			t.Errorf("answer of %d bytes to a request of %d amplifies", len(b), probe.RequestSize)
		}
		m, err := c.Open(b, &secret)
		if err != nil || m.Kind != probe.Answer || m.ID != id || m.Mapped != seen {
			t.Errorf("Open = %+v, %v; want answer %v", m, err, seen)
		}
	}
}

func TestCallSurvivesTheWire(t *testing.T) {
	c := probe.NewCodec()
	at := []netip.AddrPort{seen4, seen6, seen4, seen6, seen6, seen6, seen6, seen6, seen4}
	for n := range len(at) + 1 {
		b := c.AppendCall(nil, id.Numbered(uint64(n)+7), bob, alice, at[:n], &secret)
		if len(b) > probe.MaxSize {
			t.Fatalf("call of %d bytes", len(b))
		}
		h, ok := probe.Peek(b)
		if !ok || h.Kind != probe.Call || h.Receiver != bob || h.Sender != alice || h.ID.Number() != uint64(n)+7 {
			t.Fatalf("Peek = %+v, %v", h, ok)
		}
		m, err := c.Open(b, &secret)
		if want := at[:min(n, probe.MaxAddresses)]; err != nil || m.Kind != probe.Call || !slices.Equal(m.Addresses, want) {
			t.Errorf("Open = %+v, %v; want %v", m, err, want)
		}
	}
}

func TestPaddedRequestHasItsSizeAndSurvivesTheWire(t *testing.T) {
	c := probe.NewCodec()
	for size, want := range map[int]int{0: probe.MinPadded, 88: 88, 1199: 1196, 1200: 1200, 1472: 1472, 8972: 8972, 99999: probe.MaxPadded} {
		b := c.AppendPadded(nil, id, bob, alice, size, &secret)
		if len(b) != want {
			t.Errorf("size %d: %d bytes, want %d", size, len(b), want)
		}
		h, ok := probe.Peek(b)
		if !ok || h.Kind != probe.Request || h.Receiver != bob || h.Sender != alice {
			t.Errorf("size %d: Peek = %+v, %v", size, h, ok)
		}
		if m, err := c.Open(b, &secret); err != nil || m.Kind != probe.Request || m.ID != id {
			t.Errorf("size %d: Open = %+v, %v", size, m, err)
		}
		b[len(b)-25] ^= 1 // a byte of the padding, or of its head
		if _, err := c.Open(b, &secret); err == nil {
			t.Errorf("size %d: padding is not covered by the integrity", size)
		}
	}
}

func TestLargeDatagramsAreReadOnlyIfTheyAreMadeOfPadding(t *testing.T) {
	c := probe.NewCodec()
	good := c.AppendPadded(nil, id, bob, alice, 1200, &secret)
	for _, i := range []int{60, 61, 62, 63} { // type and length of PADDING
		bad := bytes.Clone(good)
		bad[i] ^= 4
		if _, ok := probe.Peek(bad); ok {
			t.Errorf("byte %d changed, and 1,200 bytes are read", i)
		}
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	c := probe.NewCodec()
	b := c.AppendRequest([]byte("ahead"), id, bob, alice, &secret)
	if !bytes.HasPrefix(b, []byte("ahead")) || !probe.Is(b[5:]) {
		t.Error("append did not append")
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	c := probe.NewCodec()
	for _, good := range [][]byte{
		c.AppendRequest(nil, id, bob, alice, &secret),
		c.AppendAnswer(nil, id, seen6, &secret),
		c.AppendCall(nil, id, bob, alice, []netip.AddrPort{seen4, seen6}, &secret),
	} {
		for i := range len(good) * 8 {
			bad := bytes.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			if _, err := c.Open(bad, &secret); err == nil {
				t.Fatalf("bit %d of byte %d flipped, and Open accepts %x", i%8, i/8, bad)
			}
		}
	}
}

func TestOtherKeyIsRefused(t *testing.T) {
	c := probe.NewCodec()
	other := key.ProbeKey{43}
	if _, err := c.Open(c.AppendRequest(nil, id, bob, alice, &other), &secret); !errors.Is(err, probe.ErrIntegrity) {
		t.Errorf("err = %v, want ErrIntegrity", err)
	}
}

// build writes a message with pion alone, as an implementation that is not ours.
func build(t *testing.T, kind stun.MessageType, setters ...stun.Setter) []byte {
	t.Helper()
	m := stun.New()
	m.Type, m.TransactionID = kind, id
	m.WriteHeader()
	for _, s := range setters {
		if err := s.AddTo(m); err != nil {
			t.Fatal(err)
		}
	}
	return m.Raw
}

func TestMessagesOfOthers(t *testing.T) {
	name := stun.NewUsername(bob.String() + ":" + alice.String())
	shouted := stun.NewUsername("BB07060504030201:aa01020304050607")
	mac := stun.MessageIntegrity(secret[:])
	mapped := &stun.XORMappedAddress{IP: seen4.Addr().AsSlice(), Port: int(seen4.Port())}
	forged := &stun.XORMappedAddress{IP: []byte{203, 0, 113, 66}, Port: 1}
	tests := []struct {
		name string
		b    []byte
		want error
	}{
		{"request without integrity", build(t, stun.BindingRequest, name), probe.ErrIntegrity},
		{"answer without integrity", build(t, stun.BindingSuccess, mapped), probe.ErrIntegrity},
		{"answer without address", build(t, stun.BindingSuccess, mac), probe.ErrMalformed},
		{"address after integrity", build(t, stun.BindingSuccess, mac, forged), probe.ErrMalformed},
		{"plain STUN request", build(t, stun.BindingRequest), probe.ErrMalformed},
		{"upper case name", build(t, stun.BindingRequest, shouted, mac), probe.ErrMalformed},
		{"name not first", build(t, stun.BindingRequest, stun.NewSoftware("x"), name, mac), probe.ErrMalformed},
		{"unknown attribute to be understood", build(t, stun.BindingRequest, name, stun.RawAttribute{Type: 0x7777, Value: []byte("x")}, mac), probe.ErrMalformed},
		{"error response", build(t, stun.BindingError, mac), probe.ErrMalformed},
		{"indication without a name", build(t, stun.NewType(stun.MethodBinding, stun.ClassIndication), mac), probe.ErrMalformed},
		{"call without addresses", build(t, stun.NewType(stun.MethodBinding, stun.ClassIndication), name, mac), nil},
		{"call with half an address", build(t, stun.NewType(stun.MethodBinding, stun.ClassIndication), name, stun.RawAttribute{Type: stun.AttrXORPeerAddress, Value: []byte{0, 1, 0, 0, 1, 2}}, mac), probe.ErrMalformed},
		{"too long", build(t, stun.BindingRequest, name, stun.RawAttribute{Type: 0xC001, Value: make([]byte, 304)}, mac), probe.ErrMalformed},
		{"unknown attribute that may be ignored", build(t, stun.BindingRequest, name, stun.RawAttribute{Type: 0xC001, Value: make([]byte, 9)}, mac), nil},
		{"second address after integrity", build(t, stun.BindingSuccess, mapped, mac, forged), nil},
	}
	for _, tt := range tests {
		m, err := probe.NewCodec().Open(tt.b, &secret)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: err = %v, want %v", tt.name, err, tt.want)
		}
		if err == nil && m.Kind == probe.Answer && m.Mapped != seen4 {
			t.Errorf("%s: mapped = %v, want %v", tt.name, m.Mapped, seen4)
		}
	}
}

func TestWireGuardIsNeverTakenForSTUN(t *testing.T) {
	for kind := uint32(1); kind <= 4; kind++ {
		for _, size := range []int{32, 64, 92, 148, 1452} {
			b := make([]byte, size)
			binary.LittleEndian.PutUint32(b, kind)
			// The receiver index is chosen by the other end: let it be the cookie.
			binary.BigEndian.PutUint32(b[4:], 0x2112A442)
			if probe.Is(b) {
				t.Errorf("WireGuard message of type %d and %d bytes is taken for STUN", kind, size)
			}
		}
	}
	// A message of 20 bytes has the right length field, zero: bytes 1-3 decide.
	b := make([]byte, 20)
	b[0] = 4
	binary.BigEndian.PutUint32(b[4:], 0x2112A442)
	if probe.Is(b) {
		t.Error("20 bytes of type 4 are taken for STUN")
	}
}

func TestIsWantsEveryMark(t *testing.T) {
	good := probe.NewCodec().AppendRequest(nil, id, bob, alice, &secret)
	for _, i := range []int{2, 3, 4, 5, 6, 7} {
		bad := bytes.Clone(good)
		bad[i] ^= 0x20
		if probe.Is(bad) {
			t.Errorf("byte %d changed, still STUN", i)
		}
	}
	top := bytes.Clone(good)
	top[0] |= 0x80
	if probe.Is(top) {
		t.Error("first two bits not zero, still STUN")
	}
	if probe.Is(good[:len(good)-1]) || probe.Is(append(bytes.Clone(good), 0)) || probe.Is(nil) {
		t.Error("length is not compared with the datagram")
	}
}

func TestPeekAndIsAllocateNothing(t *testing.T) {
	b := probe.NewCodec().AppendRequest(nil, id, bob, alice, &secret)
	if n := testing.AllocsPerRun(100, func() { probe.Is(b); probe.Peek(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzOpen(f *testing.F) {
	c := probe.NewCodec()
	f.Add(c.AppendRequest(nil, id, bob, alice, &secret))
	f.Add(c.AppendAnswer(nil, id, seen4, &secret))
	f.Add(c.AppendAnswer(nil, id, seen6, &secret))
	f.Add(c.AppendCall(nil, id, bob, alice, []netip.AddrPort{seen4, seen6}, &secret))
	f.Add(c.AppendPadded(nil, id, bob, alice, 1200, &secret))
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{4, 0, 0, 0, 0x21, 0x12, 0xA4, 0x42})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 4 && b[1] == 0 && b[2] == 0 && b[3] == 0 && probe.Is(b) {
			t.Fatal("zeros in bytes 1 to 3 are WireGuard's")
		}
		before := bytes.Clone(b)
		h, ok := probe.Peek(b)
		if ok && !probe.Is(b) {
			t.Fatal("Peek accepts what is not STUN")
		}
		m, err := c.Open(b, &secret)
		if err == nil && (!ok || m.Kind != h.Kind || m.ID != h.ID) {
			t.Fatal("Open and Peek disagree")
		}
		if !bytes.Equal(b, before) {
			t.Fatal("reading changed the datagram")
		}
	})
}

// FuzzOpenSigned puts whatever attributes come under a true integrity: what a
// peer in the map can send that is out to do harm.
func FuzzOpenSigned(f *testing.F) {
	c := probe.NewCodec()
	f.Fuzz(func(t *testing.T, answer bool, attributes []byte) {
		if len(attributes) > probe.MaxSize {
			return
		}
		b := signed(map[bool]byte{false: 0x00, true: 0x01}[answer], 0x01, attributes)
		m, err := c.Open(b, &secret)
		h, ok := probe.Peek(b)
		if err != nil {
			if m.Mapped.IsValid() {
				t.Fatalf("an address %v with error %v", m.Mapped, err)
			}
			return
		}
		if !ok || m.Kind != h.Kind || m.ID != id || (m.Kind == probe.Answer) != answer {
			t.Fatalf("%+v of header %+v", m, h)
		}
		if m.Mapped.IsValid() != answer || m.Mapped.Addr().Is4In6() || m.Mapped.Addr().Zone() != "" {
			t.Fatalf("an answer %v with the address %v", answer, m.Mapped)
		}
	})
}

// signed makes a message of raw attributes and MESSAGE-INTEGRITY (RFC 8489,
// section 14.5: HMAC-SHA1 over what comes before, with the length as if it were
// there already).
func signed(high, low byte, attributes []byte) []byte {
	b := []byte{high, low, 0, 0, 0x21, 0x12, 0xA4, 0x42}
	b = append(append(b, id[:]...), attributes...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(attributes)+24))
	mac := hmac.New(sha1.New, secret[:])
	mac.Write(b)
	return mac.Sum(append(b, 0, 8, 0, 20))
}

// FuzzOpenCall puts whatever attributes come behind the name in a call under a
// true integrity: what a peer in the map can send that is out to do harm.
func FuzzOpenCall(f *testing.F) {
	c := probe.NewCodec()
	name := c.AppendRequest(nil, id, bob, alice, &secret)[20:60]
	four := c.AppendCall(nil, id, bob, alice, []netip.AddrPort{seen4}, &secret)
	f.Add(four[60 : len(four)-24])
	f.Add([]byte{0, 0x12, 0, 8, 0, 3, 0, 0, 1, 2, 3, 4})
	f.Add(bytes.Repeat([]byte{0, 0x12, 0, 8, 0, 1, 0, 0, 1, 2, 3, 4}, 20))
	f.Fuzz(func(t *testing.T, attributes []byte) {
		if len(attributes) > probe.MaxSize {
			return
		}
		m, err := c.Open(signed(0, 0x11, slices.Concat(name, attributes)), &secret)
		if err != nil && len(m.Addresses) > 0 || len(m.Addresses) > probe.MaxAddresses {
			t.Fatalf("%d addresses with error %v", len(m.Addresses), err)
		}
		for _, a := range m.Addresses {
			if !a.IsValid() || a.Addr().Is4In6() || a.Addr().Zone() != "" {
				t.Fatalf("address %v", a)
			}
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(id[:], seen4.Addr().AsSlice(), uint16(1), secret[:])
	f.Add(id[:], seen6.Addr().AsSlice(), uint16(65535), []byte("k"))
	f.Fuzz(func(t *testing.T, rawID, rawAddr []byte, port uint16, rawKey []byte) {
		addr, ok := netip.AddrFromSlice(rawAddr)
		if !ok {
			return
		}
		var (
			i probe.ID
			k key.ProbeKey
			c = probe.NewCodec()
		)
		copy(i[:], rawID)
		copy(k[:], rawKey)
		want := netip.AddrPortFrom(addr.Unmap(), port)
		m, err := c.Open(c.AppendAnswer(nil, i, netip.AddrPortFrom(addr, port), &k), &k)
		if err != nil || m.ID != i || m.Mapped != want {
			t.Fatalf("Open = %+v, %v; want %v from %v", m, err, i, want)
		}
	})
}

func BenchmarkPeekForged(b *testing.B) {
	d := probe.NewCodec().AppendRequest(nil, id, bob, alice, &secret)
	b.ReportAllocs()
	for b.Loop() {
		probe.Peek(d)
	}
}

func BenchmarkOpenForged(b *testing.B) {
	c, other := probe.NewCodec(), key.ProbeKey{9}
	d := c.AppendRequest(nil, id, bob, alice, &other)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Open(d, &secret); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	c := probe.NewCodec()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = c.AppendRequest(buf[:0], id, bob, alice, &secret)
	}
}
