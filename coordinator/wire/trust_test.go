package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func TestTrustJudgesTimeAndRoot(t *testing.T) {
	m := newMesh(t)
	k := m.mapK.Public()
	for _, tt := range []struct {
		at   time.Time
		good bool
	}{
		{now(), true},
		{m.mapKey().NotBefore, true},
		{m.mapKey().NotBefore.Add(-time.Second), false},
		{m.mapKey().NotAfter.Add(-time.Second), true},
		{m.mapKey().NotAfter, false}, // the end is exclusive
	} {
		if err := m.trust.Check(k, tt.at); (err == nil) != tt.good || err != nil && !errors.Is(err, wire.ErrMapKey) {
			t.Errorf("at %s: %v", tt.at, err)
		}
	}
	s := m.sign(t, wire.NewLease(m.id, at(1, 1, 1), now()))
	if _, err := wire.Open(m.trust, s, m.mapKey().NotAfter); !errors.Is(err, wire.ErrMapKey) {
		t.Fatal("signed by a key that ended:", err)
	}
	if _, err := wire.OpenKept(m.trust, s); err != nil {
		t.Fatal("kept, and the key ended since:", err)
	}
	stranger := key.NewMap()
	if err := m.trust.Check(stranger.Public(), now()); !errors.Is(err, wire.ErrMapKey) {
		t.Fatal("a key without a certificate:", err)
	}
	payload := leases(t, m, 1)[0]
	if _, err := wire.OpenKept(m.trust, wire.Sign(&stranger, payload)); !errors.Is(err, wire.ErrMapKey) {
		t.Fatal("a key without a certificate:", err)
	}
	for _, none := range []*wire.Trust{nil, wire.NewTrust(key.RootPublic{}), wire.NewTrust(m.root.Public())} {
		if _, err := wire.Open(none, s, now()); !errors.Is(err, wire.ErrMapKey) {
			t.Fatal("no trust state is trusted:", err)
		}
	}
}

func TestTrustTakesOnlyTheRootsCertificates_A23(t *testing.T) {
	m := newMesh(t)
	other := key.NewRoot()
	good := wire.SignMapKey(&m.root, m.mapKey())
	reversed := m.mapKey()
	reversed.NotAfter = reversed.NotBefore
	foreign := &wire.MapKeyClaim{Mesh: make([]byte, 16), MapKey: m.mapK.Public().Bytes(), NotAfter: 1}
	sign := func(claim *wire.MapKeyClaim) *wire.MapKeyCertificate {
		b, err := proto.Marshal(claim)
		if err != nil {
			t.Fatal(err)
		}
		return &wire.MapKeyCertificate{Payload: b, Signature: m.root.Sign(key.ContextMapKey, b)}
	}
	long := []byte(strings.Repeat("x", 2000))
	tests := map[string]struct {
		c    *wire.MapKeyCertificate
		want error
	}{
		"nothing":            {nil, key.ErrSignature},
		"another root":       {wire.SignMapKey(&other, m.mapKey()), key.ErrSignature},
		"another purpose":    {&wire.MapKeyCertificate{Payload: good.Payload, Signature: m.root.Sign(key.ContextMap, good.Payload)}, key.ErrSignature},
		"another mesh":       {sign(foreign), wire.ErrNotForUs},
		"no key":             {sign(&wire.MapKeyClaim{Mesh: m.id[:], NotAfter: 1}), wire.ErrMalformed},
		"ends as it begins":  {wire.SignMapKey(&m.root, reversed), wire.ErrMalformed},
		"longer than it may": {&wire.MapKeyCertificate{Payload: long, Signature: m.root.Sign(key.ContextMapKey, long)}, wire.ErrMalformed},
		"not a claim":        {&wire.MapKeyCertificate{Payload: long[:9], Signature: m.root.Sign(key.ContextMapKey, long[:9])}, wire.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			trust := wire.NewTrust(m.root.Public())
			if err := trust.Add(tt.c); !errors.Is(err, tt.want) || len(trust.Certificates()) != 0 {
				t.Fatal(err)
			}
		})
	}
	zero := wire.NewTrust(key.RootPublic{})
	if err := zero.Add(good); !errors.Is(err, key.ErrSignature) {
		t.Fatal("no root:", err)
	}
}

func TestTrustIsBoundedAndKeepsTheLaterEnd(t *testing.T) {
	m := newMesh(t)
	longer, shorter := m.mapKey(), m.mapKey()
	longer.NotAfter = longer.NotAfter.Add(time.Hour)
	shorter.NotAfter = shorter.NotAfter.Add(-time.Hour)
	for _, k := range []wire.MapKey{longer, shorter} {
		if err := m.trust.Add(wire.SignMapKey(&m.root, k)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.trust.Check(m.mapK.Public(), longer.NotAfter.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := len(m.trust.Certificates()); got != 1 {
		t.Fatal(got, "certificates for one key")
	}
	var err error
	for i := 0; i < 300 && err == nil; i++ {
		k := key.NewMap()
		next := m.mapKey()
		next.Key = k.Public()
		err = m.trust.Add(wire.SignMapKey(&m.root, next))
	}
	if !errors.Is(err, wire.ErrMalformed) || len(m.trust.Certificates()) != 256 {
		t.Fatal(len(m.trust.Certificates()), err)
	}
	m.trust.Prune(longer.NotAfter.Add(-time.Hour-time.Second), nil)
	if got := m.trust.Certificates(); len(got) != 256 {
		t.Fatal(len(got), "left of those that have not ended")
	}
	m.trust.Prune(longer.NotAfter, map[key.MapPublic]bool{m.mapK.Public(): true}) // all others ended an hour before
	if got := m.trust.Certificates(); len(got) != 1 {
		t.Fatal(len(got), "left")
	}
	again := wire.NewTrust(m.root.Public())
	if err := again.Add(m.trust.Certificates()[0]); err != nil {
		t.Fatal(err)
	}
}

func TestStatementIsTheNodesOwn_A23(t *testing.T) {
	k, other := nodeKey(1), nodeKey(2)
	s, keys := stated(1, 3)
	if got, err := wire.VerifyStatement(k.Public(), s); err != nil || got != keys {
		t.Fatal(got, err)
	}
	if _, err := wire.VerifyStatement(other.Public(), s); !errors.Is(err, key.ErrSignature) {
		t.Fatal("signed by another:", err)
	}
	if _, err := wire.VerifyStatement(key.NodePublic{}, s); !errors.Is(err, key.ErrSignature) {
		t.Fatal("no node key:", err)
	}
	purpose := &wire.Statement{Payload: s.Payload, Signature: k.Sign(key.ContextMap, s.Payload)}
	if _, err := wire.VerifyStatement(k.Public(), purpose); !errors.Is(err, key.ErrSignature) {
		t.Fatal("signed for another purpose:", err)
	}
	for _, claim := range []*wire.StatementClaim{
		{PathKey: keys.Path.Bytes()}, {TunnelKey: keys.Tunnel.Bytes()},
		{TunnelKey: make([]byte, 32), PathKey: keys.Path.Bytes()}, {TunnelKey: keys.Tunnel.Bytes(), PathKey: make([]byte, 31)},
	} {
		b, err := proto.Marshal(claim)
		if err != nil {
			t.Fatal(err)
		}
		bad := &wire.Statement{Payload: b, Signature: k.Sign(key.ContextStatement, b)}
		if _, err := wire.VerifyStatement(k.Public(), bad); !errors.Is(err, wire.ErrMalformed) {
			t.Fatal(claim, err)
		}
	}
}

func TestIDs(t *testing.T) {
	m := newMesh(t)
	if got := m.id.String(); got != m.root.Public().Fingerprint().String()[:32] {
		t.Fatal(got)
	}
	text, err := m.id.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back wire.MeshID
	if err := back.UnmarshalText(text); err != nil || back != m.id {
		t.Fatal(back, err)
	}
	for _, bad := range []string{"", "zz", strings.Repeat("00", 16), strings.Repeat("11", 15), strings.Repeat("1z", 16)} {
		if err := back.UnmarshalText([]byte(bad)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if id := nodeID(1); len(id) != 22 || id[:2] != "n-" || id == nodeID(2) {
		t.Fatal(id)
	}
}

func TestLevels(t *testing.T) {
	if got, err := wire.CommonLevel(wire.Level + 5); err != nil || got != wire.Level {
		t.Fatal(got, err)
	}
	if got, err := wire.CommonLevel(wire.OldestLevel); err != nil || got != wire.OldestLevel {
		t.Fatal(got, err)
	}
	if _, err := wire.CommonLevel(wire.OldestLevel - 1); !errors.Is(err, wire.ErrLevel) {
		t.Fatal(err)
	}
}
