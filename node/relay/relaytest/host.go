package relaytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/relay"
)

// Name is the host name in the certificates of all hosts here.
const Name = "relay.test"

// Host is an HTTPS server on loopback.
type Host struct {
	Address string         // host:port
	Pin     relay.Pin      // of its key
	Roots   *x509.CertPool // with its certificate
}

// Serve has h answer over TLS 1.3 until the test ends.
func Serve(t testing.TB, h http.Handler) *Host {
	t.Helper()
	host, config := newHost(t)
	listener := listen(t)
	host.Address = listener.Addr().String()
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(tls.NewListener(listener, config)) }()
	t.Cleanup(func() { s.Close(); <-done })
	return host
}

// Dialer reaches the host by its pin.
func (h *Host) Dialer() *relay.Dialer {
	return &relay.Dialer{URL: "https://" + h.Address, Pin: h.Pin}
}

// Inspect is a box that breaks TLS open: it has a certificate of its own for the
// name, and passes everything on to to.
func Inspect(t testing.TB, to *Host) *Host {
	t.Helper()
	box, config := newHost(t)
	listener := listen(t)
	box.Address = listener.Addr().String()
	accept(t, tls.NewListener(listener, config), func(conn net.Conn) {
		out, err := tls.Dial("tcp", to.Address, &tls.Config{RootCAs: to.Roots, ServerName: Name})
		if err != nil {
			return
		}
		splice(conn, out)
	})
	return box
}

// Garbage is a host whose port answers with something else than TLS or HTTP.
func Garbage(t testing.TB, say []byte) string {
	t.Helper()
	listener := listen(t)
	accept(t, listener, func(conn net.Conn) {
		conn.Write(say)
		io.Copy(io.Discard, conn)
	})
	return listener.Addr().String()
}

// WithoutUpgrade is a server's front that takes no Upgrade but to a WebSocket.
func WithoutUpgrade(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			r.Header.Del("Upgrade")
			r.Header.Del("Connection")
		}
		h.ServeHTTP(w, r)
	})
}

// Proxy is an HTTP proxy that knows CONNECT and nothing else.
type Proxy struct {
	Address string
	Used    atomic.Int64 // tunnels that were opened
	Names   map[string]string
	want    string
}

// NewProxy makes one that asks for user:password, or for nothing if both are
// empty. Hosts are found in names (host:port to address), else as they are.
func NewProxy(t testing.TB, userPassword string, names map[string]string) *Proxy {
	t.Helper()
	p := &Proxy{Names: names}
	if userPassword != "" {
		p.want = "Basic " + base64.StdEncoding.EncodeToString([]byte(userPassword))
	}
	listener := listen(t)
	p.Address = listener.Addr().String()
	s := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() { s.Close(); <-done })
	return p
}

// ServeHTTP opens a tunnel.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	if p.want != "" && r.Header.Get("Proxy-Authorization") != p.want {
		w.Header().Set("Proxy-Authenticate", `Negotiate`)
		w.Header().Add("Proxy-Authenticate", `Basic realm="clinic"`)
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
		return
	}
	to := r.Host
	if at, ok := p.Names[to]; ok {
		to = at
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		http.Error(w, "not there", http.StatusBadGateway)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		out.Close()
		return
	}
	p.Used.Add(1)
	io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	splice(conn, out)
}

func newHost(t testing.TB) (*Host, *tls.Config) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{Name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &Host{Pin: relay.PinOf(leaf), Roots: roots}, &tls.Config{MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k}}}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// accept has f serve each connection until the test ends.
func accept(t testing.TB, l net.Listener, f func(net.Conn)) {
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			running.Go(func() { defer conn.Close(); f(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
}

// splice passes bytes on in both directions until either end closes.
func splice(a, b net.Conn) {
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		from.Close()
	}
	both.Go(func() { pass(a, b) })
	both.Go(func() { pass(b, a) })
	both.Wait()
}
