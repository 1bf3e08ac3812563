package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/cordonmesh/cordon/node/relay"
)

// keyFile holds the relay's own key in its state directory.
const keyFile = "relay.key"

// Certificate gives a certificate over the key in dir, which is made at the first
// call, and the pin by which nodes know it. The key stays for life; the
// certificate around it is new each time and says nothing, so its dates are as
// wide as they can be.
//
// It fails on a key file that others can read: its pin would be worth nothing.
func Certificate(dir string) (tls.Certificate, relay.Pin, error) {
	k, err := ownKey(dir)
	if err != nil {
		return tls.Certificate{}, relay.Pin{}, fmt.Errorf("relay's own key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"relay.cordon.internal"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		return tls.Certificate{}, relay.Pin{}, fmt.Errorf("relay's own certificate: %w", err)
	}
	return pinned(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k})
}

// LoadCertificate reads a certificate and its key from PEM files, and gives the
// pin, for those who name the relay by it.
func LoadCertificate(certFile, keyFile string) (tls.Certificate, relay.Pin, error) {
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return c, relay.Pin{}, fmt.Errorf("certificate %s, key %s: %w", certFile, keyFile, err)
	}
	return pinned(c)
}

func pinned(c tls.Certificate) (tls.Certificate, relay.Pin, error) {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return c, relay.Pin{}, err
	}
	return c, relay.PinOf(leaf), nil
}

func ownKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	text, err := readOwn(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(dir, path)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s does not hold a key", path)
	}
	k, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key of another kind than ECDSA", path)
	}
	return k, nil
}

func readOwn(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 16<<10 {
		return nil, fmt.Errorf("%s is not a key file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && os.PathSeparator == '/' {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): want 0600, and a new key if somebody did", path, mode)
	}
	return os.ReadFile(path)
}

// makeKey writes a new key beside its place, and moves it there when it is whole.
func makeKey(dir, path string) (*ecdsa.PrivateKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, keyFile+".*") // of mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	return k, os.Rename(f.Name(), path)
}
