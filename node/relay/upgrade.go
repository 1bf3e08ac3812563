package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/cordonmesh/cordon/node/internal/reasons"
)

// Once a WebSocket worked where Upgrade did not, it goes first for so long.
const webSocketFirst = time.Hour

// maxAnswer is how much a server may say before the connection is upgraded.
const maxAnswer = 16 << 10

// Open opens a connection to the relay: through the proxy if there is one, by
// Upgrade, or as a WebSocket where Upgrade is not understood. It fails with
// [ErrProxy], [ErrRelayKey], [ErrUpgrade], [ErrTLSBroken], or what the network says.
func (d *Dialer) Open(ctx context.Context) (*Stream, error) {
	u, err := d.target()
	if err != nil {
		return nil, err
	}
	var plain error
	if !d.prefersWebSocket() {
		var s *Stream
		if s, plain = d.open(ctx, u, upgrade); plain == nil || !errors.Is(plain, ErrUpgrade) {
			return s, plain
		}
	}
	s, err := d.open(ctx, u, webSocket)
	if err != nil {
		return nil, reasons.Join(plain, err)
	}
	s.Way.WebSocket = true
	d.mu.Lock()
	defer d.mu.Unlock()
	if plain != nil {
		d.webSocket = time.Now().Add(webSocketFirst)
	}
	return s, nil
}

func (d *Dialer) prefersWebSocket() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.OnlyWebSocket || time.Now().Before(d.webSocket)
}

type upgradeFunc func(context.Context, *tls.Conn, *url.URL) (net.Conn, error)

func (d *Dialer) open(ctx context.Context, u *url.URL, up upgradeFunc) (*Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	conn, way, err := d.secure(ctx, u)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	state := conn.ConnectionState()
	binding, err := BindingOf(&state)
	if err == nil {
		var stream net.Conn
		if stream, err = up(ctx, conn, u); err == nil {
			return &Stream{Conn: stream, Binding: binding, Way: way}, nil
		}
	}
	conn.Close()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("relay %s: %w", u.Host, context.Cause(ctx))
	}
	return nil, err
}

// upgrade asks for the relay's own protocol (RFC 9110 section 7.8).
func upgrade(_ context.Context, conn *tls.Conn, u *url.URL) (net.Conn, error) {
	request := "GET " + u.EscapedPath() + " HTTP/1.1\r\nHost: " + u.Host +
		"\r\nConnection: Upgrade\r\nUpgrade: " + UpgradeToken + "\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	r := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: no HTTP answer to Upgrade: %w", ErrUpgrade, err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols || !strings.EqualFold(answer.Header.Get("Upgrade"), UpgradeToken) {
		return nil, refusedUpgrade(answer)
	}
	return after(conn, r), nil
}

// refusedUpgrade tells a relay that refuses from something that does not
// understand: only with the latter is another way worth a try.
func refusedUpgrade(answer *http.Response) error {
	if answer.StatusCode == http.StatusServiceUnavailable {
		return &RefusedError{Code: Later, Text: "the relay takes no more connections now: " + printable(answer.Status)}
	}
	return fmt.Errorf("%w: it answers %q to Upgrade", ErrUpgrade, printable(answer.Status))
}

// once gives the one connection that is there to an HTTP client.
type once struct{ conn *tls.Conn }

func (o once) dial(context.Context, string, string) (net.Conn, error) { return o.conn, nil }

// socket is a WebSocket as a stream. Its Close ends the TLS connection at once, without
// the closing handshake of WebSocket, for which it would have to wait.
type socket struct {
	net.Conn
	under *tls.Conn
}

// Close closes the connection.
func (s socket) Close() error { return s.under.Close() }

// webSocket asks for a WebSocket with the relay's subprotocol (RFC 6455).
func webSocket(ctx context.Context, conn *tls.Conn, u *url.URL) (net.Conn, error) {
	transport := &http.Transport{DialTLSContext: once{conn}.dial, MaxResponseHeaderBytes: maxAnswer}
	ws, answer, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport},
		Subprotocols: []string{UpgradeToken}, CompressionMode: websocket.CompressionDisabled})
	switch {
	case err != nil && answer != nil && answer.StatusCode != http.StatusSwitchingProtocols:
		return nil, refusedUpgrade(answer)
	case err != nil:
		return nil, fmt.Errorf("%w: WebSocket: %w", ErrUpgrade, err)
	case ws.Subprotocol() != UpgradeToken:
		return nil, fmt.Errorf("%w: its WebSocket does not speak %s", ErrUpgrade, UpgradeToken)
	}
	// Not ctx, which ends when the connection is open.
	return socket{websocket.NetConn(context.Background(), ws, websocket.MessageBinary), conn}, nil
}
