package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// NodeCertificate certifies a node key for NodeLife. It gives DER: leaf, mesh CA.
func (a *Authority) NodeCertificate(k key.NodePublic, now time.Time) ([][]byte, error) {
	if k.IsZero() {
		return nil, fmt.Errorf("certificate of a node: %w", key.ErrInvalid)
	}
	m, id := a.now.Load(), wire.NodeID(k)
	t := leafTemplate(id, wire.SPIFFEID(a.Mesh(), id), now, NodeLife, m.caCert.NotAfter)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, m.caCert, k.Standard(), m.caKey)
	if err != nil {
		return nil, fmt.Errorf("certificate of node %s: %w", id, err)
	}
	return [][]byte{der, m.caCert.Raw}, nil
}

// ServerCertificate makes a certificate of the coordinator with a key of its
// own, which never leaves memory: leaf, mesh CA, mesh root.
func (a *Authority) ServerCertificate(names []string, addresses []netip.Addr, now time.Time) (*tls.Certificate, error) {
	m := a.now.Load()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate of the coordinator: %w", err)
	}
	t := leafTemplate(wire.CoordinatorName, wire.SPIFFEID(a.Mesh(), wire.CoordinatorName), now, leafLife, m.caCert.NotAfter)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames = append([]string{wire.NodeServerName}, names...)
	for _, addr := range addresses {
		t.IPAddresses = append(t.IPAddresses, net.IP(addr.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, t, m.caCert, public, m.caKey)
	if err != nil {
		return nil, fmt.Errorf("certificate of the coordinator: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of the coordinator: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, m.caCert.Raw, m.rootCert.Raw}, PrivateKey: private, Leaf: leaf}, nil
}

func leafTemplate(name string, id *url.URL, now time.Time, life time.Duration, end time.Time) *x509.Certificate {
	until := now.Add(life)
	if until.After(end) {
		until = end // a certificate that outlives its CA's is refused by some
	}
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{id},
		NotBefore: now.Add(-skew), NotAfter: until,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// ServerCertificates gives a tls.Config's GetCertificate: it makes the
// coordinator's certificate at the first call and anew when half its life is
// over, so that a coordinator may run for years.
func (a *Authority) ServerCertificates(names []string, addresses []netip.Addr, clock func() time.Time) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var mu sync.Mutex
	var current *tls.Certificate
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		now := clock()
		if current != nil && now.Before(current.Leaf.NotAfter.Add(-leafLife/2)) {
			return current, nil
		}
		fresh, err := a.ServerCertificate(names, addresses, now)
		if err != nil {
			return nil, err
		}
		current = fresh
		return current, nil
	}
}
