package server_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// lines is a log that a test can read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A relay is trusted with nothing: what it carried, and between whom, is neither on
// its disk nor in its log at its most talkative, and its metrics are sums.
func TestRelayKeepsNothingOfWhatItCarries(t *testing.T) {
	m, dir, metrics, said := relaytest.NewMesh(), filepath.Join(t.TempDir(), "state"), free(t), new(lines)
	cfg := server.Standalone{Metrics: metrics, STUN: "127.0.0.1:0", Drain: time.Second}
	cfg.Roots = append(cfg.Roots, m.Fingerprint())
	cfg.Log = slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := run(t, cfg, dir)
	before := tree(t, dir)
	d := &relay.Dialer{URL: r.url, Pin: r.pin}
	a, b, stranger := m.Connect(t, d.Open), m.Connect(t, d.Open), relaytest.NewMesh().Connect(t, d.Open)
	a.Up(t)
	b.Up(t)
	const sealed = "what only two nodes know"
	for range 10 {
		a.Send(b.Public(), []byte(sealed))
		b.Expect(t, a, sealed)
	}
	answer, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err != nil || !strings.Contains(string(sums), "cordon_relay_frames_total 10\n") {
		t.Fatalf("%v\n%s", err, sums)
	}
	stranger.Await(t, func(s relay.State) bool { return s.Err != nil })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "connection refused") {
		t.Errorf("the log is not at its most talkative:\n%s", said)
	}
	for where, text := range map[string]string{"log": said.String(), "metrics": string(sums)} {
		for what, secret := range map[string]string{"a datagram": sealed, "a node's key": a.Public().String(), "the other's key": b.Public().String()} {
			if strings.Contains(text, secret) || strings.Contains(text, strings.TrimPrefix(secret, "node:")) {
				t.Errorf("the %s holds %s", where, what)
			}
		}
	}
	if after := tree(t, dir); after != before {
		t.Errorf("the state directory was\n%s and is\n%s", before, after)
	}
}

// tree gives the files of a directory with their contents.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		b.WriteString(path + ":\n" + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
