package wire

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

const (
	// NodeServerName is what a node asks for in its client hello. By it the one
	// TLS port tells nodes, who see the mesh's certificate and are asked for
	// theirs, from everybody else. No name server knows it.
	NodeServerName = "nodes.cordon.internal"

	// RootPath is where a coordinator tells a machine that shall join by a sign-in,
	// and was given no fingerprint, that of its mesh root: as text, to a GET, on the
	// side of the port that browsers see.
	RootPath = "/.well-known/cordon-mesh"

	// CoordinatorName stands in a coordinator's SPIFFE id where a node's has the
	// node id. No node id is spelt so.
	CoordinatorName = "coordinator"

	maxChain = 4 // leaf, mesh CA, mesh root, and one to spare
)

// SPIFFEID gives the URI that the certificate of a node, or of a coordinator
// ([CoordinatorName]), carries as its subject alternative name.
func SPIFFEID(mesh MeshID, name string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: mesh.String(), Path: "/" + name}
}

// VerifyCoordinator checks the certificates that a server presented (DER: leaf,
// mesh CA, mesh root) against the pinned fingerprint, and gives the root's key.
// What counts is the pin: the last certificate's Ed25519 key must have it, the
// chain must lead to it, and the leaf must be for servers and carry the
// coordinator's SPIFFE id of this mesh and nothing else. The host name does not
// count: who holds a certificate of the mesh CA is the coordinator, wherever it
// stands. It fails with [ErrCoordinator].
func VerifyCoordinator(chain [][]byte, pin key.Fingerprint, now time.Time) (key.RootPublic, error) {
	if len(chain) < 2 || len(chain) > maxChain {
		return key.RootPublic{}, fmt.Errorf("%w: %d certificates, want leaf, mesh CA and mesh root", ErrCoordinator, len(chain))
	}
	certs := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return key.RootPublic{}, fmt.Errorf("%w: certificate %d does not decode", ErrCoordinator, i)
		}
		certs[i] = c
	}
	root, err := pinned(certs[len(certs)-1], pin)
	if err != nil {
		return key.RootPublic{}, err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(certs[len(certs)-1])
	for _, c := range certs[1 : len(certs)-1] {
		between.AddCert(c)
	}
	_, err = certs[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return key.RootPublic{}, fmt.Errorf("%w: %w", ErrCoordinator, err)
	}
	want := SPIFFEID(MeshIDOf(root), CoordinatorName).String()
	if ids := certs[0].URIs; len(ids) != 1 || ids[0].String() != want {
		return key.RootPublic{}, fmt.Errorf("%w: its certificate does not carry %s alone", ErrCoordinator, want)
	}
	return root, nil
}

func pinned(c *x509.Certificate, pin key.Fingerprint) (key.RootPublic, error) {
	public, ok := c.PublicKey.(ed25519.PublicKey)
	if !ok {
		return key.RootPublic{}, fmt.Errorf("%w: the last certificate is not an Ed25519 mesh root", ErrCoordinator)
	}
	root, err := key.RootPublicFrom(public)
	if err != nil || root.Fingerprint() != pin {
		return key.RootPublic{}, fmt.Errorf("%w: the server's mesh root is not the pinned %s; "+
			"if something decrypts TLS on the way, except this server from it", ErrCoordinator, pin)
	}
	return root, nil
}

// ClientTLS gives the configuration with which a node speaks to a coordinator:
// TLS 1.3, the node's certificate, and VerifyCoordinator in place of the web's
// authorities. now is the clock by which certificates are judged.
func ClientTLS(node tls.Certificate, pin key.Fingerprint, now func() time.Time) *tls.Config {
	c := CoordinatorTLS(pin, now)
	c.ServerName = NodeServerName
	c.Certificates = []tls.Certificate{node}
	return c
}

// CoordinatorTLS is ClientTLS for what a coordinator serves to all, such as the
// relay inside it: without a certificate, and by whatever name it is called.
func CoordinatorTLS(pin key.Fingerprint, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       now,
		// The verification below replaces the web's; it runs on every connection.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			var chain [][]byte
			for _, c := range state.PeerCertificates {
				chain = append(chain, c.Raw)
			}
			_, err := VerifyCoordinator(chain, pin, now())
			return err
		},
	}
}

// NodeCertificate joins a node's key with the chain that a coordinator gave it
// (DER, leaf first).
func NodeCertificate(node *key.NodePrivate, chain [][]byte) tls.Certificate {
	return tls.Certificate{Certificate: chain, PrivateKey: node.Signer()}
}

// SelfSigned gives the certificate with which a machine enrols. It proves the
// key and says nothing else, so its dates are as wide as they can be: the
// machine's clock may be wrong.
func SelfSigned(node *key.NodePrivate) (tls.Certificate, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1),
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(lastSecond, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	signer := node.Signer()
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the certificate to enrol with: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}, nil
}

// CallerKey gives the node key of whoever is at the other end of a TLS
// connection, which proved that it holds it. The certificate's issuer and dates
// do not count: whether the key is known and not revoked is the caller's
// question. It fails without a certificate of an Ed25519 key.
func CallerKey(state *tls.ConnectionState) (key.NodePublic, error) {
	if state == nil || !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return key.NodePublic{}, fmt.Errorf("caller's node key: %w: no client certificate", key.ErrInvalid)
	}
	public, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return key.NodePublic{}, fmt.Errorf("caller's node key: %w: not an Ed25519 certificate", key.ErrInvalid)
	}
	return key.NodePublicFrom(public)
}
