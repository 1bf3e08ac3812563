package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// ServerName is what an operator's tool asks for in its client hello: like a
// node it then sees the mesh's own certificate and can check the pin, but is
// not asked for one of its own.
const ServerName = "admin.cordon.internal"

const credentialScheme = "cordon-admin:"

// Credential is the one string that a tool needs to operate a mesh over TLS:
// like an enrolment string, with a scheme of its own so that neither is taken
// for the other.
type Credential struct {
	URL         string
	Fingerprint key.Fingerprint
	Secret      string
}

// ParseCredential reads what Reveal wrote. Errors never repeat the input.
func ParseCredential(text string) (Credential, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), credentialScheme)
	if !ok {
		return Credential{}, fmt.Errorf("not an admin credential: it must begin with %q", credentialScheme)
	}
	e, err := wire.ParseEnrolment("cordon:" + rest)
	if err != nil {
		return Credential{}, fmt.Errorf("not an admin credential: %w", err)
	}
	return Credential(e), nil
}

// Reveal gives the string itself, secret included.
func (c Credential) Reveal() string {
	return credentialScheme + strings.TrimPrefix(wire.Enrolment(c).Reveal(), "cordon:")
}

// Format hides the secret, whatever the verb.
func (c Credential) Format(f fmt.State, _ rune) {
	io.WriteString(f, credentialScheme+c.URL+"#"+c.Fingerprint.String()+".(hidden)")
}

// Client is an operator's side of the admin API.
type Client struct {
	AdminServiceClient
	transport *http.Transport
}

// NewSocketClient makes a client of the coordinator whose admin socket is at path.
func NewSocketClient(path string) *Client {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	return &Client{NewAdminServiceClient(&http.Client{Transport: t}, "http://cordon"), t}
}

// NewTLSClient makes a client that brings a credential.
func NewTLSClient(c Credential) *Client {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, ServerName: ServerName,
			InsecureSkipVerify: true, // VerifyConnection holds the server against the pin instead
			VerifyConnection:   func(s tls.ConnectionState) error { return verify(s, c.Fingerprint) },
		},
	}
	bearer := connect.WithInterceptors(authorize{"Bearer " + c.Secret})
	return &Client{NewAdminServiceClient(&http.Client{Transport: t}, c.URL, bearer), t}
}

// Close ends idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

func verify(s tls.ConnectionState, pin key.Fingerprint) error {
	var chain [][]byte
	for _, cert := range s.PeerCertificates {
		chain = append(chain, cert.Raw)
	}
	_, err := wire.VerifyCoordinator(chain, pin, time.Now())
	return err
}

// authorize puts the bearer token on every call.
type authorize struct{ value string }

func (a authorize) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		r.Header().Set("Authorization", a.value)
		return next(ctx, r)
	}
}

func (a authorize) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, s connect.Spec) connect.StreamingClientConn {
		c := next(ctx, s)
		c.RequestHeader().Set("Authorization", a.value)
		return c
	}
}

func (a authorize) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// Problems gives what a refused policy is refused for; nil for another error.
func Problems(err error) []*Problem {
	var answer *connect.Error
	if !errors.As(err, &answer) {
		return nil
	}
	for _, d := range answer.Details() {
		if v, err := d.Value(); err == nil {
			if c, ok := v.(*CheckPolicyResponse); ok {
				return c.Problems
			}
		}
	}
	return nil
}

// CopyBackup writes a sealed copy of the coordinator's state to w, and tells
// how many bytes it has.
func (c *Client) CopyBackup(ctx context.Context, w io.Writer) (size int64, err error) {
	stream, err := c.Backup(ctx, connect.NewRequest(&BackupRequest{}))
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	for stream.Receive() {
		n, err := w.Write(stream.Msg().Data)
		size += int64(n)
		if err != nil {
			return size, err
		}
	}
	return size, stream.Err()
}
