package wire_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func (m *mesh) permit() wire.RelayPermit {
	k := nodeKey(0)
	return wire.RelayPermit{Mesh: m.id, Node: k.Public(), NotBefore: now().Add(-time.Minute), NotAfter: now().Add(time.Hour), Rate: 1 << 20}
}

func (m *mesh) certificate() *wire.MapKeyCertificate { return wire.SignMapKey(&m.root, m.mapKey()) }

func (m *mesh) ticket(p wire.RelayPermit) []byte {
	return wire.SignRelayTicket(&m.mapK, m.certificate(), m.root.Public(), p)
}

func (m *mesh) roots() []key.Fingerprint {
	return []key.Fingerprint{{1}, m.root.Public().Fingerprint()}
}

// A relay that never saw a coordinator, and knows a fingerprint alone, opens it.
func TestTicketOpensWithAFingerprintAlone(t *testing.T) {
	m := newMesh(t)
	want := m.permit()
	got, err := wire.OpenRelayTicket(m.ticket(want), m.roots(), now())
	if err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	if n := len(m.ticket(want)); n > 512 {
		t.Errorf("a ticket has %d bytes", n)
	}
}

// A37: whoever runs a relay, or stole somebody's ticket, makes none of it.
func TestTicketsThatNobodyHonours_A37(t *testing.T) {
	m, stranger := newMesh(t), key.NewMap()
	other := key.NewRoot()
	spoil := func(change func(*wire.RelayTicket)) []byte {
		s := new(wire.RelayTicket)
		if err := proto.Unmarshal(m.ticket(m.permit()), s); err != nil {
			t.Fatal(err)
		}
		change(s)
		b, err := proto.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	claim := func(change func(*wire.RelayClaim)) []byte {
		return spoil(func(s *wire.RelayTicket) {
			c := new(wire.RelayClaim)
			if err := proto.Unmarshal(s.Payload, c); err != nil {
				t.Fatal(err)
			}
			change(c)
			s.Payload, _ = proto.Marshal(c)
			s.Signature = m.mapK.Sign(key.ContextTicket, s.Payload)
		})
	}
	otherKey := m.mapKey()
	otherKey.Key = stranger.Public()
	for name, tt := range map[string]struct {
		ticket []byte
		at     time.Time
		want   error
	}{
		"not yet":                   {m.ticket(m.permit()), m.permit().NotBefore.Add(-time.Second), wire.ErrTicket},
		"over":                      {m.ticket(m.permit()), m.permit().NotAfter, wire.ErrTicket},
		"map key over":              {m.ticket(wire.RelayPermit{Node: m.permit().Node, NotBefore: now(), NotAfter: now().Add(999 * time.Hour)}), m.mapKey().NotAfter, wire.ErrMapKey},
		"nothing":                   {nil, now(), wire.ErrMalformed},
		"garbage":                   {[]byte("GET / HTTP/1.1"), now(), wire.ErrMalformed},
		"too long":                  {make([]byte, wire.MaxTicket+1), now(), wire.ErrMalformed},
		"another mesh's root":       {wire.SignRelayTicket(&m.mapK, m.certificate(), other.Public(), m.permit()), now(), wire.ErrNotForUs},
		"key of another root":       {wire.SignRelayTicket(&m.mapK, wire.SignMapKey(&other, m.mapKey()), m.root.Public(), m.permit()), now(), key.ErrSignature},
		"key that nobody certified": {wire.SignRelayTicket(&stranger, m.certificate(), m.root.Public(), m.permit()), now(), key.ErrSignature},
		"no certificate":            {spoil(func(s *wire.RelayTicket) { s.MapKey = nil }), now(), key.ErrSignature},
		"a lease's signature":       {spoil(func(s *wire.RelayTicket) { s.Signature = m.mapK.Sign(key.ContextMap, s.Payload) }), now(), key.ErrSignature},
		"changed claim":             {spoil(func(s *wire.RelayTicket) { s.Payload[30] ^= 1 }), now(), key.ErrSignature},
		"claim of another mesh":     {claim(func(c *wire.RelayClaim) { c.Mesh[0] ^= 1 }), now(), wire.ErrNotForUs},
		"no node":                   {claim(func(c *wire.RelayClaim) { c.NodeKey = nil }), now(), wire.ErrMalformed},
		"ends as it begins":         {claim(func(c *wire.RelayClaim) { c.NotAfter = c.NotBefore }), now(), wire.ErrMalformed},
		"before time":               {claim(func(c *wire.RelayClaim) { c.NotBefore = -1 }), now(), wire.ErrMalformed},
		"beyond time":               {claim(func(c *wire.RelayClaim) { c.NotAfter = 1 << 40 }), now(), wire.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.OpenRelayTicket(tt.ticket, m.roots(), tt.at)
			if !errors.Is(err, tt.want) || got != (wire.RelayPermit{}) {
				t.Fatalf("%+v, %v; want %v", got, err, tt.want)
			}
		})
	}
	if _, err := wire.OpenRelayTicket(m.ticket(m.permit()), nil, now()); !errors.Is(err, wire.ErrNotForUs) {
		t.Fatal("a relay that serves no mesh:", err)
	}
	if _, err := wire.OpenRelayTicket(wire.SignRelayTicket(&stranger, wire.SignMapKey(&m.root, otherKey), m.root.Public(), m.permit()), m.roots(), now()); err != nil {
		t.Fatal("another replica's map key:", err)
	}
}

// FuzzOpenRelayTicket takes bytes as strangers send them. What opens was signed.
func FuzzOpenRelayTicket(f *testing.F) {
	m := newMesh(f)
	good := m.ticket(m.permit())
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(good, good...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := wire.OpenRelayTicket(b, m.roots(), now()); err == nil && got != m.permit() {
			t.Fatalf("opened as %+v", got)
		}
	})
}

func BenchmarkOpenRelayTicket(b *testing.B) {
	m := newMesh(b)
	ticket, roots := m.ticket(m.permit()), m.roots()
	for b.Loop() {
		if _, err := wire.OpenRelayTicket(ticket, roots, now()); err != nil {
			b.Fatal(err)
		}
	}
}
