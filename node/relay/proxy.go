package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// Proxy tells through which HTTP proxy a URL is reached; nil for none.
type Proxy func(*url.URL) (*url.URL, error)

// ProxyFromEnvironment obeys HTTPS_PROXY and NO_PROXY (also in lower case), as
// they are now.
func ProxyFromEnvironment() Proxy { return httpproxy.FromEnvironment().ProxyFunc() }

// maxProxyAnswer is how much a proxy may say before the tunnel stands.
const maxProxyAnswer = 16 << 10

// tunnel opens a connection to target (host:port) through an HTTP proxy
// (RFC 9110 section 9.3.6). The proxy finds the host's address: in networks that
// have one, often nobody else can.
func (d *Dialer) tunnel(ctx context.Context, proxy *url.URL, target string) (net.Conn, error) {
	if proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, fmt.Errorf("%w %s: its scheme is not allowed: want http or https", ErrProxy, proxyName(proxy))
	}
	conn, err := d.dial(ctx, "tcp", hostPort(proxy))
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrProxy, proxyName(proxy), err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if proxy.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: proxy.Hostname(), RootCAs: d.Roots})
	}
	through, err := connect(conn, proxy, target)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w %s: %w", ErrProxy, proxyName(proxy), err)
	}
	return through, nil
}

func connect(conn net.Conn, proxy *url.URL, target string) (net.Conn, error) {
	request := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n"
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return nil, err
	}
	r := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, fmt.Errorf("no HTTP answer to CONNECT: %w", err)
	}
	answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return nil, fmt.Errorf("it asks for a user and a password (%s), and we know only Basic", schemes(answer.Header))
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %q to CONNECT %s: let it permit that", printable(answer.Status), target)
	}
	return after(conn, r), nil
}

// proxyName is what may be said of a proxy: not its password, nor what stands
// behind a host, where a mistyped one may hide it.
func proxyName(u *url.URL) string { return printable(u.Scheme + "://" + u.Host) }

// schemes names the ways of authentication that a proxy offers.
func schemes(h http.Header) string {
	var names []string
	for _, v := range h.Values("Proxy-Authenticate") {
		name, _, _ := strings.Cut(v, " ")
		names = append(names, printable(name))
	}
	return strings.Join(names, ", ")
}

// hostPort gives where a URL's server listens, with the scheme's own port where
// the URL names none.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// prefixed is a connection of which some bytes were read ahead.
type prefixed struct {
	net.Conn
	ahead []byte
}

// after gives conn as it goes on behind what r was asked for.
func after(conn net.Conn, r *bufio.Reader) net.Conn {
	ahead, _ := r.Peek(r.Buffered())
	if len(ahead) == 0 {
		return conn
	}
	return &prefixed{conn, append([]byte(nil), ahead...)}
}

// Read gives what was read ahead first.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.ahead) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.ahead)
	p.ahead = p.ahead[n:]
	return n, nil
}
