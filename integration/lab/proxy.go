//go:build linux

package lab

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// ServeProxies opens the HTTP proxies of the sites that have no other way out.
func (l *Lab) ServeProxies(sites ...Site) {
	l.t.Helper()
	for _, s := range sites {
		if s.Wall == ThroughHTTP {
			router := l.Host(s.Name + "-r")
			router.ServeProxy(netip.AddrPortFrom(router.Addr4(), proxyPort), proxyAccount)
		}
	}
}

// ServeProxy is an HTTP proxy on the host that knows CONNECT to port 443 and
// nothing else, for those who say user:password. It finds the lab's names.
func (h *Host) ServeProxy(at netip.AddrPort, account string) {
	h.lab.t.Helper()
	p := &proxy{host: h, want: "Basic " + base64.StdEncoding.EncodeToString([]byte(account))}
	h.lab.atEnd(p.tunnels.Wait) // after the server has closed what they read from
	h.ServeHTTP(at, p)
}

type proxy struct {
	host    *Host
	want    string // of Proxy-Authorization
	tunnels sync.WaitGroup
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Proxy-Authorization") != p.want {
		w.Header().Set("Proxy-Authenticate", `Basic realm="lab"`)
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
		return
	}
	name, port, err := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || err != nil || port != "443" {
		http.Error(w, "CONNECT to port 443 alone", http.StatusForbidden)
		return
	}
	out, err := p.dial(r, name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		out.Close()
		return
	}
	io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
	p.tunnels.Go(func() { p.splice(in, out) })
}

func (p *proxy) dial(r *http.Request, name string) (net.Conn, error) {
	addrs := p.host.lab.top.Names[name]
	if a, err := netip.ParseAddr(name); err == nil {
		addrs = []netip.Addr{a}
	}
	var last error = &net.DNSError{Err: "no such name in the lab", Name: name, IsNotFound: true}
	for _, a := range addrs {
		conn, err := p.host.Dial(r.Context(), "tcp", netip.AddrPortFrom(a, 443))
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

// splice carries bytes both ways until either end, or the lab, is done.
func (p *proxy) splice(in, out net.Conn) {
	stop := make(chan struct{})
	p.host.lab.atEnd(func() { in.Close(); out.Close(); <-stop })
	defer close(stop)
	back := make(chan struct{})
	go func() {
		defer close(back)
		io.Copy(in, out)
		in.Close()
	}()
	io.Copy(out, in)
	out.Close()
	<-back
}
