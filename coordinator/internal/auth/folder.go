package auth

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"filippo.io/age"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// The files of a folder.
const (
	fileRootKey   = "root.key" // may be taken away
	fileRootCert  = "root.crt"
	fileCA        = "ca.pem"            // key, then certificate, so that both change at once
	fileMap       = "map.key"           // key, then its certificate, so that both change at once
	filePrevious  = "map-previous.json" // certificate of the map key before; may be missing
	fileRecipient = "recovery.pub"
	fileReplica   = "replica"
)

// maxFile bounds a file of the folder; the longest is a certificate.
const maxFile = 64 << 10

// read reads a folder that Create made.
func read(folder string) (*material, error) {
	if err := private(folder, fs.ModeDir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("keys in %s: %w; restore a backup with: cordon-coordinator restore, or begin a new mesh with: cordon-coordinator init", folder, ErrMissing)
		}
		return nil, err
	}
	m := &material{}
	for _, step := range []func(string) error{m.readRoot, m.readCA, m.readMap, m.readRest} {
		if err := step(folder); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *material) readRoot(folder string) (err error) {
	if m.rootCert, err = readCertificate(folder, fileRootCert); err != nil {
		return err
	}
	public, _ := m.rootCert.PublicKey.(ed25519.PublicKey)
	if m.rootKey, err = key.RootPublicFrom(public); err != nil {
		return wrong(folder, fileRootCert, "it is not an Ed25519 certificate")
	}
	text, err := load(folder, fileRootKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	root, err := key.ParseRootPrivate(trim(text))
	if err != nil || root.Public() != m.rootKey {
		return wrong(folder, fileRootKey, "it is not the key of "+fileRootCert)
	}
	m.root = &root
	return nil
}

func (m *material) readCA(folder string) error {
	text, err := load(folder, fileCA)
	if err != nil {
		return err
	}
	first, rest := pem.Decode(text)
	second, _ := pem.Decode(rest)
	if first == nil || second == nil {
		return wrong(folder, fileCA, "it does not hold a key and a certificate in PEM")
	}
	if m.caCert, err = x509.ParseCertificate(second.Bytes); err != nil {
		return wrong(folder, fileCA, "its second part is no certificate")
	}
	if err := m.caCert.CheckSignatureFrom(m.rootCert); err != nil {
		return wrong(folder, fileCA, "the mesh root did not sign it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(first.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok || !private.Public().(ed25519.PublicKey).Equal(m.caCert.PublicKey) {
		return wrong(folder, fileCA, "its key is not that of its certificate")
	}
	m.caKey = private
	return nil
}

func (m *material) readMap(folder string) error {
	text, err := load(folder, fileMap)
	if err != nil {
		return err
	}
	secret, rest, _ := cut(text)
	private, err := key.ParseMapPrivate(secret)
	if err != nil {
		return wrong(folder, fileMap, "its first line is not a map key")
	}
	cert, claim, err := m.readMapCert(rest)
	if err != nil || claim.Key != private.Public() {
		return wrong(folder, fileMap, "its certificate is not the root's for this key")
	}
	m.mapKey, m.mapEnd, m.mapCerts = &private, claim.NotAfter, []*wire.MapKeyCertificate{cert}
	text, err = load(folder, filePrevious)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if cert, _, err = m.readMapCert(text); err != nil {
		return wrong(folder, filePrevious, "it is not a certificate of the root")
	}
	m.mapCerts = append(m.mapCerts, cert)
	return nil
}

func (m *material) readMapCert(text []byte) (*wire.MapKeyCertificate, wire.MapKey, error) {
	cert := new(wire.MapKeyCertificate)
	if err := protojson.Unmarshal(text, cert); err != nil {
		return nil, wire.MapKey{}, err
	}
	claim, err := wire.VerifyMapKey(m.rootKey, cert)
	return cert, claim, err
}

func (m *material) readRest(folder string) error {
	text, err := load(folder, fileRecipient)
	if err != nil {
		return err
	}
	if m.recipient, err = age.ParseX25519Recipient(trim(text)); err != nil {
		return wrong(folder, fileRecipient, "it is not the public half of a recovery key")
	}
	text, err = load(folder, fileReplica)
	m.replica = trim(text)
	return err
}

func readCertificate(folder, name string) (*x509.Certificate, error) {
	text, err := load(folder, name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, wrong(folder, name, "no PEM block")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, wrong(folder, name, "no certificate")
	}
	return c, nil
}

// wrong never holds content of the file, which may be a key in the wrong place.
func wrong(folder, name, why string) error {
	return fmt.Errorf("%s: %w: %s; restore a backup with: cordon-coordinator restore", filepath.Join(folder, name), ErrKeys, why)
}

// private refuses what others than the owner could read or replace.
func private(path string, kind fs.FileMode) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if info.Mode().Type() != kind {
		return fmt.Errorf("%s: %w: a %v stands there", path, ErrKeys, info.Mode().Type())
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: %w (mode %04o); run: chmod go-rwx %s, and think of who may have read it", path, ErrExposed, info.Mode().Perm(), path)
	}
	return nil
}

// load reads a file of the folder. fs.ErrNotExist is in the error if it is
// missing, which two of them may be.
func load(folder, name string) ([]byte, error) {
	path := filepath.Join(folder, name)
	if err := private(path, 0); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w (%w)", wrong(folder, name, "it is missing"), fs.ErrNotExist)
		}
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if info.Size() > maxFile {
		return nil, wrong(folder, name, "it is too long")
	}
	return os.ReadFile(path)
}
