package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/node/relay/internal/backlog"
)

// Way is how a relay was reached, for people.
type Way struct {
	Proxy     string // of the HTTP proxy, without its password; empty: none
	WebSocket bool   // Upgrade did not work
}

// Dialer opens connections to one relay. It remembers what worked, and is safe
// for concurrent use; its fields do not change after the first use.
type Dialer struct {
	// URL is https://HOST[:PORT][/PATH]; the path is /relay if it has none.
	URL string
	// Pin names the relay's key. Zero: the web's authorities vouch for its name.
	Pin Pin
	// TLS, if not nil, is used instead of Pin and Roots: it verifies by itself, such
	// as a coordinator by the mesh root.
	TLS *tls.Config
	// Roots are authorities to use instead of this machine's, also for a proxy's
	// own TLS. nil: this machine's.
	Roots *x509.CertPool
	// Addresses are tried after all that the name server says and that worked.
	Addresses []netip.Addr
	// Proxy tells through which proxy to go. nil: none.
	Proxy Proxy
	// Dial opens TCP connections, such as ones that stay out of the mesh's own
	// routes. It obeys its context. nil: net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Lookup finds a host's addresses, never through the mesh. nil: this machine's.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// OnlyWebSocket: do not try Upgrade.
	OnlyWebSocket bool

	names names

	mu        sync.Mutex
	webSocket time.Time // until when Upgrade is not worth a try
}

// openWithin is how long one connection may take from nothing to its upgrade.
const openWithin = 15 * time.Second

// target is what URL says.
func (d *Dialer) target() (*url.URL, error) {
	u, err := url.Parse(d.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("relay: %.200q is not allowed: want https://HOST[:PORT][/PATH]", d.URL)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = DefaultPath
	}
	return u, nil
}

// Known gives the addresses that the relay's name had, the one that last worked
// first, to be kept and given as Addresses at the next start.
func (d *Dialer) Known() []netip.Addr { return d.names.known() }

// secure opens a TLS connection to the relay and verifies who is there.
func (d *Dialer) secure(ctx context.Context, u *url.URL) (conn *tls.Conn, way Way, err error) {
	var proxy *url.URL
	if d.Proxy != nil {
		if proxy, err = d.Proxy(u); err != nil {
			return nil, way, fmt.Errorf("%w: the proxy's URL in the environment (HTTPS_PROXY) is not valid", ErrProxy) // it may hold a password
		}
	}
	var raw net.Conn
	if proxy != nil {
		way.Proxy = proxyName(proxy)
		raw, err = d.tunnel(ctx, proxy, hostPort(u))
	} else {
		raw, err = d.direct(ctx, u)
	}
	if err != nil {
		return nil, way, err
	}
	conn = tls.Client(raw, d.tlsConfig(u.Hostname()))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, way, fmt.Errorf("TLS with %s: %w", u.Host, wrongRelay(err))
	}
	if proxy == nil {
		d.names.answered(raw.RemoteAddr())
	}
	return conn, way, nil
}

func (d *Dialer) direct(ctx context.Context, u *url.URL) (net.Conn, error) {
	lookup := d.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	at, err := d.names.find(ctx, u.Hostname(), d.Addresses, lookup)
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(hostPort(u))
	return race(ctx, d.dial, at, port)
}

func (d *Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial := d.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err == nil {
		backlog.Bound(conn)
	}
	return conn, err
}

// tlsConfig wants TLS 1.3, whose exporter binds the proof to the connection, and
// HTTP/1.1, since HTTP/2 has no Upgrade.
func (d *Dialer) tlsConfig(host string) *tls.Config {
	c := new(tls.Config)
	switch {
	case d.TLS != nil:
		c = d.TLS.Clone()
	case d.Pin != (Pin{}):
		c.InsecureSkipVerify = true // the pin below takes the place of the web's authorities
		c.VerifyConnection = d.Pin.verify
	default:
		c.RootCAs = d.Roots
	}
	c.MinVersion = tls.VersionTLS13
	c.NextProtos = []string{"http/1.1"}
	c.DynamicRecordSizingDisabled = true // frames go out many at a time
	if c.ServerName == "" {
		c.ServerName = host
	}
	return c
}
