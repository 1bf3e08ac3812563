package coordinator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// running is a coordinator under test, with all its doors open on loopback.
type running struct {
	t       *testing.T
	config  coordinator.Config
	founded *coordinator.Founded
	address string // of the TLS port
	root    *admin.Client
	log     *lines
	stop    func() error
}

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

// with gives the records that have a message.
func (l *lines) with(message string) (out []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range bytes.Split(l.b.Bytes(), []byte("\n")) {
		var r map[string]any
		if json.Unmarshal(line, &r) == nil && r["msg"] == message {
			out = append(out, r)
		}
	}
	return out
}

// begin makes a mesh and serves it until the test ends.
func begin(t *testing.T, change func(*coordinator.Config)) *running {
	t.Helper()
	short, err := os.MkdirTemp("", "cordon") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	c := coordinator.Config{StateDir: filepath.Join(short, "state"), Listen: "127.0.0.1:0", Socket: filepath.Join(short, "s"), Version: "test"}
	founded, err := coordinator.Init(t.Context(), coordinator.Setup{StateDir: c.StateDir, URL: "https://127.0.0.1:8443"})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	r := serve(t, c)
	r.founded = founded
	return r
}

// serve runs a coordinator on a state directory, and returns when it serves.
func serve(t *testing.T, c coordinator.Config) *running {
	t.Helper()
	r := &running{t: t, log: &lines{}}
	c.Log = slog.New(slog.NewJSONHandler(r.log, nil))
	r.config = c
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- coordinator.Run(ctx, c) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the coordinator ended with %v", err)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; {
		if said := r.log.with("serving"); len(said) > 0 {
			r.address = said[0]["listen"].(string)
			break
		}
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("the coordinator ended with %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the coordinator does not serve")
		}
	}
	r.root = admin.NewSocketClient(c.Socket)
	t.Cleanup(r.root.Close)
	return r
}

// token makes a token and gives its secret.
func (r *running) token(m *admin.CreateTokenRequest) (id, secret string) {
	r.t.Helper()
	resp, err := r.root.CreateToken(r.t.Context(), connect.NewRequest(m))
	if err != nil {
		r.t.Fatal(err)
	}
	if m.Kind == admin.TokenKind_TOKEN_KIND_ADMIN {
		c, err := admin.ParseCredential(resp.Msg.Text)
		if err != nil {
			r.t.Fatal(err)
		}
		return resp.Msg.Token.Id, c.Secret
	}
	e, err := wire.ParseEnrolment(resp.Msg.Text)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Msg.Token.Id, e.Secret
}

func adminToken(scopes ...string) *admin.CreateTokenRequest {
	return &admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ADMIN, Scopes: scopes}
}

func enrolToken() *admin.CreateTokenRequest {
	return &admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, Tags: []string{"tag:test"}, Uses: 10}
}

// machine is a node as the coordinator meets it: a key, and calls over TLS.
type machine struct {
	wire.NodeServiceClient
	key  key.NodePrivate
	id   string
	http *http.Client
}

// machine makes a key and a client for it. It is no node yet.
func (r *running) machine(protocols ...string) *machine {
	r.t.Helper()
	m := &machine{key: key.NewNode()}
	m.id = wire.NodeID(m.key.Public())
	own, err := wire.SelfSigned(&m.key)
	if err != nil {
		r.t.Fatal(err)
	}
	m.http = r.client(wire.ClientTLS(own, r.founded.Fingerprint, time.Now), protocols...)
	m.NodeServiceClient = wire.NewNodeServiceClient(m.http, "https://"+r.address)
	return m
}

// client makes an HTTP client of the TLS port, for HTTP/2 unless other protocols are named.
func (r *running) client(c *tls.Config, protocols ...string) *http.Client {
	t := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: len(protocols) == 0, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", r.address)
		}}
	r.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: time.Minute}
}

// operator is a client that shows no certificate, under a server name.
func (r *running) operator(name string) *http.Client {
	return r.client(&tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
}

func (r *running) enrol(secret string) *machine {
	r.t.Helper()
	m := r.machine()
	tunnel, path := key.NewTunnel(), key.NewPath()
	_, err := m.Enrol(r.t.Context(), connect.NewRequest(&wire.EnrolRequest{Secret: secret, Name: "host", Level: wire.Level, Os: "linux", Version: "1",
		Statement: wire.SignStatement(&m.key, tunnel.Public(), path.Public(), 1)}))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// answer is what came of a request, as far as the doors are concerned.
type answer string

const (
	served  answer = "served"  // the call itself was reached
	refused answer = "refused" // 401 or 403
	absent  answer = "absent"  // 404, and not by a call: there is no such route
	broken  answer = "broken"  // no HTTP at all
)

// post sends an empty message. Streams refuse its content type, once it is with them.
func post(t *testing.T, c *http.Client, url string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	if err != nil {
		return broken
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return classify(resp)
}

func classify(resp *http.Response) answer {
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return refused
	case resp.StatusCode == http.StatusNotFound && !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/"):
		return absent
	}
	return served
}
