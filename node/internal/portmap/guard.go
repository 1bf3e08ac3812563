package portmap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	// maxBody bounds what is read of a gateway's answer over HTTP, in bytes, and
	// maxHead its header. Descriptions are a few KiB. It bounds memory too: the
	// shortest element that becomes a device is 9 bytes long and costs half a
	// thousand, and encoding/xml knows no entities that multiply.
	maxBody = 64 << 10
	maxHead = 16 << 10
	// requestFor bounds a request with its answer.
	requestFor = 2 * time.Second
)

var errTooLong = errors.New("its answer is too long")

// guarded makes an HTTP client that speaks to the gateway and nobody else,
// whatever a description says, and that nobody can make read without end.
func guarded(n Network, s sockets) http.Client {
	return http.Client{
		Timeout:       requestFor,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			DisableKeepAlives:      true,
			DisableCompression:     true, // a few bytes could stand for many
			MaxResponseHeaderBytes: maxHead,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				to, err := netip.ParseAddrPort(address)
				if err != nil || to.Addr().Unmap() != n.Gateway {
					return nil, fmt.Errorf("it points to %q, which is not the gateway", address)
				}
				ctx, cancel := withRequest(ctx)
				defer cancel()
				return s.dial(ctx, network, n.Local, netip.AddrPortFrom(n.Gateway, to.Port()))
			},
		}},
	}
}

// requestKey is where a request's context is found by its dial.
type requestKey struct{}

// withRequest has a dial end with its request. net/http lets it go on, for a later
// request to use: it would outlive whoever asked.
func withRequest(dial context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(dial)
	if request, ok := dial.Value(requestKey{}).(context.Context); ok {
		context.AfterFunc(request, cancel)
	}
	return ctx, cancel
}

// bounded ends a body that is too long with an error.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), requestKey{}, r.Context())))
	if err == nil {
		resp.Body = &shortBody{ReadCloser: resp.Body, left: maxBody}
	}
	return resp, err
}

type shortBody struct {
	io.ReadCloser
	left int
}

func (s *shortBody) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, errTooLong
	}
	n, err := s.ReadCloser.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}
