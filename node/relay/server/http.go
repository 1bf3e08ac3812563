package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/coder/websocket"

	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/internal/backlog"
)

// ServeHTTP takes a request with `Upgrade: cordon-relay`, or a WebSocket with that
// subprotocol, over TLS 1.3. Another GET is answered with 204, by which nodes
// measure the way to a relay.
//
// It believes no header that tells of somebody else's address or TLS, and speaks
// to no web page's script: a request with an Origin is refused.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", relay.UpgradeToken)
	switch upgrade := r.Header.Get("Upgrade"); {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
	case r.Header.Get("Origin") != "":
		http.Error(w, "a relay does not serve web pages", http.StatusForbidden)
	case strings.EqualFold(upgrade, relay.UpgradeToken):
		s.upgrade(w, r, s.hijack)
	case strings.EqualFold(upgrade, "websocket"):
		s.upgrade(w, r, webSocket)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// taken is a connection that was taken over from the HTTP server, and what is to
// be written on it first.
type taken struct {
	net.Conn
	greeting []byte
}

func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, take func(http.ResponseWriter, *http.Request) (taken, error)) {
	binding, err := relay.BindingOf(r.TLS)
	if err != nil {
		http.Error(w, "want TLS 1.3 from the node to here", http.StatusBadRequest)
		return
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, "the address of the request cannot be read", http.StatusBadRequest)
		return
	}
	source := sourceOf(at.Addr())
	if !s.gate.enter(source) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many connections at once: try again", http.StatusServiceUnavailable)
		return
	}
	conn, err := take(w, r)
	if err != nil {
		s.gate.leave(source)
		s.cfg.Log.Debug("relay: upgrade failed", "reason", err)
		return
	}
	if !s.enter(conn.Conn) {
		s.gate.leave(source)
		return
	}
	c := s.meet(conn.Conn, conn.greeting, binding)
	s.gate.leave(source)
	if c != nil {
		// The HTTP server's own goroutine ends here, with its buffers, and with a
		// stack on which signatures were verified.
		go s.attend(c)
	}
}

// hijack takes the bare connection. The client says nothing before the relay
// does: what it sent already was not meant for us.
func (s *Server) hijack(w http.ResponseWriter, r *http.Request) (taken, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "cannot upgrade: want HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return taken{}, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		conn.Close()
		return taken{}, fmt.Errorf("%d bytes before the relay's challenge", n)
	}
	backlog.Bound(conn)
	return taken{conn, []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + relay.UpgradeToken + "\r\n\r\n")}, nil
}

// socket is a WebSocket as a stream.
type socket struct {
	net.Conn
	ws *websocket.Conn
}

// Close ends the connection at once, without WebSocket's closing handshake.
func (s socket) Close() error { return s.ws.CloseNow() }

func webSocket(w http.ResponseWriter, r *http.Request) (taken, error) {
	if r.Header.Get("Sec-WebSocket-Protocol") != relay.UpgradeToken {
		http.Error(w, "want the subprotocol "+relay.UpgradeToken, http.StatusBadRequest)
		return taken{}, errors.New("WebSocket of another subprotocol")
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{relay.UpgradeToken}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return taken{}, err
	}
	// Not the request's context, which ends when the handler returns.
	return taken{socket{websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws}, nil}, nil
}
