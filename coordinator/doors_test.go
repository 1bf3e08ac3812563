package coordinator_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// send posts a body as it is, and gives the status; 0 if the connection ended.
func send(t *testing.T, c *http.Client, url string, body io.Reader, header http.Header) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// zeros is a body of many bytes that takes no memory here.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

func bomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, &zeros{64 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A06: bodies that are too large, compressed or nonsense are refused, by each
// door, and cost little memory.
func TestBodiesThatAreNoMessages_A06(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	_, all := r.token(adminToken("read", "nodes", "tokens", "policy", "audit", "backup"))
	member, stranger, base := r.enrol(secret), r.machine(), "https://"+r.address
	packed := bomb(t)
	gz := http.Header{"Content-Encoding": {"gzip"}}
	gzBearer := http.Header{"Content-Encoding": {"gzip"}, "Authorization": {"Bearer " + all}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for what, status := range map[string]int{
		"a stranger's bomb":   send(t, stranger.http, base+wire.NodeServiceEnrolProcedure, bytes.NewReader(packed), gz),
		"a stranger's flood":  send(t, stranger.http, base+wire.NodeServiceEnrolProcedure, &zeros{32 << 20}, nil),
		"a stranger's noise":  send(t, stranger.http, base+wire.NodeServiceEnrolProcedure, bytes.NewReader([]byte("\xff\x00{[")), nil),
		"a node's bomb":       send(t, member.http, base+wire.NodeServiceReportProcedure, bytes.NewReader(packed), gz),
		"a node's flood":      send(t, member.http, base+wire.NodeServiceSurrenderProcedure, &zeros{32 << 20}, nil),
		"an operator's bomb":  send(t, r.operator(admin.ServerName), base+admin.AdminServiceSetPolicyProcedure, bytes.NewReader(packed), gzBearer),
		"an operator's flood": send(t, r.operator(admin.ServerName), base+admin.AdminServiceSetPolicyProcedure, &zeros{32 << 20}, bearer(all)),
		"a passer-by's flood": send(t, r.operator("portal.example"), base+admin.AdminServiceSetPolicyProcedure, &zeros{32 << 20}, nil),
		"a passer-by's bomb":  send(t, r.operator("portal.example"), base+"/", bytes.NewReader(packed), gz),
	} {
		if status == http.StatusOK || status == http.StatusInternalServerError {
			t.Errorf("%s is answered %d", what, status)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 160 {
		t.Errorf("nine bad bodies had %d MB allocated, on both sides together", grown)
	}
	if got := r.status(); got.Nodes != 1 {
		t.Errorf("after all that the mesh is %v", got)
	}
}

// A08: what headers say of where a caller is counts nothing.
func TestForwardedHeadersAreIgnored_A08(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	req := connect.NewRequest(&wire.ReportRequest{Port: 41641})
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip"} {
		req.Header().Set(name, "for=203.0.113.9")
	}
	resp, err := m.Report(t.Context(), req)
	if err != nil || resp.Msg.Seen != "127.0.0.1" {
		t.Fatalf("seen from %v, %v", resp, err)
	}
	node, err := r.root.GetNode(t.Context(), connect.NewRequest(&admin.GetNodeRequest{Node: m.id}))
	if err != nil || len(node.Msg.Node.Endpoints) != 1 || node.Msg.Node.Endpoints[0] != "127.0.0.1:41641" {
		t.Errorf("reached at %v, %v", node, err)
	}
}

// A flood of strangers is one line a minute in the log.
func TestComplaintsAreFew(t *testing.T) {
	c := &clock{now: time.Now()}
	r := begin(t, func(config *coordinator.Config) { config.Now = c.Now })
	stranger := r.machine()
	turned := func() (n int) {
		return len(r.log.with("turned away: permission_denied: this node is not in the mesh: enrol it with an enrolment string"))
	}
	for range 30 {
		if _, err := stranger.Renew(t.Context(), connect.NewRequest(&wire.RenewRequest{})); connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Fatal(err)
		}
	}
	if n := turned(); n != 1 {
		t.Errorf("30 strangers' calls gave %d lines", n)
	}
	c.forward(time.Minute)
	stranger.Renew(t.Context(), connect.NewRequest(&wire.RenewRequest{}))
	if n := turned(); n != 2 {
		t.Errorf("a minute later there are %d lines", n)
	}
}

// A map comes down over HTTP/1.1 as over HTTP/2: a proxy may know no other.
func TestFollowOverBothProtocols(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	own, err := wire.SelfSigned(&m.key)
	if err != nil {
		t.Fatal(err)
	}
	old := wire.NewNodeServiceClient(r.client(wire.ClientTLS(own, r.founded.Fingerprint, time.Now), "http/1.1"), "https://"+r.address)
	for protocol, client := range map[string]wire.NodeServiceClient{"HTTP/2": m.NodeServiceClient, "HTTP/1.1": old} {
		stream, err := client.Follow(t.Context(), connect.NewRequest(&wire.FollowRequest{Level: wire.Level, Instance: []byte("run")}))
		if err != nil {
			t.Fatal(protocol, err)
		}
		var got []string
		for len(got) < 3 && stream.Receive() {
			switch stream.Msg().Message.(type) {
			case *wire.FollowResponse_Keys:
				got = append(got, "keys")
			case *wire.FollowResponse_Signed:
				got = append(got, "signed")
			}
		}
		if len(got) != 3 || got[0] != "keys" || got[1] != "signed" {
			t.Errorf("over %s came %v, %v", protocol, got, stream.Err())
		}
		stream.Close()
	}
	for name, bad := range map[string]*wire.FollowRequest{
		"an old level": {}, "a long instance": {Level: wire.Level, Instance: make([]byte, 1000)}, "a long digest": {Level: wire.Level, Digest: make([]byte, 33)},
	} {
		stream, err := m.Follow(t.Context(), connect.NewRequest(bad))
		if err != nil {
			t.Fatal(err)
		}
		if stream.Receive() || stream.Err() == nil {
			t.Errorf("%s is served", name)
		}
		stream.Close()
	}
}

// By the server name a stranger is shown the web certificate and asked for
// nothing; a node and an operator's tool see the mesh's own.
func TestCertificateByServerName(t *testing.T) {
	cert, certKey := webCertificate(t)
	r := begin(t, func(c *coordinator.Config) { c.WebCert, c.WebKey = cert, certKey })
	for name, want := range map[string]struct {
		web   bool
		asked bool
	}{
		"portal.example": {web: true}, "127.0.0.1": {web: true}, "NODES.cordon.internal.example": {web: true},
		admin.ServerName: {}, wire.NodeServerName: {asked: true},
	} {
		asked := false
		c := &tls.Config{ServerName: name, InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return new(tls.Certificate), nil
		}}
		conn, err := tls.Dial("tcp", r.address, c)
		if err != nil {
			t.Fatal(name, err)
		}
		shown := conn.ConnectionState().PeerCertificates
		conn.Close()
		if web := len(shown) == 1 && shown[0].Subject.CommonName == "web"; web != want.web || asked != want.asked {
			t.Errorf("%s is shown the web's certificate: %t, asked for one: %t", name, web, asked)
		}
	}
	if _, err := tls.Dial("tcp", r.address, &tls.Config{ServerName: "portal.example", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
}

// noTickets fails on the first one that a server offers.
type noTickets struct{ t *testing.T }

func (n noTickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (n noTickets) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		n.t.Error("a node is offered a session ticket")
	}
}

// A node proves its key at each connection, and no ticket stands for that.
func TestNodesGetNoTickets(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	own, err := wire.SelfSigned(&m.key)
	if err != nil {
		t.Fatal(err)
	}
	c := wire.ClientTLS(own, r.founded.Fingerprint, time.Now)
	c.ClientSessionCache = noTickets{t}
	client := wire.NewNodeServiceClient(r.client(c), "https://"+r.address)
	if _, err := client.Renew(t.Context(), connect.NewRequest(&wire.RenewRequest{})); err != nil {
		t.Fatal(err)
	}
}

func webCertificate(t *testing.T) (cert, certKey string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, certKey = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, certKey: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, certKey
}
