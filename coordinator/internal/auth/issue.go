package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// build makes a whole folder of keys.
func build(folder, replica string, recovery Recovery, now time.Time) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	root := key.NewRoot()
	der, err := selfSigned(&root, now)
	if err != nil {
		return err
	}
	rootCert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	m := &material{root: &root, rootCert: rootCert, rootKey: root.Public(), replica: replica}
	return errors.Join(
		save(folder, fileRootKey, []byte(root.Secret()+"\n")),
		save(folder, fileRootCert, certificatePEM(der)),
		save(folder, fileRecipient, []byte(recovery.identity.Recipient().String()+"\n")),
		save(folder, fileReplica, []byte(replica+"\n")),
		m.newCA(folder, now), m.newMap(folder, now),
	)
}

func selfSigned(root *key.RootPrivate, now time.Time) ([]byte, error) {
	t := authorityTemplate("Cordon mesh root", now, rootLife, 1)
	return x509.CreateCertificate(rand.Reader, t, t, root.Signer().Public(), root.Signer())
}

func authorityTemplate(name string, now time.Time, life time.Duration, below int) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: below, MaxPathLenZero: below == 0,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// newCA makes a CA that the root signs.
func (m *material) newCA(folder string, now time.Time) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, authorityTemplate("Cordon mesh CA", now, caLife, 0), m.rootCert, public, m.root.Signer())
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return save(folder, fileCA, append(text, certificatePEM(der)...))
}

// newMap makes a map key that the root certifies.
func (m *material) newMap(folder string, now time.Time) error {
	private := key.NewMap()
	cert := wire.SignMapKey(m.root, wire.MapKey{Key: private.Public(), NotBefore: now.Add(-skew), NotAfter: now.Add(mapLife), Replica: m.replica})
	text, err := protojson.Marshal(cert)
	if err != nil {
		return err
	}
	return save(folder, fileMap, append([]byte(private.Secret()+"\n"), text...))
}

// Renew gives map key and CA successors when a third of their life is left, and
// tells whether it did. Without the root it does nothing until something has
// ended, and then fails with ErrRootOffline. Call it daily.
func (a *Authority) Renew(now time.Time) (bool, error) {
	a.renewal.Lock()
	defer a.renewal.Unlock()
	m := a.now.Load()
	renewMap := !now.Before(m.mapEnd.Add(-mapLife / 3))
	renewCA := !now.Before(m.caCert.NotAfter.Add(-caLife / 3))
	if !renewMap && !renewCA {
		return false, nil
	}
	if m.root == nil {
		return false, m.offline(now)
	}
	if err := m.renew(a.folder, renewMap, renewCA, now); err != nil {
		return false, fmt.Errorf("renewing keys in %s: %w", a.folder, err)
	}
	next, err := read(a.folder)
	if err != nil {
		return false, err
	}
	a.now.Store(next)
	return true, nil
}

func (m *material) renew(folder string, renewMap, renewCA bool, now time.Time) error {
	if renewMap {
		old, err := protojson.Marshal(m.mapCerts[0])
		if err != nil {
			return err
		}
		if err := errors.Join(save(folder, filePrevious, old), m.newMap(folder, now)); err != nil {
			return err
		}
	}
	if renewCA {
		return m.newCA(folder, now)
	}
	return nil
}

// offline says whether the missing root is felt yet.
func (m *material) offline(now time.Time) error {
	if now.Before(m.mapEnd) && now.Before(m.caCert.NotAfter) {
		return nil
	}
	return fmt.Errorf("%w, and the map key (until %s) or the CA (until %s) has ended; put %s back and start again",
		ErrRootOffline, m.mapEnd.Format(time.DateOnly), m.caCert.NotAfter.Format(time.DateOnly), filepath.Join("keys", fileRootKey))
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// serial is a random serial number of 127 bits, as RFC 5280 section 4.1.2.2
// wants it: positive, and of at most 20 octets.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails: crypto/rand ends the process without entropy
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
