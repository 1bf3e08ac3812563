// Package controltest plays a coordinator for tests of a node: it has the keys
// of a mesh and signs whatever it is told to, true or false, in any order. What
// a node asks is recorded; what it is answered, the test says.
//
// It serves wire.NodeService on TLS as a coordinator does, either on loopback or
// on connections in memory, so that time may be virtual.
package controltest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Coordinator is one that a test plays.
type Coordinator struct {
	Mesh   *Mesh
	URL    string
	Secret string // of the one token

	t       testing.TB
	memory  *memory
	end     func()
	streams chan *Stream

	connections atomic.Int64

	mu         sync.Mutex
	refuse     error // of unary calls
	acks       []wire.Position
	reports    []*wire.ReportRequest
	surrenders []*wire.SurrenderRequest
	enrolled   map[string]Enrolled
	chain      func(key.NodePublic) [][]byte
	signIns    SignIns
	active     []time.Time
	pauses     []time.Duration
	busy       []string
}

// Enrolled is who spent the token.
type Enrolled struct {
	Key       key.NodePublic
	Name      string
	System    string
	Statement *wire.Statement
}

// OnLoopback serves on a port of this machine, in real time.
func OnLoopback(t testing.TB) *Coordinator {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newCoordinator(t, "https://"+l.Addr().String())
	c.serve(l)
	return c
}

// InMemory serves on connections in memory, which [Coordinator.Dial] opens. It
// may be made in a synctest bubble.
func InMemory(t testing.TB) *Coordinator {
	c := newCoordinator(t, "https://coordinator.test:8443")
	c.memory = newMemory()
	c.serve(c.memory)
	return c
}

func newCoordinator(t testing.TB, url string) *Coordinator {
	m := NewMesh(t)
	return &Coordinator{
		Mesh: m, URL: url, Secret: "0123456789abcdefghijklmnopqrstuv", t: t, streams: make(chan *Stream, 64),
		enrolled: map[string]Enrolled{}, chain: m.NodeChain,
	}
}

func (c *Coordinator) serve(l net.Listener) {
	mux := http.NewServeMux()
	path, handler := wire.NewNodeServiceHandler((*service)(c))
	mux.Handle(path, withCaller(handler))
	s := &http.Server{Handler: mux, TLSConfig: c.Mesh.ServerTLS(), ErrorLog: discard(), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.connections.Add(1)
		}
	}}
	done := make(chan struct{})
	go func() { defer close(done); s.ServeTLS(l, "", "") }()
	c.end = func() { s.Close(); <-done }
	c.t.Cleanup(c.end)
}

// Dial opens a connection to a coordinator in memory.
func (c *Coordinator) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return c.memory.dial(ctx)
}

// Cut breaks every connection in memory, and while down is true refuses new ones.
func (c *Coordinator) Cut(down bool) { c.memory.cut(down) }

// Close ends the coordinator for good.
func (c *Coordinator) Close() { c.end() }

// Enrolment is the one string.
func (c *Coordinator) Enrolment() string {
	return wire.Enrolment{URL: c.URL, Fingerprint: c.Mesh.Root.Public().Fingerprint(), Secret: c.Secret}.Reveal()
}

// Refuse lets every unary call fail so, until it is called with nil.
func (c *Coordinator) Refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

// Certify changes what Renew and Enrol answer.
func (c *Coordinator) Certify(chain func(key.NodePublic) [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chain = chain
}

// Next is the next session that a node begins. It fails the test after a minute, by the
// test's clock: a node that was refused for long waits up to 45 seconds.
func (c *Coordinator) Next() *Stream {
	c.t.Helper()
	select {
	case s := <-c.streams:
		return s
	case <-time.After(time.Minute):
		c.t.Fatal("no node asked for its map")
		return nil
	}
}

// Waiting tells how many sessions began that Next did not give yet.
func (c *Coordinator) Waiting() int { return len(c.streams) }

// Connections counts those that were ever opened.
func (c *Coordinator) Connections() int { return int(c.connections.Load()) }

// Acknowledged, Reports, Surrendered and Enrolled tell what was asked so far.
func (c *Coordinator) Acknowledged() []wire.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]wire.Position(nil), c.acks...)
}

// Reports gives every report so far.
func (c *Coordinator) Reports() []*wire.ReportRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*wire.ReportRequest(nil), c.reports...)
}

// Surrendered gives every Surrender so far.
func (c *Coordinator) Surrendered() []*wire.SurrenderRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*wire.SurrenderRequest(nil), c.surrenders...)
}

// Enrolled gives who joined under a name.
func (c *Coordinator) Enrolled(name string) (Enrolled, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.enrolled[name]
	return e, ok
}

// Stream is one session of a node.
type Stream struct {
	Request *wire.FollowRequest
	Caller  key.NodePublic

	out  chan *wire.FollowResponse
	end  chan error
	gone <-chan struct{} // closed when the node has left
}

// Send gives the node messages, in order. It tells whether the node was there.
func (s *Stream) Send(messages ...*wire.FollowResponse) bool {
	for _, m := range messages {
		select {
		case s.out <- m:
		case <-s.gone:
			return false
		}
	}
	return true
}

// End ends the session with an error, or without.
func (s *Stream) End(err error) {
	select {
	case s.end <- err:
	case <-s.gone:
	}
}

// Gone is closed when the node has left.
func (s *Stream) Gone() <-chan struct{} { return s.gone }

// Signed, Keys, Current, Hints and Heartbeat wrap messages for Send.
func Signed(s *wire.Signed) *wire.FollowResponse {
	return &wire.FollowResponse{Message: &wire.FollowResponse_Signed{Signed: s}}
}

// Unhurried says of a message that nobody waits for its acknowledgement.
func Unhurried(m *wire.FollowResponse) *wire.FollowResponse {
	m.Unhurried = true
	return m
}

// Keys wraps map key certificates.
func Keys(certs ...*wire.MapKeyCertificate) *wire.FollowResponse {
	return &wire.FollowResponse{Message: &wire.FollowResponse_Keys{Keys: &wire.Keys{MapKeys: certs}}}
}

// Current says that the node's map is the one that it should have.
func Current() *wire.FollowResponse {
	return &wire.FollowResponse{Message: &wire.FollowResponse_Current{Current: &wire.Current{}}}
}

// Heartbeat says that the coordinator is there.
func Heartbeat() *wire.FollowResponse {
	return &wire.FollowResponse{Message: &wire.FollowResponse_Heartbeat{Heartbeat: &wire.Heartbeat{}}}
}

// Hints says where a peer may be.
func Hints(node string, endpoints ...string) *wire.FollowResponse {
	h := &wire.Hints{Peers: []*wire.PeerEndpoints{{Node: node, Endpoints: endpoints, Online: true}}}
	return &wire.FollowResponse{Message: &wire.FollowResponse_Hints{Hints: h}}
}

// HomeRelay says which relay a peer has for a home.
func HomeRelay(node, relay string) *wire.FollowResponse {
	h := Hints(node)
	h.GetHints().Peers[0].Relay = relay
	return h
}

// Relays says which relays there are.
func Relays(m *wire.Relays) *wire.FollowResponse {
	return &wire.FollowResponse{Message: &wire.FollowResponse_Relays{Relays: m}}
}

// ErrAborted is how a restored coordinator asks for revocations.
func ErrAborted() error {
	return connect.NewError(connect.CodeAborted, errors.New("this coordinator was restored and lacks revocations"))
}
