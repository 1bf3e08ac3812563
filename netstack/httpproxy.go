package netstack

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// maxRequestHead bounds an HTTP client's request line and headers in bytes.
const maxRequestHead = 16 << 10

// ServeCONNECT answers HTTP clients that ask for a tunnel by CONNECT (RFC 9110,
// 9.3.6), as browsers do for https, on ln until ctx ends, and then returns nil.
// Other methods are refused with 405, a destination outside the mesh with 403.
func (p *Proxy) ServeCONNECT(ctx context.Context, ln net.Listener) error {
	limits, err := p.Limits.orDefaults()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	return serve(ctx, ln, limits.Conns, func(ctx context.Context, c net.Conn) {
		p.http(ctx, c, limits)
	})
}

func (p *Proxy) http(ctx context.Context, c net.Conn, limits Limits) {
	c.SetDeadline(time.Now().Add(handshakeTime))
	head := bufio.NewReader(io.LimitReader(c, maxRequestHead))
	req, err := http.ReadRequest(head)
	if err != nil {
		respond(c, http.StatusBadRequest)
		return
	}
	if req.Method != http.MethodConnect {
		respond(c, http.StatusMethodNotAllowed)
		return
	}
	to, err := connectTarget(req.Host)
	if err != nil {
		respond(c, http.StatusBadRequest)
		return
	}
	c.SetDeadline(time.Time{})
	out, err := p.dial(ctx, to)
	if err != nil {
		respond(c, statusFor(err))
		return
	}
	defer context.AfterFunc(ctx, func() { out.Close() })()
	early, _ := head.Peek(head.Buffered()) // a client may speak before it is answered
	if _, err := out.Write(early); err != nil {
		abort(out)
		return
	}
	c.SetWriteDeadline(time.Now().Add(handshakeTime))
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		abort(out)
		return
	}
	c.SetWriteDeadline(time.Time{})
	p.Stack.splice(c, out, limits.Idle)
}

func connectTarget(hostport string) (socksTarget, error) {
	host, portText, err := net.SplitHostPort(hostport)
	if err != nil {
		return socksTarget{}, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return socksTarget{}, err
	}
	to := socksTarget{port: uint16(port)}
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		to.addr = a.Unmap()
	} else if to.name = host; !plainName(host) {
		return socksTarget{}, errSOCKSAddress
	}
	return to, nil
}

func statusFor(err error) int {
	switch {
	case errors.Is(err, errNotPermitted), errors.Is(err, ErrProhibited):
		return http.StatusForbidden
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

func respond(c net.Conn, status int) {
	c.SetWriteDeadline(time.Now().Add(handshakeTime))
	io.WriteString(c, "HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status)+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
