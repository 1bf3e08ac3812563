package webcert_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/internal/webcert"
)

// office renews certificates, as a hospital's IT does.
type office struct {
	t         *testing.T
	cert, key string // files
	now       time.Time
	otherKey  error
	log       bytes.Buffer
}

func opened(t *testing.T) *office {
	dir := t.TempDir()
	return &office{t: t, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), now: time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)}
}

func newKey(t *testing.T) crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// renew writes a certificate that ends after so many days, and its key.
func (o *office) renew(k crypto.Signer, days int) {
	o.t.Helper()
	end := x509.Certificate{SerialNumber: big.NewInt(int64(days)), NotBefore: o.now, NotAfter: o.now.AddDate(0, 0, days)}
	der, err := x509.CreateCertificate(rand.Reader, &end, &end, k.Public(), k)
	if err != nil {
		o.t.Fatal(err)
	}
	priv, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write(o.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	o.write(o.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv}))
}

// write dates the file by the office's clock: two writes of a test may fall into one
// tick of the file system's.
func (o *office) write(name string, text []byte) {
	o.t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		o.t.Fatal(err)
	}
	if err := os.Chtimes(name, o.now, o.now); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) load() *webcert.Certificate {
	o.t.Helper()
	c, err := webcert.Load(webcert.Config{CertFile: o.cert, KeyFile: o.key, Name: "the certificate", OtherKey: o.otherKey,
		Now: func() time.Time { return o.now }, Log: slog.New(slog.NewTextHandler(&o.log, nil))})
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

// serves says which certificate a browser gets now, by its days.
func (o *office) serves(c *webcert.Certificate, days int64, when string) {
	o.t.Helper()
	served, err := c.Get(nil)
	if err != nil || served.Leaf.SerialNumber.Int64() != days {
		o.t.Errorf("%s: served %v, %v; want that of %d days; log: %s", when, served.Leaf.SerialNumber, err, days, &o.log)
	}
}

func TestRenewedCertificateIsServed(t *testing.T) {
	o, k := opened(t), newKey(t)
	o.renew(k, 1)
	c := o.load()
	o.now = o.now.Add(webcert.Every - time.Second)
	o.renew(k, 90)
	o.serves(c, 1, "before the next look")
	o.now = o.now.Add(time.Second)
	o.serves(c, 90, "after it")
	if _, until := c.Life(); !until.Equal(o.now.Add(-time.Second).AddDate(0, 0, 90)) {
		t.Errorf("ends %v: not that of the renewed one", until)
	}
}

func TestHalfRenewedCertificateLeavesTheOneBefore(t *testing.T) {
	o, k := opened(t), newKey(t)
	o.renew(k, 1)
	c := o.load()
	o.now = o.now.Add(webcert.Every)
	o.write(o.cert, []byte("-----BEGIN CERT"))
	o.serves(c, 1, "half written")
	if !bytes.Contains(o.log.Bytes(), []byte(o.cert)) {
		t.Errorf("nobody was told: %s", &o.log)
	}
	o.now = o.now.Add(webcert.Every)
	if err := os.Remove(o.cert); err != nil {
		t.Fatal(err)
	}
	o.serves(c, 1, "gone")
	o.now = o.now.Add(webcert.Every)
	o.renew(k, 90)
	o.serves(c, 90, "written whole")
}

// Nodes hold the relay in the coordinator to the key that they were told: another one
// would cut off who reaches others by it alone.
func TestOtherKeyWaitsForARestart(t *testing.T) {
	o := opened(t)
	o.otherKey = errors.New("restart the coordinator")
	o.renew(newKey(t), 1)
	c := o.load()
	pinned := c.Pin()
	o.now = o.now.Add(webcert.Every)
	o.renew(newKey(t), 90)
	o.serves(c, 1, "with another key")
	if c.Pin() != pinned {
		t.Error("the key that nodes know is another now")
	}
	if !bytes.Contains(o.log.Bytes(), []byte("restart the coordinator")) {
		t.Errorf("nobody was told what to do: %s", &o.log)
	}
	o.serves(o.load(), 90, "after a restart")
}

// Where nobody knows us by our key, another one is as good; the log has its pin for
// those who do.
func TestOtherKeyIsServedWhereNoneIsPinned(t *testing.T) {
	o := opened(t)
	o.renew(newKey(t), 1)
	c := o.load()
	o.now = o.now.Add(webcert.Every)
	o.renew(newKey(t), 90)
	o.serves(c, 90, "with another key")
	if pin := c.Pin(); !bytes.Contains(o.log.Bytes(), []byte(hex.EncodeToString(pin[:]))) {
		t.Errorf("the log does not have the new pin: %s", &o.log)
	}
}
