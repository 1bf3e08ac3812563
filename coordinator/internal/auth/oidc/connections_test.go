package oidc_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

// Questions in a row go over one connection.
func TestConnectionsAreKept(t *testing.T) {
	var opened atomic.Int32
	h := onLoopbackWith(t, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
	})
	h.token["refresh_token"] = refresh
	p := h.provider()
	who, err := p.Redeem(t.Context(), code, h.attempt)
	if err != nil || who.Standing == "" {
		t.Fatalf("%+v, %v", who, err)
	}
	before := opened.Load()
	delete(h.claims, "nonce")
	bare(h) // so that the userinfo is asked for as well
	for range 20 {
		if _, err := p.Renew(t.Context(), who.Standing); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load() - before; n > 1 {
		t.Errorf("20 refreshes after a sign-in open %d connections", n)
	}
	p.Close()
}

// idle is a transport that is told to let go of its connections.
type idle struct {
	http.RoundTripper
	let int
}

func (i *idle) CloseIdleConnections() { i.let++ }

// What is kept is let go when nobody will ask any more.
func TestConnectionsAreLetGo(t *testing.T) {
	h := newHostile(t)
	i := &idle{RoundTripper: inMemory{h}}
	h.config.HTTP = &http.Client{Transport: i}
	if h.provider().Close(); i.let != 1 {
		t.Errorf("let go %d times", i.let)
	}
}

// A provider that has HTTP/2 is asked by it.
func TestHTTP2IsOffered(t *testing.T) {
	offered := make(chan []string, 8)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		offered <- hello.SupportedProtos
		return nil, nil
	}}
	server.StartTLS()
	defer server.Close()
	h := newHostile(t)
	h.config.Issuer, h.config.HTTP = server.URL, nil
	if _, err := h.redeem(); err == nil || !strings.Contains(err.Error(), "let this machine trust") {
		t.Fatal(err) // nobody trusts it, but it was greeted
	}
	if got := <-offered; !slices.Equal(got, []string{"h2", "http/1.1"}) {
		t.Errorf("offered %v", got)
	}
}

// A second connection resumes what the first agreed on.
func TestHandshakesAreResumed(t *testing.T) {
	var resumed []bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { resumed = append(resumed, r.TLS.DidResume) }))
	defer server.Close()
	transport := oidc.Trusting(server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
	for range 2 {
		res, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
	}
	if !slices.Equal(resumed, []bool{false, true}) {
		t.Errorf("resumed: %v", resumed)
	}
}

// As many questions as may be under way at once need no new connections the next time.
func TestConnectionsOfACrowdAreKept(t *testing.T) {
	const crowd = 100
	var opened, came atomic.Int32
	all := make(chan struct{}, crowd)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if came.Add(1)%crowd == 0 {
			for range crowd {
				all <- struct{}{}
			}
		}
		<-all
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: oidc.Trusting(nil)}
	defer client.CloseIdleConnections()
	for range 3 {
		var under sync.WaitGroup
		for range crowd {
			under.Go(func() {
				res, err := client.Get(server.URL)
				if err != nil {
					t.Error(err)
					return
				}
				if err := res.Body.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		under.Wait()
	}
	if n := opened.Load(); n > crowd+crowd/10 {
		t.Errorf("three times %d questions open %d connections", crowd, n)
	}
}

// A provider that answers at once is asked over few connections, however many ask in one
// moment; one that is slow answers all of them in the time of one.
func TestFewLanesServeMany(t *testing.T) {
	for took, want := range map[time.Duration]int32{5 * time.Millisecond: 8, time.Second: 40} {
		synctest.Test(t, func(t *testing.T) {
			var at, most atomic.Int32
			h := newHostile(t)
			h.config.HTTP = &http.Client{Transport: slow{inMemory{http.NotFoundHandler()}, took, &at, &most}}
			client := oidc.Client(h.provider())
			began := time.Now()
			var under sync.WaitGroup
			for range 40 {
				under.Go(func() { _, _ = client.Get(base + "/keys") })
			}
			if under.Wait(); most.Load() != want || time.Since(began) > took+50*time.Millisecond {
				t.Errorf("an answer takes %v: %d were under way at once, and all took %v", took, most.Load(), time.Since(began))
			}
		})
	}
}

// slow answers after a while, and counts who waits.
type slow struct {
	http.RoundTripper
	took     time.Duration
	at, most *atomic.Int32
}

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	now := s.at.Add(1)
	for was := s.most.Load(); now > was && !s.most.CompareAndSwap(was, now); was = s.most.Load() {
	}
	time.Sleep(s.took)
	s.at.Add(-1)
	return s.RoundTripper.RoundTrip(r)
}
