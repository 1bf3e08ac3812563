//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// askedRate is how often a second a provider is asked for 10,000 sessions, each once in
// five minutes.
const askedRate = 10000 / (5 * 60.0)

// asked: people are signed in, and a real provider is asked over TLS whether it still
// stands by them, as often as for 10,000. They are fewer, each of whom is asked for the
// more often: one question costs the same.
func (b *bench) asked() error {
	people := pick(b, 1000, 100)
	ctx, cancel := context.WithCancel(b.ctx)
	var g group
	defer g.wait()
	defer cancel()
	dir := filepath.Join(b.dir, "asked")
	w := &ward{swarm: &swarm{bench: b, dir: dir, owners: map[string]wire.Enrolment{}, api: admin.NewSocketClient(filepath.Join(dir, "admin.sock"))},
		every: time.Duration(float64(people) / askedRate * float64(time.Second)), secured: true}
	err := w.begin(ctx, &g, people)
	defer func() { w.coordinator.end(); w.api.Close() }()
	if err == nil {
		err = w.measureAsked(ctx, people)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, w.coordinator.lastWords())
	}
	return nil
}

// measureAsked compares what the coordinator takes with what it takes before anybody is
// signed in.
func (w *ward) measureAsked(ctx context.Context, people int) error {
	for i := range people {
		w.agents = append(w.agents, w.newcomer(person(i)))
	}
	err := inParallel(people, func(i int) error {
		return w.agents[i].enrol(ctx)
	})
	span := pick(w.bench, time.Minute, 10*time.Second)
	if err != nil {
		return err
	}
	if err := pauseUntil(ctx, time.Now().Add(settle)); err != nil {
		return err
	}
	idle, err := w.spent(ctx, span)
	if err != nil {
		return err
	}
	err = inParallel(people, func(i int) error {
		_, err := w.login(ctx, i)
		return err
	})
	if err = errors.Join(err, pauseUntil(ctx, time.Now().Add(w.every+settle))); err != nil {
		return err // everybody has been asked for once, by then
	}
	asked, opened := w.inquiries.asked.Load(), w.inquiries.opened.Load()
	spent, err := w.spent(ctx, span)
	if err != nil {
		return err
	}
	asked, opened = w.inquiries.asked.Load()-asked, w.inquiries.opened.Load()-opened
	if want := askedRate * span.Seconds(); float64(asked) < want/2 {
		return fmt.Errorf("the provider was asked %d times, not %.0f: nothing was measured", asked, want)
	}
	each := (spent - idle) / time.Duration(asked)
	w.bench.results.add(
		row{What: "a question to the provider, whether it stands by somebody: coordinator CPU", Value: each.Seconds() * 1000, Unit: "ms",
			Note: fmt.Sprintf("%d questions for %d sessions, of which each brought a new token that was sealed and written, over %d new connections", asked, people, opened)},
		row{What: "10,000 sessions, for each of which the provider is asked every 5 minutes: coordinator CPU", Value: 100 * each.Seconds() * askedRate, Unit: "% of a core", Gate: atMost(5),
			Note: fmt.Sprintf("measured with %d that are asked for every %s", people, w.every)},
	)
	return nil
}

// inquiries counts what reaches the provider.
type inquiries struct{ asked, opened atomic.Int64 }

// counted counts the questions among all requests.
func (q *inquiries) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.FormValue("grant_type") == "refresh_token" {
			q.asked.Add(1)
		}
		next.ServeHTTP(rw, r)
	})
}

func (q *inquiries) state(_ net.Conn, s http.ConnState) {
	if s == http.StateNew {
		q.opened.Add(1)
	}
}

// trusted gives a certificate for the loopback address that programs trust which are
// started from now on.
func (b *bench) trusted() (c tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return c, err
	}
	path := filepath.Join(b.dir, "provider.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return c, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.Setenv("SSL_CERT_FILE", path)
}
