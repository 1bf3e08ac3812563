package oidc

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// What one answer of a provider may cost.
const (
	maxBody      = 512 << 10 // unpacked: less than the 1 MiB at which x/oauth2 cuts off without a word
	maxHeader    = 64 << 10
	maxRedirects = 3
	patience     = 15 * time.Second // for one request, with its redirects and its answer's body
)

// What is kept of connections. A handshake costs each side more than the question for
// which it is made, and a coordinator of 10,000 sessions asks 33 times a second.
const (
	maxIdle = 100 // as many as questions may be under way at once: who answers slowly is asked by many
	// idleFor is shorter than servers keep a connection that is silent, 5 s for the
	// hastiest that are common: who asks by one that is being closed never learns
	// whether the question came, and a refresh token may be spent by it.
	idleFor = 4 * time.Second
	// probeAfter is how soon a connection of HTTP/2 on which nothing comes is probed: it
	// is one for all, and must not swallow questions because a firewall forgot it.
	probeAfter = 5 * time.Second
)

// Questions come many at once. A provider that answers at once serves them over as many
// connections as there are lanes, which stay in use; one more for each would be made anew
// every few seconds. One that is slow gets what waited for a lane for a while besides.
const (
	lanes    = 8
	lanesFor = 50 * time.Millisecond
)

var (
	errTooMuch    = fmt.Errorf("it answers with more than %d KiB", maxBody>>10)
	errRedirects  = fmt.Errorf("it redirects more than %d times", maxRedirects)
	errRedirected = errors.New("it redirects a request that carries a secret: name its address after the redirect")
	errPlain      = errors.New("it leads to an address without TLS: its endpoints must be https")
	errPlace      = errors.New("its name leads to a link-local address, where cloud machines keep their secrets")
)

// statusError is an answer that holds nothing for us.
type statusError int

func (s statusError) Error() string {
	return fmt.Sprintf("it answers %d %s", int(s), http.StatusText(int(s)))
}

// newClient gives the client that all requests go through. It keeps no
// cookies: none of a provider's business with us needs one.
func newClient(given *http.Client, loopback bool) *http.Client {
	c := &http.Client{Timeout: patience, CheckRedirect: checkRedirect}
	g := guard{loopback: loopback, lanes: make(chan struct{}, lanes)}
	if given != nil {
		g.next = given.Transport
		if given.Timeout > 0 {
			c.Timeout = given.Timeout
		}
	}
	if g.next == nil {
		g.next = newTransport()
	}
	c.Transport = g
	return c
}

// newTransport gives one that keeps connections while they are in use. Where a name
// leads is looked at for each connection, and one is used for the host alone for which
// it was made: to keep it opens no other place.
func newTransport() *http.Transport {
	dialer := net.Dialer{Timeout: patience, Control: checkPlace}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    patience,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleFor,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: probeAfter, PingTimeout: probeAfter},
		TLSClientConfig:        &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(maxIdle)}, // a handshake that resumes is cheaper for both
	}
}

// checkPlace sees where a name led in the end: a name that leads elsewhere at
// the second question gets no further than one that always did.
func checkPlace(_, address string, _ syscall.RawConn) error {
	where, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := where.Addr(); a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return errPlace
	}
	return nil
}

// checkRedirect lets few redirects pass, and none of a request that carries a
// secret: a 307 would have code, verifier and the client's secret sent on.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if first := via[0]; first.Method != http.MethodGet || first.Header.Get("Authorization") != "" {
		return errRedirected
	}
	if len(via) > maxRedirects {
		return errRedirects
	}
	return nil
}

// guard bounds what comes back. It reads each body itself, so that whatever
// goes wrong on the way arrives as one typed error: the libraries above flatten
// into text what they meet later, together with the body.
type guard struct {
	next     http.RoundTripper
	loopback bool          // the provider is on this machine: plain HTTP may go there
	lanes    chan struct{} // has room while a lane is free
}

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !secure(r.URL, g.loopback) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, errPlain
	}
	defer g.enter()()
	res, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxBody:
		return nil, errTooMuch
	case r.Method == http.MethodGet && res.StatusCode != http.StatusOK && res.Header.Get("Location") == "":
		return nil, statusError(res.StatusCode) // of what is fetched; a POST's refusal is in its body
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// enter waits for a lane, though never long, and gives what leaves it.
func (g guard) enter() (leave func()) {
	select {
	case g.lanes <- struct{}{}:
		return func() { <-g.lanes }
	default:
	}
	timer := time.NewTimer(lanesFor)
	defer timer.Stop()
	select {
	case g.lanes <- struct{}{}:
		return func() { <-g.lanes }
	case <-timer.C:
		return func() {}
	}
}

// CloseIdleConnections lets go of connections that nobody uses, as http.Client asks.
func (g guard) CloseIdleConnections() {
	if c, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// secure tells whether secrets may go to u, and what it says be believed.
func secure(u *url.URL, loopback bool) bool {
	return u.Scheme == "https" || u.Scheme == "http" && loopback && isLoopback(u)
}

// isLoopback tells of an address, never of a name: only the former cannot be led
// elsewhere. The exception is localhost (RFC 6761 section 6.3).
func isLoopback(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.IsLoopback()
}
