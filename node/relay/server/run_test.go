package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// running is a relay as a program runs it.
type running struct {
	url  string
	pin  relay.Pin
	stop func() error
}

func run(t *testing.T, cfg server.Standalone, dir string) running {
	t.Helper()
	certificate, pin, err := server.Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	cfg.Listen, cfg.Certificate = "127.0.0.1:0", certificate
	cfg.Ready = func(at net.Addr) { ready <- at }
	go func() { done <- server.Run(ctx, cfg) }()
	ended := false
	stop := func() (err error) {
		if cancel(); !ended {
			err, ended = <-done, true
		}
		return err
	}
	t.Cleanup(func() { stop() })
	select {
	case at := <-ready:
		return running{"https://" + at.String(), pin, stop}
	case err := <-done:
		ended = true
		t.Fatal(err)
		return running{}
	}
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The whole of it, as cordon-relay runs it: a node finds it by its pin, also
// after it began again; its metrics count; it tells when it stops.
func TestRunServesUntilItIsStopped(t *testing.T) {
	m, dir, metrics := relaytest.NewMesh(), filepath.Join(t.TempDir(), "state"), free(t)
	cfg := server.Standalone{Metrics: metrics, STUN: "127.0.0.1:0", Drain: time.Second}
	cfg.Roots = append(cfg.Roots, m.Fingerprint())
	r := run(t, cfg, dir)
	d := &relay.Dialer{URL: r.url, Pin: r.pin}
	a, b := m.Connect(t, d.Open), m.Connect(t, d.Open)
	a.Up(t)
	b.Up(t)
	a.Send(b.Public(), []byte("hello"))
	b.Expect(t, a, "hello")
	answer, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	for _, want := range []string{"cordon_relay_clients 2\n", "cordon_relay_frames_total 1\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	began := time.Now()
	if err := r.stop(); err != nil || time.Since(began) > 3*time.Second {
		t.Fatal(err, time.Since(began))
	}
	a.Await(t, func(s relay.State) bool { return s.Draining })
	if again := run(t, cfg, dir); again.pin != r.pin {
		t.Fatal("another pin after a restart")
	}
}

func TestRunNamesWhatItCannotHave(t *testing.T) {
	certificate, _, err := server.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	m := relaytest.NewMesh()
	for want, change := range map[string]func(*server.Standalone){
		"listen":  func(c *server.Standalone) { c.Listen = taken.Addr().String() },
		"metrics": func(c *server.Standalone) { c.Metrics, c.STUN = taken.Addr().String(), "127.0.0.1:0" },
		"stun":    func(c *server.Standalone) { c.STUN = udp.LocalAddr().String() },
		"Roots":   func(c *server.Standalone) { c.Roots = nil },
	} {
		cfg := server.Standalone{Listen: "127.0.0.1:0", Certificate: certificate}
		cfg.Roots = append(cfg.Roots, m.Fingerprint())
		change(&cfg)
		if err := server.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestKeyFileIsGuarded(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := server.Certificate(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "relay.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Fatal("left behind:", left)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Certificate(dir); err == nil || !strings.Contains(err.Error(), "0644") {
		t.Fatal("a key that others can read:", err)
	}
	for name, text := range map[string]string{"no PEM": "x", "no key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		other := t.TempDir()
		if err := os.WriteFile(filepath.Join(other, "relay.key"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := server.Certificate(other); err == nil {
			t.Error(name, "was taken for a key")
		}
	}
	if _, _, err := server.LoadCertificate("/nowhere/cert", "/nowhere/key"); err == nil || !strings.Contains(err.Error(), "/nowhere/cert") {
		t.Fatal(err)
	}
}

// A38: nothing makes a relay reach somewhere: no method, no address in a request,
// no frame. What is not asked for in its own words is not there.
func TestRelayIsNoProxy_A38(t *testing.T) {
	m := relaytest.NewMesh()
	cfg := server.Standalone{}
	cfg.Roots = append(cfg.Roots, m.Fingerprint())
	r := run(t, cfg, t.TempDir())
	address := strings.TrimPrefix(r.url, "https://")
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	reached := make(chan net.Conn, 10)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := inside.Accept()
			if err != nil {
				return
			}
			reached <- c
		}
	}()
	to := inside.Addr().String()
	for _, tt := range []struct {
		request string
		want    int
	}{
		{"CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n\r\n", http.StatusNotFound},
		{"GET http://" + to + "/ HTTP/1.1\r\nHost: " + to + "\r\n\r\n", http.StatusNotFound},
		{"GET http://" + to + "/relay HTTP/1.1\r\nHost: " + to + "\r\n\r\n", http.StatusNoContent},
		{"POST /relay HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", http.StatusMethodNotAllowed},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusNotFound},
		{"GET /relay HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", http.StatusForbidden},
		{"GET /relay HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: chat\r\n\r\n", http.StatusBadRequest},
		{"GET /relay HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: cordon-relay\r\n\r\nCONNECT " + to, 0},
	} {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, tt.request)
		conn.CloseWrite()
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		answer, _ := io.ReadAll(conn)
		conn.Close()
		if want := fmt.Sprint("HTTP/1.1 ", tt.want, " "); tt.want != 0 && !strings.HasPrefix(string(answer), want) || tt.want == 0 && len(answer) != 0 {
			t.Errorf("%q: answered %.60q, want %d", tt.request, answer, tt.want)
		}
	}
	for _, frame := range [][]byte{
		relay.Append(nil, relay.TypeSend, append([]byte(to), make([]byte, 64)...)),
		relay.Append(nil, 0x30, []byte(to)),
	} {
		d := &relay.Dialer{URL: r.url, Pin: r.pin}
		n := m.Connect(t, func(ctx context.Context) (*relay.Stream, error) { return d.Open(ctx) })
		n.Up(t)
		s, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Write(frame)
		io.Copy(io.Discard, s)
		s.Close()
	}
	inside.Close()
	<-accepted
	if len(reached) != 0 {
		t.Fatal("the relay reached", to)
	}
}

// Strangers are few: what one source may hold before its proof is bounded.
func TestStrangersAreBounded_A35(t *testing.T) {
	m := relaytest.NewMesh()
	cfg := server.Standalone{Config: server.Config{MaxPerSource: 8, Log: slog.New(slog.DiscardHandler)}}
	cfg.Roots = append(cfg.Roots, m.Fingerprint())
	r := run(t, cfg, t.TempDir())
	d := &relay.Dialer{URL: r.url, Pin: r.pin}
	var held []*relay.Stream
	var err error
	for range 20 {
		var s *relay.Stream
		if s, err = d.Open(t.Context()); err != nil {
			break
		}
		held = append(held, s)
	}
	var refused *relay.RefusedError
	if len(held) != 8 || !errors.As(err, &refused) || refused.Code != relay.Later {
		t.Fatal(len(held), "strangers at once:", err)
	}
	for _, s := range held {
		s.Close()
	}
	m.Connect(t, d.Open).Up(t) // when they are gone, others come in
	for range 20 {             // members do not count
		m.Connect(t, d.Open).Up(t)
	}
	silent := 0
	for range 20 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			silent++
		}
	}
	if silent != 8 {
		t.Fatal(silent, "connections without TLS were held, want 8")
	}
}
