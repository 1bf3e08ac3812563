// Package relaytest is for tests of what meets a relay: a mesh that gives tickets
// without a coordinator, relays on pipes and on loopback, proxies, and boxes that
// break what passes them.
package relaytest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// Mesh is what a coordinator would hold to give tickets.
type Mesh struct {
	root        key.RootPrivate
	mapKey      key.MapPrivate
	certificate *wire.MapKeyCertificate
}

// NewMesh makes a mesh whose map key is good for a day around now.
func NewMesh() *Mesh {
	m := &Mesh{root: key.NewRoot(), mapKey: key.NewMap()}
	now := time.Now()
	m.certificate = wire.SignMapKey(&m.root, wire.MapKey{Key: m.mapKey.Public(), Replica: "test",
		NotBefore: now.Add(-12 * time.Hour), NotAfter: now.Add(12 * time.Hour)})
	return m
}

// Fingerprint is what a relay must know of the mesh.
func (m *Mesh) Fingerprint() key.Fingerprint { return m.root.Public().Fingerprint() }

// Ticket gives a ticket for a node, good for life from a minute ago.
func (m *Mesh) Ticket(node key.NodePublic, life time.Duration) []byte {
	return m.TicketOf(wire.RelayPermit{Node: node, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(life)})
}

// TicketOf gives a ticket that says p.
func (m *Mesh) TicketOf(p wire.RelayPermit) []byte {
	return wire.SignRelayTicket(&m.mapKey, m.certificate, m.root.Public(), p)
}

// New makes a relay for meshes. It is shut down with the test.
func New(t testing.TB, cfg server.Config, meshes ...*Mesh) *server.Server {
	t.Helper()
	for _, m := range meshes {
		cfg.Roots = append(cfg.Roots, m.Fingerprint())
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Stop(s) })
	return s
}

// Stop ends a relay at once.
func Stop(s *server.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
}

// Pipe gives an Open that reaches s in memory.
func Pipe(s *server.Server) func(context.Context) (*relay.Stream, error) {
	return func(context.Context) (*relay.Stream, error) {
		near, far := net.Pipe()
		binding := relay.Binding(relay.NewChallenge().Nonce)
		go s.Serve(far, binding) // ends with the pipe, and Shutdown waits for it
		return &relay.Stream{Conn: near, Binding: binding}, nil
	}
}

// Datagram is what a node received.
type Datagram struct {
	From key.NodePublic
	Text string
}

// Node is a node with a client that runs.
type Node struct {
	*relay.Client
	Key    key.NodePrivate
	In     chan Datagram    // holds 1,000; more are lost
	States chan relay.State // holds 100
	Gone   chan key.NodePublic
	stop   func()
}

// Connect starts a node with a ticket for a day. It stops with the test.
func (m *Mesh) Connect(t testing.TB, open func(context.Context) (*relay.Stream, error)) *Node {
	t.Helper()
	return m.ConnectAs(t, key.NewNode(), relay.NewInstance(), open)
}

// ConnectAs is Connect with the given key and run of a daemon.
func (m *Mesh) ConnectAs(t testing.TB, k key.NodePrivate, i relay.Instance, open func(context.Context) (*relay.Stream, error)) *Node {
	t.Helper()
	n := &Node{Key: k, In: make(chan Datagram, 1000), States: make(chan relay.State, 100), Gone: make(chan key.NodePublic, 1000)}
	n.Client = relay.NewClient(relay.ClientConfig{Open: open, Node: &n.Key, Instance: i,
		Receive: func(from key.NodePublic, b []byte) { put(n.In, Datagram{from, string(b)}) },
		Gone:    func(peer key.NodePublic, _ relay.Reason) { put(n.Gone, peer) },
		OnState: func(s relay.State) { put(n.States, s) },
	})
	if err := n.SetTicket(m.Ticket(k.Public(), 12*time.Hour)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = func() {
		if cancel(); ctx != nil {
			<-done
			ctx = nil
		}
	}
	t.Cleanup(n.stop)
	return n
}

// Stop ends the node.
func (n *Node) Stop() { n.stop() }

// Public gives the node's public key.
func (n *Node) Public() key.NodePublic { return n.Key.Public() }

// Await waits for a state that fits.
func (n *Node) Await(t testing.TB, fits func(relay.State) bool) relay.State {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case s := <-n.States:
			if fits(s) {
				return s
			}
		case <-late:
			t.Fatal("the state does not come")
		}
	}
}

// Up waits until the node is connected.
func (n *Node) Up(t testing.TB) relay.State {
	t.Helper()
	return n.Await(t, func(s relay.State) bool { return s.Connected })
}

// Down waits until the node is not connected, and gives the reason.
func (n *Node) Down(t testing.TB) error {
	t.Helper()
	return n.Await(t, func(s relay.State) bool { return !s.Connected }).Err
}

// Expect waits for a datagram.
func (n *Node) Expect(t testing.TB, from *Node, text string) {
	t.Helper()
	select {
	case got := <-n.In:
		if want := (Datagram{from.Public(), text}); got != want {
			t.Fatalf("received %q of %s, want %q of %s", got.Text, got.From.Short(), text, want.From.Short())
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%q did not arrive", text)
	}
}

func put[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}
