package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// renew writes a certificate of a number over a new key, as of a moment.
func renew(t *testing.T, files server.Files, number int64, at time.Time) (until time.Time) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	until = at.AddDate(0, 0, 90).Truncate(time.Second)
	c := x509.Certificate{SerialNumber: big.NewInt(number), NotBefore: at, NotAfter: until, DNSNames: []string{"relay.example"}}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil { // two writes may fall into one tick of a file system's
			t.Fatal(err)
		}
	}
	return until
}

// shown is the number of the certificate that a new caller sees.
func shown(t *testing.T, url string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// A relay that runs serves what was renewed in its files, with another key only where
// nodes know it by no pin; half a renewal changes nothing; the end of what is served
// is among the metrics, and in the log when it is near.
func TestRelayServesItsRenewedCertificate(t *testing.T) {
	for _, pinned := range []bool{false, true} {
		t.Run(fmt.Sprintf("pinned=%v", pinned), func(t *testing.T) {
			dir, log := t.TempDir(), &lines{}
			files := server.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Pinned: pinned}
			began := time.Now()
			renew(t, files, 1, began.AddDate(0, 0, -87))
			var minutes atomic.Int64
			now := func() time.Time { return began.Add(time.Duration(minutes.Load()) * time.Minute) }
			cfg := server.Standalone{Files: files, Metrics: free(t), Config: server.Config{Now: now, Log: slog.New(slog.NewTextHandler(log, nil))}}
			cfg.Roots = append(cfg.Roots, relaytest.NewMesh().Fingerprint())
			r := run(t, cfg, filepath.Join(dir, "state"))
			if got := shown(t, r.url); got != 1 {
				t.Fatalf("at the start %d is shown", got)
			}
			minutes.Store(1)
			if err := os.WriteFile(files.Cert, []byte("-----BEGIN"), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := shown(t, r.url); got != 1 || !strings.Contains(log.String(), files.Cert) {
				t.Errorf("half renewed: %d is shown, log: %s", got, log)
			}
			until := renew(t, files, 2, began.Add(time.Hour))
			minutes.Store(2)
			if got := shown(t, r.url); got != 2 && !pinned || got != 1 && pinned {
				t.Errorf("renewed: %d is shown; log: %s", got, log)
			}
			if told := strings.Contains(log.String(), "restart the relay"); told != pinned {
				t.Errorf("told to restart: %v; log: %s", told, log)
			}
			if got := scraped(t, cfg.Metrics, "cordon_relay_certificate_end_timestamp_seconds "); !pinned && got != fmt.Sprintf("%v", float64(until.Unix())) {
				t.Errorf("the metrics say that it ends at %s, want %v", got, float64(until.Unix()))
			}
			if err := r.stop(); err != nil || !strings.Contains(log.String(), "about to end") {
				t.Errorf("%v; nobody was told of the first one's end: %s", err, log)
			}
		})
	}
}

// scraped is what follows a name in the metrics.
func scraped(t *testing.T, address, name string) string {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n"+name)
	if !found {
		t.Fatalf("no %q in the metrics", name)
	}
	value, _, _ := strings.Cut(after, "\n")
	return value
}
