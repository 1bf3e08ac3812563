package browser

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// patience bounds a wait for what must come.
const patience = time.Minute

// clinic is a coordinator of the built program that knows people by itself, and a machine.
type clinic struct {
	t       *testing.T
	url     string
	spki    string // SHA-256 of the web certificate's key, in base64
	admin   *admin.Client
	machine wire.NodeServiceClient
	root    key.Fingerprint // of the mesh
	said    *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func program(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("CORDON_BIN"); dir != "" {
		return filepath.Join(dir, "cordon-coordinator")
	}
	path := filepath.Join(t.TempDir(), "cordon-coordinator")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/cordon-coordinator").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// ownPeople lets the coordinator know people by itself.
func ownPeople(string) []string { return []string{"--local-people", "--password-memory", "12"} }

// found makes a mesh and serves it until the test ends, with the flags that let people
// sign in at its URL. It has a name, localhost: passkeys are for names.
func found(t *testing.T, people func(url string) []string) *clinic {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	short, err := os.MkdirTemp("", "cordon")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	c := &clinic{t: t, url: fmt.Sprintf("https://localhost:%d", at.Port), said: new(safeBuffer)}
	state, socket := filepath.Join(short, "state"), filepath.Join(short, "s")
	bin := program(t)
	if out, err := exec.Command(bin, "init", "--state", state, "--url", c.url).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cert, webKey := c.certificate(short)
	serve := exec.Command(bin, append([]string{"serve", "--state", state, "--listen", at.String(), "--socket", socket, "--stun", "none",
		"--web-cert", cert, "--web-key", webKey}, people(c.url)...)...)
	serve.Stdout, serve.Stderr = c.said, c.said
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Signal(os.Interrupt)
		if err := serve.Wait(); err != nil {
			t.Errorf("the coordinator ended with %v\n%s", err, c.said)
		}
	})
	c.admin = admin.NewSocketClient(socket)
	t.Cleanup(c.admin.Close)
	c.join()
	return c
}

// certificate makes a certificate for localhost, as a browser's own clinic would have one.
func (c *clinic) certificate(dir string) (cert, webKey string) {
	c.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	what := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, what, what, private.Public(), private)
	if err != nil {
		c.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		c.t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		c.t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	c.spki = base64.StdEncoding.EncodeToString(sum[:])
	cert, webKey = filepath.Join(dir, "web.crt"), filepath.Join(dir, "web.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, webKey: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return cert, webKey
}

// join enrols a machine that nobody owns, by the contract with nodes.
func (c *clinic) join() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	token, err := c.admin.CreateToken(ctx, connect.NewRequest(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, Tags: []string{"tag:ward"}}))
	for ; err != nil; token, err = c.admin.CreateToken(ctx, connect.NewRequest(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, Tags: []string{"tag:ward"}})) {
		if ctx.Err() != nil {
			c.t.Fatalf("no coordinator answers: %v\n%s", err, c.said)
		}
		time.Sleep(20 * time.Millisecond)
	}
	told, err := wire.ParseEnrolment(token.Msg.Text)
	if err != nil {
		c.t.Fatal(err)
	}
	c.root = told.Fingerprint
	var statement *wire.Statement
	c.machine, statement = c.box()
	if _, err := c.machine.Enrol(ctx, connect.NewRequest(&wire.EnrolRequest{Secret: told.Secret, Name: "ward-3", Level: wire.Level, Os: "linux", Version: "1", Statement: statement})); err != nil {
		c.t.Fatal(err)
	}
}

// box is a machine with keys of its own that is no node yet.
func (c *clinic) box() (wire.NodeServiceClient, *wire.Statement) {
	c.t.Helper()
	own, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
	cert, err := wire.SelfSigned(&own)
	if err != nil {
		c.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: wire.ClientTLS(cert, c.root, time.Now), ForceAttemptHTTP2: true}
	c.t.Cleanup(transport.CloseIdleConnections)
	return wire.NewNodeServiceClient(&http.Client{Transport: transport, Timeout: patience}, c.url), wire.SignStatement(&own, tunnel.Public(), path.Public(), 1)
}

// add adds a person and gives their link.
func (c *clinic) add(login string) string {
	c.t.Helper()
	resp, err := c.admin.AddUser(c.t.Context(), connect.NewRequest(&admin.AddUserRequest{Login: login}))
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.Msg.Link
}

func (c *clinic) opened() *wire.BeginLoginResponse {
	c.t.Helper()
	resp, err := c.machine.BeginLogin(c.t.Context(), connect.NewRequest(&wire.BeginLoginRequest{}))
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.Msg
}

// session gives the session that came of a sign-in.
func (c *clinic) session(login string) *wire.SessionRecord {
	c.t.Helper()
	resp, err := c.machine.AwaitLogin(c.t.Context(), connect.NewRequest(&wire.AwaitLoginRequest{Login: login}))
	if err != nil || resp.Msg.State != wire.AwaitLoginResponse_DONE {
		c.t.Fatalf("the machine is told %v, %v", resp, err)
	}
	return resp.Msg.Session
}
