// Package server is the relay: it takes sealed datagrams from nodes and gives
// them to the nodes whose keys they are addressed to. It is an [http.Handler]
// ([Server]), so that it can stand inside a coordinator's port, and a program of
// its own ([Run]).
//
// What it promises:
//
//   - It needs nobody: a ticket is verified with the fingerprint of a mesh root
//     and a clock. It serves on while every coordinator is down.
//   - It is no proxy. A datagram goes to a node of the sender's own mesh that is
//     connected here, or nowhere; no frame names an address, and the relay opens
//     no connection.
//   - A client is who it proved to be, on this TLS connection. The source of a
//     datagram is the key of the connection that it came in on.
//   - Who reads slowly loses its oldest datagrams and delays nobody. Who sends
//     too much is read more slowly and takes only its share of a queue.
//   - It holds keys and counts, and no datagram longer than its way out. It logs
//     neither addresses of peers nor who speaks with whom.
//   - Strangers cost little: a bounded number of them is let as far as the proof,
//     each for 10 seconds.
//
// An idle client costs one goroutine and no buffer: one that reads its
// connection, another while there is something to write.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/internal/fair"
)

// Config says whom a relay serves and with how much. Zero numbers mean the
// defaults.
type Config struct {
	// Roots are the fingerprints of the mesh roots whose nodes are served. At
	// least one: a relay that serves everybody would be an open one.
	Roots []key.Fingerprint

	MaxClients   int    // connections of one mesh; 20,000
	MaxPending   int    // strangers, before their proof; 4,096
	MaxPerSource int    // strangers of one IPv4 address or IPv6 /64; 256
	Rate         uint64 // bytes a second that one client may send; 64 MiB
	FrameRate    uint64 // frames a second that one client may send; 100,000
	QueueBytes   int    // that wait for one client; 512 KiB
	QueueFrames  int    // that wait for one client; 1,024

	// Admit has a last word on each client, such as a coordinator's that knows who
	// was removed a moment ago. It must not block. nil: the ticket decides.
	Admit func(wire.RelayPermit) error

	Now func() time.Time // the wall clock, for tickets; nil: time.Now
	Log *slog.Logger     // nil: none
}

// minRate lets the longest frame through in a second.
const minRate = relay.MaxFrame

func (c *Config) fill() error {
	if len(c.Roots) == 0 {
		return errors.New("relay: Roots: none is given: want the fingerprint of at least one mesh root")
	}
	or := func(v *int, fallback int) {
		if *v == 0 {
			*v = fallback
		}
	}
	or(&c.MaxClients, 20_000)
	or(&c.MaxPending, 4096)
	or(&c.MaxPerSource, 256)
	or(&c.QueueBytes, 512<<10)
	or(&c.QueueFrames, 1024)
	if c.Rate == 0 {
		c.Rate = 64 << 20
	}
	if c.FrameRate == 0 {
		c.FrameRate = 100_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.MaxClients < 1, c.MaxPending < 1, c.MaxPerSource < 1, c.QueueFrames < 1:
		return fmt.Errorf("relay: MaxClients %d, MaxPending %d, MaxPerSource %d, QueueFrames %d: want each at least 1",
			c.MaxClients, c.MaxPending, c.MaxPerSource, c.QueueFrames)
	case c.Rate < minRate:
		return fmt.Errorf("relay: Rate: %d bytes a second are not allowed: want at least %d, one frame of the longest", c.Rate, minRate)
	case c.QueueBytes < fair.Largest:
		return fmt.Errorf("relay: QueueBytes: %d is not allowed: want at least %d, one frame of the longest", c.QueueBytes, fair.Largest)
	}
	return nil
}

// Server is a relay. Make one with [New], and end it with [Server.Shutdown].
type Server struct {
	cfg    Config
	pool   fair.Pool
	gate   *gate
	counts counts
	meshes map[wire.MeshID]*mesh // as Roots says; never changes

	mu       sync.Mutex
	draining bool
	open     map[io.Closer]struct{} // every connection that is served, strangers too
	running  sync.WaitGroup         // one for each of open, and for each that writes
}

// New makes a relay, or says what is wrong with cfg.
func New(cfg Config) (*Server, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, meshes: make(map[wire.MeshID]*mesh), open: make(map[io.Closer]struct{})}
	s.gate = newGate(cfg.MaxPending, cfg.MaxPerSource)
	for _, root := range cfg.Roots {
		s.meshes[wire.MeshID(root[:16])] = &mesh{members: make(map[key.NodePublic]*member)}
	}
	return s, nil
}

// Serve speaks with one client on conn, whose ends are bound together by
// binding, until the connection ends, and closes it.
func (s *Server) Serve(conn net.Conn, binding relay.Binding) {
	if s.enter(conn) {
		if c := s.meet(conn, nil, binding); c != nil {
			s.attend(c)
		}
	}
}

// enter notes that conn is served, unless the relay is stopping: then it is closed.
func (s *Server) enter(conn io.Closer) bool {
	if !s.note(conn) {
		conn.Close()
		return false
	}
	return true
}

func (s *Server) note(conn io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.open[conn] = struct{}{}
	s.running.Add(1)
	return true
}

// meet asks a connection that was entered who it is, and gives nil when it has
// ended with the answer. greeting goes out first.
func (s *Server) meet(conn net.Conn, greeting []byte, binding relay.Binding) *client {
	c, err := s.admit(conn, greeting, binding)
	if err != nil {
		s.refuse(conn, err)
		s.exit(conn)
		return nil
	}
	return c
}

// attend serves a client until its connection ends.
func (s *Server) attend(c *client) {
	defer s.exit(c.conn)
	defer s.leave(c)
	c.finish(c.read())
}

// exit undoes enter, and closes conn.
func (s *Server) exit(conn io.Closer) {
	conn.Close()
	s.forget(conn)
	s.running.Done()
}

func (s *Server) forget(conn io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

// Drop ends the connections of a node, such as one that was removed from its
// mesh, and tells it why. Its ticket stays good: see Config.Admit.
func (s *Server) Drop(node key.NodePublic, why string) {
	for _, m := range s.meshes {
		for _, c := range m.of(node) {
			c.end(relay.Denied, why)
		}
	}
}

// Shutdown tells all clients that the relay stops, takes no new ones, waits until
// they have left or ctx is done, and ends what is left. It may be called more
// than once.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	for _, m := range s.meshes {
		for _, c := range m.all() {
			c.notice(relay.Draining, "this relay is about to stop")
		}
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.closeAll()
		<-done
	}
}

// closeAll closes what is served. Closing TLS writes, so nobody waits for it with
// the lock held: connections that end meanwhile take it too.
func (s *Server) closeAll() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, conn := range open {
		conn.Close()
	}
}
