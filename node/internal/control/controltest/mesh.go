package controltest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Mesh is a mesh's keys, all in one hand.
type Mesh struct {
	Root   key.RootPrivate
	MapKey key.MapPrivate
	Begun  time.Time

	t      testing.TB
	rootCA *x509.Certificate
	ca     *x509.Certificate
	caKey  ed25519.PrivateKey
}

// Life of everything that the mesh certifies, from an hour before it began.
const Life = 100 * 24 * time.Hour

// NewMesh makes the keys.
func NewMesh(t testing.TB) *Mesh {
	m := &Mesh{Root: key.NewRoot(), MapKey: key.NewMap(), Begun: time.Now().UTC().Truncate(time.Second), t: t}
	signer := m.Root.Signer()
	m.rootCA = m.certify(m.authority(1), nil, signer.Public(), signer)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m.caKey = private
	m.ca = m.certify(m.authority(2), m.rootCA, public, signer)
	return m
}

func (m *Mesh) authority(serial int64) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: m.Begun.Add(-time.Hour), NotAfter: m.Begun.Add(50 * Life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
}

func (m *Mesh) certify(c, parent *x509.Certificate, public, signer any) *x509.Certificate {
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, signer)
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m *Mesh) leaf(name string, use x509.ExtKeyUsage, public any, from time.Time) *x509.Certificate {
	return m.certify(&x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: from.Add(-time.Hour), NotAfter: from.Add(Life),
		URIs: []*url.URL{wire.SPIFFEID(m.ID(), name)}, ExtKeyUsage: []x509.ExtKeyUsage{use}}, m.ca, public, m.caKey)
}

// ID of the mesh.
func (m *Mesh) ID() wire.MeshID { return wire.MeshIDOf(m.Root.Public()) }

// NodeChain certifies a node key, as Enrol does.
func (m *Mesh) NodeChain(k key.NodePublic) [][]byte { return m.NodeChainFrom(k, time.Now()) }

// NodeChainFrom certifies a node key as it would have been at another time.
func (m *Mesh) NodeChainFrom(k key.NodePublic, from time.Time) [][]byte {
	return [][]byte{m.leaf(wire.NodeID(k), x509.ExtKeyUsageClientAuth, k.Standard(), from).Raw, m.ca.Raw}
}

// ServerTLS is a coordinator's, for nodes.
func (m *Mesh) ServerTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		leaf := m.leaf(wire.CoordinatorName, x509.ExtKeyUsageServerAuth, public, time.Now())
		return &tls.Certificate{Certificate: [][]byte{leaf.Raw, m.ca.Raw, m.rootCA.Raw}, PrivateKey: private}, nil
	}}
}

// MapKeyCertificate certifies the map key, as the mesh began.
func (m *Mesh) MapKeyCertificate() *wire.MapKeyCertificate {
	return m.Certify(m.MapKey.Public(), m.Begun.Add(-time.Hour), m.Begun.Add(Life))
}

// Certify certifies any map key.
func (m *Mesh) Certify(k key.MapPublic, from, to time.Time) *wire.MapKeyCertificate {
	return wire.SignMapKey(&m.Root, wire.MapKey{Key: k, NotBefore: from, NotAfter: to, Replica: "test"})
}

// Sign signs an envelope with the mesh's map key.
func (m *Mesh) Sign(e *wire.Envelope) *wire.Signed { return m.SignWith(&m.MapKey, e) }

// SignWith signs an envelope with any map key.
func (m *Mesh) SignWith(k *key.MapPrivate, e *wire.Envelope) *wire.Signed {
	payload, err := wire.Encode(e)
	if err != nil {
		m.t.Fatal(err)
	}
	return wire.Sign(k, payload)
}

// To addresses a node.
func (m *Mesh) To(k key.NodePublic) wire.Recipient {
	return wire.Recipient{Mesh: m.ID(), Node: wire.NodeID(k)}
}

// At is a position.
func At(incarnation, epoch, revision uint64) wire.Position {
	return wire.Position{Incarnation: incarnation, Epoch: epoch, Revision: revision}
}

// Map is a map of a node with peers, in which everybody has class 1 and the
// rules let class 1 reach class 1 on the ports given, by TCP.
func Map(at wire.Position, self wire.SelfRecord, ports []uint16, peers ...wire.PeerRecord) wire.Map {
	m := wire.Map{Incarnation: at.Incarnation, Epoch: at.Epoch, Revision: at.Revision, Self: self, Peers: map[string]wire.PeerRecord{}}
	for _, p := range peers {
		m.Peers[p.ID] = p
	}
	for _, port := range ports {
		open := []acl.Service{{Protocol: acl.TCP, First: port, Last: port}}
		r := acl.Rule{ID: "web", Src: []acl.Class{1}, Dst: []acl.Class{1}, Open: open}
		m.Rules.In, m.Rules.Out = append(m.Rules.In, r), append(m.Rules.Out, r)
	}
	return m
}

// Self is a node's record of itself.
func Self(k key.NodePublic, name, address string) wire.SelfRecord {
	a := netip.MustParseAddr(address)
	return wire.SelfRecord{ID: wire.NodeID(k), Name: name, NodeKey: k, Addresses: []netip.Addr{a}, Prefixes: one(a), Owner: 1,
		Ranges: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")}, Domain: "mesh.internal", User: name + "@clinic.example"}
}

// Peer is a peer's record; its statement may be nil.
func Peer(k key.NodePublic, s *wire.Statement, name, address string) wire.PeerRecord {
	a := netip.MustParseAddr(address)
	p := wire.PeerRecord{ID: wire.NodeID(k), Name: name, NodeKey: k, Statement: s, Addresses: []netip.Addr{a}, Prefixes: one(a), Owner: 1}
	if keys, err := wire.VerifyStatement(k, s); err == nil {
		p.TunnelKey, p.PathKey = keys.Tunnel, keys.Path
	}
	return p
}

// Stranger is a peer whose keys nobody holds any more.
func Stranger(name, address string) (wire.PeerRecord, key.NodePrivate) {
	node, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
	return Peer(node.Public(), wire.SignStatement(&node, tunnel.Public(), path.Public(), 1), name, address), node
}

func one(a netip.Addr) []acl.PrefixClass {
	return []acl.PrefixClass{{Prefix: netip.PrefixFrom(a, a.BitLen()), Class: 1}}
}
