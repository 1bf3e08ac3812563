// Package webcert serves a certificate of the web from files that somebody else
// renews, and says in the log when the one that is served nears its end. It is the
// coordinator's and the relay's alike.
package webcert

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Every is how often the files are looked at, at most, and only when somebody calls,
// or the certificate is watched.
const Every = time.Minute

// Config names the files. All but OtherKey are needed.
type Config struct {
	CertFile, KeyFile string // PEM; the chain in the first
	Name              string // what the log calls it, such as "the certificate for browsers"
	// OtherKey, if not nil, keeps a certificate that was renewed with another key from
	// being served, and says why, and what to do: whoever knows us by the key that we
	// had at the start would be cut off. nil: it is served, and the log has its pin.
	OtherKey error
	Now      func() time.Time
	Log      *slog.Logger
}

// Certificate is what is served. It is safe for concurrent use.
type Certificate struct {
	Config

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

// Load reads both files for the first time. It fails if they are no pair.
func Load(cfg Config) (*Certificate, error) {
	c := &Certificate{Config: cfg, looked: cfg.Now()}
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
	if now := c.Now(); now.Sub(c.looked) >= Every {
		c.looked = now
		if err := c.look(); err != nil {
			c.Log.Error(c.Name+" was not renewed: the one before is served on", "error", err, "until", c.served.Leaf.NotAfter)
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
	other := pin(next) != pin(c.served)
	if other && c.OtherKey != nil {
		return c.OtherKey
	}
	c.served, c.seen = next, seen
	if other {
		key := pin(next)
		c.Log.Warn(c.Name+" was renewed with another key: who knows us by the pin of the one before is to be told", "until", next.Leaf.NotAfter, "pin", hex.EncodeToString(key[:]))
		return nil
	}
	c.Log.Info(c.Name+" was renewed", "until", next.Leaf.NotAfter)
	return nil
}

func (c *Certificate) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s, key %s: %w", c.CertFile, c.KeyFile, err)
	}
	return &pair, nil
}

func (c *Certificate) stamps() (s stamp, err error) {
	for i, name := range [...]string{c.CertFile, c.KeyFile} {
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
// 4.1). With OtherKey it is the same as long as this process lives.
func (c *Certificate) Pin() [sha256.Size]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return pin(c.served)
}

func pin(c *tls.Certificate) [sha256.Size]byte { return sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo) }
