package node_test

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a rootless node with its local API, and what a user can ask of it.
type machine struct {
	*local.Client
	t      testing.TB
	c      *controltest.Coordinator
	name   string
	addr   string
	cfg    node.Config
	node   *node.Node
	cancel context.CancelFunc
	ended  chan error
	key    key.NodePublic
}

func newMachine(t testing.TB, c *controltest.Coordinator, name, addr string) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "cordon-node-") // short: a socket's path has a hundred bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &machine{t: t, c: c, name: name, addr: addr, cfg: node.Config{
		StateDir: filepath.Join(dir, "state"), Socket: filepath.Join(dir, "s"), Userspace: true, Version: "test", Log: slog.New(slog.DiscardHandler),
	}}
	m.run()
	t.Cleanup(m.end)
	return m
}

func (m *machine) run() {
	m.t.Helper()
	n, err := node.New(m.cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.node, m.cancel, m.ended, m.Client = n, cancel, make(chan error, 1), local.NewClient(m.cfg.Socket)
	go func() { m.ended <- n.Run(ctx) }()
	m.eventually("the daemon answers", func() bool { _, err := m.Status(m.t.Context()); return err == nil })
}

func (m *machine) end() {
	if m.cancel == nil {
		return
	}
	m.cancel()
	if err := <-m.ended; err != nil {
		m.t.Errorf("%s: Run: %v", m.name, err)
	}
	m.Client.Close()
	m.cancel = nil
}

func (m *machine) eventually(what string, f func() bool) {
	m.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(end) {
			s, err := m.Status(m.t.Context())
			m.t.Fatalf("%s: not within 30 s: %s; status %+v, %v", m.name, what, s, err)
		}
	}
}

func (m *machine) status() *local.Status {
	m.t.Helper()
	s, err := m.Status(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// join lets the node enrol, and gives its session; it has no map yet.
func (m *machine) join() (s *controltest.Stream, up chan error) {
	m.t.Helper()
	up = make(chan error, 1)
	go func() {
		_, err := m.Up(m.t.Context(), local.UpRequest{Enrolment: m.c.Enrolment(), Name: m.name})
		up <- err
	}()
	s = m.c.Next()
	who, ok := m.c.Enrolled(m.name)
	if !ok || who.Key != s.Caller {
		m.t.Fatalf("%s did not enrol, or another node follows", m.name)
	}
	m.key = who.Key
	return s, up
}

func (m *machine) record() wire.PeerRecord {
	who, _ := m.c.Enrolled(m.name)
	return controltest.Peer(who.Key, who.Statement, m.name, m.addr)
}

// full is this node's map at a revision.
func (m *machine) full(revision uint64, ports []uint16, peers ...wire.PeerRecord) wire.Map {
	return controltest.Map(controltest.At(1, 1, revision), controltest.Self(m.key, m.name, m.addr), ports, peers...)
}

// give sends a map, and the lease that stands behind it.
func (m *machine) give(s *controltest.Stream, next wire.Map) {
	m.t.Helper()
	m.send(s, wire.NewFull(m.c.Mesh.To(m.key), next))
	m.standBehind(s, next)
}

func (m *machine) standBehind(s *controltest.Stream, given wire.Map) {
	m.t.Helper()
	m.send(s, wire.NewLease(m.c.Mesh.ID(), given.Position(), time.Now()))
}

func (m *machine) send(s *controltest.Stream, e *wire.Envelope) {
	m.t.Helper()
	if !s.Send(controltest.Signed(m.c.Mesh.Sign(e))) {
		m.t.Fatalf("%s has left", m.name)
	}
}

// whereabouts tells the node where another is.
func (m *machine) whereabouts(s *controltest.Stream, other *machine) {
	other.eventually("it has a port", func() bool { return other.status().Port != 0 })
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), other.status().Port)
	s.Send(controltest.Hints(wire.NodeID(other.key), at.String()))
}

// pair is two nodes in one mesh that may reach each other's port 443.
func pair(t *testing.T) (a, b *machine, sa, sb *controltest.Stream) {
	t.Helper()
	c := controltest.OnLoopback(t)
	a, b = newMachine(t, c, "ward", "100.64.0.1"), newMachine(t, c, "ehr", "100.64.0.2")
	sa, upA := a.join()
	sb, upB := b.join()
	a.give(sa, a.full(5, []uint16{443}, b.record()))
	b.give(sb, b.full(5, []uint16{443}, a.record()))
	for _, up := range []chan error{upA, upB} {
		if err := <-up; err != nil {
			t.Fatal(err)
		}
	}
	a.whereabouts(sa, b)
	b.whereabouts(sb, a)
	return a, b, sa, sb
}
