package wire_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// authority issues what a coordinator presents: leaf, mesh CA, mesh root.
type authority struct {
	t          testing.TB
	root       key.RootPrivate
	ca, leaf   ed25519.PrivateKey
	rootT, caT *x509.Certificate
	leafT      *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	m := newMesh(t)
	_, ca, err1 := ed25519.GenerateKey(rand.Reader)
	_, leaf, err2 := ed25519.GenerateKey(rand.Reader)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	template := func(name string, isCA bool) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
			NotBefore: now().Add(-time.Hour), NotAfter: now().Add(time.Hour), IsCA: isCA, BasicConstraintsValid: true}
	}
	a := &authority{t: t, root: m.root, ca: ca, leaf: leaf,
		rootT: template("root", true), caT: template("ca", true), leafT: template("leaf", false)}
	a.leafT.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	a.leafT.URIs = []*url.URL{wire.SPIFFEID(m.id, wire.CoordinatorName)}
	return a
}

func (a *authority) chain() [][]byte {
	issue := func(template, parent *x509.Certificate, public, signer any) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
		if err != nil {
			a.t.Fatal(err)
		}
		return der
	}
	root := a.root.Signer()
	return [][]byte{
		issue(a.leafT, a.caT, a.leaf.Public(), a.ca),
		issue(a.caT, a.rootT, a.ca.Public(), root),
		issue(a.rootT, a.rootT, root.Public(), root),
	}
}

func TestVerifyCoordinator_A23(t *testing.T) {
	other := key.NewRoot()
	tests := map[string]struct {
		spoil func(a *authority)
		chain func(chain [][]byte) [][]byte
		at    time.Time
		good  bool
	}{
		"good":               {good: true},
		"root with CA only":  {chain: func(c [][]byte) [][]byte { return c[:2] }},
		"CA left out":        {chain: func(c [][]byte) [][]byte { return [][]byte{c[0], c[2]} }},
		"leaf only":          {chain: func(c [][]byte) [][]byte { return c[:1] }},
		"nothing":            {chain: func(c [][]byte) [][]byte { return nil }},
		"too many":           {chain: func(c [][]byte) [][]byte { return append(c, c[2], c[2]) }},
		"garbage":            {chain: func(c [][]byte) [][]byte { return [][]byte{c[0], {1, 2}, c[2]} }},
		"another root":       {spoil: func(a *authority) { a.root = other }},
		"CA is none":         {spoil: func(a *authority) { a.caT.IsCA = false }},
		"leaf for clients":   {spoil: func(a *authority) { a.leafT.ExtKeyUsage[0] = x509.ExtKeyUsageClientAuth }},
		"id of a node":       {spoil: func(a *authority) { a.leafT.URIs[0].Path = "/" + nodeID(1) }},
		"id of another mesh": {spoil: func(a *authority) { a.leafT.URIs[0] = wire.SPIFFEID(wire.MeshID{1}, wire.CoordinatorName) }},
		"no id":              {spoil: func(a *authority) { a.leafT.URIs = nil }},
		"two ids":            {spoil: func(a *authority) { a.leafT.URIs = append(a.leafT.URIs, a.leafT.URIs[0]) }},
		"too late":           {at: now().Add(2 * time.Hour)},
		"too early":          {at: now().Add(-2 * time.Hour)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			pin := a.root.Public().Fingerprint()
			if tt.spoil != nil {
				tt.spoil(a)
			}
			chain := a.chain()
			if tt.chain != nil {
				chain = tt.chain(chain)
			}
			if tt.at.IsZero() {
				tt.at = now()
			}
			root, err := wire.VerifyCoordinator(chain, pin, tt.at)
			if tt.good != (err == nil) || err != nil && !errors.Is(err, wire.ErrCoordinator) {
				t.Fatal(err)
			}
			if tt.good != (root.Fingerprint() == pin) {
				t.Fatal("root", root)
			}
		})
	}
}

// The attacker has the pinned root's certificate, which is public, and appends
// it to a chain of its own.
func TestAppendedRootProvesNothing(t *testing.T) {
	a, mallory := newAuthority(t), newAuthority(t)
	pin := a.root.Public().Fingerprint()
	mallory.root = key.NewRoot()
	chain := append(mallory.chain(), a.chain()[2])
	if _, err := wire.VerifyCoordinator(chain, pin, now()); !errors.Is(err, wire.ErrCoordinator) {
		t.Fatal(err)
	}
	chain[2] = chain[3]
	if _, err := wire.VerifyCoordinator(chain[:3], pin, now()); !errors.Is(err, wire.ErrCoordinator) {
		t.Fatal(err)
	}
}

// A whole handshake: the node sees the coordinator, the coordinator the node's
// key, whoever issued the certificate.
func TestHandshake(t *testing.T) {
	a := newAuthority(t)
	node := nodeKey(1)
	certificate, err := wire.SelfSigned(&node)
	if err != nil {
		t.Fatal(err)
	}
	shake := func(pin key.Fingerprint, client tls.Certificate) (server key.NodePublic, name string, clientErr error) {
		left, right := net.Pipe()
		conn := tls.Server(right, &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert, Time: now,
			Certificates: []tls.Certificate{{Certificate: a.chain(), PrivateKey: a.leaf}}})
		done := make(chan struct{})
		go func() {
			defer close(done)
			if conn.Handshake() == nil {
				state := conn.ConnectionState()
				name = state.ServerName
				server, _ = wire.CallerKey(&state)
			}
			right.Close()
		}()
		dialled := tls.Client(left, wire.ClientTLS(client, pin, now))
		clientErr = dialled.Handshake()
		left.Close()
		<-done
		return server, name, clientErr
	}
	pin := a.root.Public().Fingerprint()
	got, name, err := shake(pin, certificate)
	if err != nil || got != node.Public() || name != wire.NodeServerName {
		t.Fatal(got, name, err)
	}
	if got, _, err = shake(pin, wire.NodeCertificate(&node, certificate.Certificate)); err != nil || got != node.Public() {
		t.Fatal(got, err)
	}
	if _, _, err := shake(key.Fingerprint{1}, certificate); !errors.Is(err, wire.ErrCoordinator) {
		t.Fatal("another pin:", err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, a.leafT, a.leafT, p256.Public(), p256)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := shake(pin, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: p256}); !got.IsZero() {
		t.Fatal("a caller without an Ed25519 key has a node key:", got)
	}
	for _, state := range []*tls.ConnectionState{nil, {}, {HandshakeComplete: true}} {
		if _, err := wire.CallerKey(state); !errors.Is(err, key.ErrInvalid) {
			t.Fatal(err)
		}
	}
}
