// Package webcert serves the certificate that browsers see, from files that
// somebody else renews.
package webcert

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Every is how often the files are looked at, at most, and only when a browser calls.
const Every = time.Minute

// ErrOtherKey says that files were renewed with another key. Nodes know the relay in
// the coordinator by the key that it had at its start, so that one is served on.
var ErrOtherKey = errors.New("the renewed certificate has another key, by which nodes do not know this coordinator's relay yet: restart the coordinator")

// Certificate is what is served. It is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger

	mu     sync.Mutex
	served *tls.Certificate
	looked time.Time // when the files were last looked at
	seen   stamp     // of the files, as they were last read
}

// stamp tells a file that was replaced or written from one that was not.
type stamp [2]struct {
	at   time.Time
	size int64
}

// Load reads both files (PEM; the chain in the first) for the first time. It fails if
// they are no pair.
func Load(certFile, keyFile string, now func() time.Time, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, now: now, log: log, looked: now()}
	c.seen, _ = c.stamps() // what cannot be looked at cannot be read either
	var err error
	c.served, err = c.read()
	return c, err
}

// Get is for [tls.Config.GetCertificate]. What was renewed is served from the next
// look on; what cannot be read, or is no pair yet because somebody is between writing
// the two, leaves the one before in place.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= Every {
		c.looked = now
		if err := c.look(); err != nil {
			c.log.Error("the certificate for browsers was not renewed: the one before is served on", "error", err, "until", c.served.Leaf.NotAfter)
		}
	}
	return c.served, nil
}

// look reads the files if they are others than before.
func (c *Certificate) look() error {
	seen, err := c.stamps()
	if err != nil || seen == c.seen {
		return err
	}
	next, err := c.read()
	if err != nil {
		return err
	}
	if pin(next) != pin(c.served) {
		return ErrOtherKey
	}
	c.served, c.seen = next, seen
	c.log.Info("the certificate for browsers was renewed", "until", next.Leaf.NotAfter)
	return nil
}

func (c *Certificate) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("web-cert %s, web-key %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair, nil
}

func (c *Certificate) stamps() (s stamp, err error) {
	for i, name := range [...]string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp{}, err
		}
		s[i].at, s[i].size = info.ModTime(), info.Size()
	}
	return s, nil
}

// Life tells from when until when the certificate that is served holds.
func (c *Certificate) Life() (since, until time.Time) {
	served, _ := c.Get(nil)
	return served.Leaf.NotBefore, served.Leaf.NotAfter
}

// Pin gives the SHA-256 of the served key (its SubjectPublicKeyInfo, RFC 5280 section
// 4.1). It is the same as long as this process lives.
func (c *Certificate) Pin() [sha256.Size]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return pin(c.served)
}

func pin(c *tls.Certificate) [sha256.Size]byte { return sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo) }
