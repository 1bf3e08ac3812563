package auth

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"io"
)

// Unpack reads what is under a backup's seal. A fuzzer that had to seal each
// input would see chance in its coverage and get nowhere.
func Unpack(plain []byte, each func(name string, content io.Reader) error) error {
	return unpack(tar.NewReader(bytes.NewReader(plain)), each)
}

// RootOffline tells whether the mesh root was taken away.
func (a *Authority) RootOffline() bool { return a.now.Load().root == nil }

// RootPool gives the mesh root as the only authority, to verify node
// certificates with. Their keys count more than their ends: see wire.CallerKey.
func (a *Authority) RootPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.now.Load().rootCert)
	return pool
}
