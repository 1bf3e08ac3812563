package relay_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// talk shows that two nodes that reach a relay by the two dialers talk.
func talk(t *testing.T, m *relaytest.Mesh, one, other *relay.Dialer) (relay.State, relay.State) {
	t.Helper()
	a, b := m.Connect(t, one.Open), m.Connect(t, other.Open)
	sa, sb := a.Up(t), b.Up(t)
	long := strings.Repeat("x", relay.MaxDatagram)
	for _, text := range []string{"hello", long} {
		a.Send(b.Public(), []byte(text))
		b.Expect(t, a, text)
		b.Send(a.Public(), []byte(text))
		a.Expect(t, b, text)
	}
	return sa, sb
}

func TestUpgradeOverTLS(t *testing.T) {
	m := relaytest.NewMesh()
	h := relaytest.Serve(t, relaytest.New(t, server.Config{}, m))
	byName := &relay.Dialer{URL: "https://" + relaytest.Name + portOf(h), Roots: h.Roots, Lookup: loopback}
	a, b := talk(t, m, h.Dialer(), byName)
	if a.Way != (relay.Way{}) || b.Way != (relay.Way{}) {
		t.Fatal(a.Way, b.Way)
	}
	measured, err := byName.Measure(t.Context())
	if err != nil || measured.RTT <= 0 || measured.RTT > time.Second {
		t.Fatal(measured, err)
	}
}

func portOf(h *relaytest.Host) string { return h.Address[strings.LastIndexByte(h.Address, ':'):] }

func loopback(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// F41: where Upgrade is stripped, a WebSocket does it, and goes first from then on.
func TestWebSocketWhereUpgradeIsBroken(t *testing.T) {
	m := relaytest.NewMesh()
	asked := make(chan string, 100)
	s := relaytest.WithoutUpgrade(relaytest.New(t, server.Config{}, m))
	h := relaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Upgrade")
		s.ServeHTTP(w, r)
	}))
	d := h.Dialer()
	if a, b := talk(t, m, d, d); !a.Way.WebSocket || !b.Way.WebSocket {
		t.Fatal(a.Way, b.Way)
	}
	for len(asked) > 0 {
		<-asked
	}
	m.Connect(t, d.Open).Up(t)
	if first := <-asked; first != "websocket" {
		t.Fatalf("asked for %q first, though it did not work before", first)
	}
	only := h.Dialer()
	only.OnlyWebSocket = true
	talk(t, m, only, d)
}

// F41: a box that breaks TLS open is refused, whether or not this machine trusts
// its certificate, and the error says what to do.
func TestBrokenTLSIsRefused_A35(t *testing.T) {
	m := relaytest.NewMesh()
	s := relaytest.New(t, server.Config{}, m)
	h := relaytest.Serve(t, s)
	box := relaytest.Inspect(t, h)
	at := "https://" + relaytest.Name + portOf(box)
	for name, tt := range map[string]struct {
		d    *relay.Dialer
		want error
	}{
		"pinned":               {&relay.Dialer{URL: at, Pin: h.Pin, Lookup: loopback}, relay.ErrRelayKey},
		"unknown authority":    {&relay.Dialer{URL: at, Roots: h.Roots, Lookup: loopback}, relay.ErrRelayKey},
		"installed by company": {&relay.Dialer{URL: at, Roots: box.Roots, Lookup: loopback}, relay.ErrTLSBroken},
		"and by WebSocket":     {&relay.Dialer{URL: at, Roots: box.Roots, Lookup: loopback, OnlyWebSocket: true}, relay.ErrTLSBroken},
	} {
		t.Run(name, func(t *testing.T) {
			err := m.Connect(t, tt.d.Open).Down(t)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "except") {
				t.Fatal(err)
			}
		})
	}
	if s.Stats().Clients != 0 {
		t.Fatal("served through the box")
	}
}

func TestGarbageOnThePort(t *testing.T) {
	web := relaytest.Serve(t, http.NotFoundHandler())
	empty := relaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, tt := range map[string]struct {
		d    *relay.Dialer
		want error
	}{
		"a web server": {web.Dialer(), relay.ErrUpgrade},
		"one of 204s":  {empty.Dialer(), relay.ErrUpgrade},
		"not TLS":      {&relay.Dialer{URL: "https://" + relaytest.Garbage(t, []byte("SSH-2.0-x\r\n"))}, nil},
		"nothing":      {&relay.Dialer{URL: "https://" + closed.Addr().String()}, nil},
		"plain HTTP":   {&relay.Dialer{URL: "http://relay.test"}, nil},
		"with a user":  {&relay.Dialer{URL: "https://u:p@relay.test"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.d.Open(t.Context())
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatal(err)
			}
			if _, err := tt.d.Measure(t.Context()); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatal("measured:", err)
			}
		})
	}
}

func TestOpenObeysItsContext(t *testing.T) {
	silent := &relay.Dialer{URL: "https://" + relaytest.Garbage(t, nil)}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := silent.Open(ctx); err == nil || time.Since(began) > 5*time.Second {
		t.Fatal(err, time.Since(began))
	}
}

func TestThroughProxies(t *testing.T) {
	m := relaytest.NewMesh()
	h := relaytest.Serve(t, relaytest.New(t, server.Config{}, m))
	target := relaytest.Name + portOf(h)
	names := map[string]string{target: h.Address} // only the proxy can resolve it
	open, guarded := relaytest.NewProxy(t, "", names), relaytest.NewProxy(t, "ana:s3cret", names)
	through := func(text string) *relay.Dialer {
		t.Helper()
		proxy, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return &relay.Dialer{URL: "https://" + target, Pin: h.Pin, Proxy: func(*url.URL) (*url.URL, error) { return proxy, nil },
			Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no DNS") }}
	}
	a, b := talk(t, m, through("http://"+open.Address), through("http://ana:s3cret@"+guarded.Address))
	if a.Way.Proxy == "" || strings.Contains(b.Way.Proxy, "s3cret") || open.Used.Load() != 1 || guarded.Used.Load() != 1 {
		t.Fatal(a.Way, b.Way, open.Used.Load(), guarded.Used.Load())
	}
	refusing := relaytest.NewProxy(t, "", map[string]string{target: "127.0.0.1:1"})
	for want, text := range map[string]string{
		"asks for a user and a password (Negotiate, Basic)": "http://ana:wr0ng@" + guarded.Address,
		"502 Bad Gateway":        "http://ana:wr0ng@" + refusing.Address,
		"no HTTP answer":         "http://ana:wr0ng@" + relaytest.Garbage(t, []byte("SSH-2.0-x\r\n\r\n")),
		"first record does not ": "https://ana:wr0ng@" + open.Address,
		"want http or https":     "socks5://ana:wr0ng@" + open.Address,
	} {
		_, err := through(text).Open(t.Context())
		if !errors.Is(err, relay.ErrProxy) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	m := relaytest.NewMesh()
	h := relaytest.Serve(t, relaytest.New(t, server.Config{}, m))
	target := relaytest.Name + portOf(h)
	p := relaytest.NewProxy(t, "ana:s3cret", map[string]string{target: h.Address})
	t.Setenv("HTTPS_PROXY", "http://ana:s3cret@"+p.Address)
	t.Setenv("NO_PROXY", "other.test")
	dialer := func() *relay.Dialer {
		return &relay.Dialer{URL: "https://" + target, Pin: h.Pin, Proxy: relay.ProxyFromEnvironment(), Lookup: loopback}
	}
	if s, err := dialer().Open(t.Context()); err != nil || p.Used.Load() != 1 {
		t.Fatal(err, p.Used.Load())
	} else {
		s.Close()
	}
	t.Setenv("NO_PROXY", ".test")
	if s, err := dialer().Open(t.Context()); err != nil || p.Used.Load() != 1 {
		t.Fatal("NO_PROXY does not count:", err)
	} else {
		s.Close()
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("HTTPS_PROXY", "http://ana:s3cret@:bad:port")
	if _, err := dialer().Open(t.Context()); !errors.Is(err, relay.ErrProxy) || strings.Contains(err.Error(), "s3cret") {
		t.Fatal(err)
	}
}
