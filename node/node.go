// Package node is a machine's part in a mesh, and its policy enforcement point
// (NIST SP 800-207): it holds the machine's private keys, keeps tunnels to the
// peers of its map, and judges every packet in both directions. [New] and
// [Node.Run] are a daemon; with Config.Userspace the same node needs no rights
// on the machine, and [Node.Dial] and [Node.Listen] make it a library.
//
// This package assembles, and decides only in what order parts start and end.
// The follower (control) brings verified maps, the engine makes of them what
// plane, paths and the machine's network do, the local API shows it all.
//
// Nothing is permitted until a verified map is enforced, from the coordinator
// or from disk; from then on nothing here needs the coordinator.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/localapi"
	"github.com/cordonmesh/cordon/node/internal/policytime"
	"github.com/cordonmesh/cordon/node/internal/stock"
)

// Node is one machine in one mesh.
type Node struct {
	cfg   Config
	log   *slog.Logger
	dir   *control.Dir
	keys  *control.Keys
	clock *policytime.Clock
	line  control.Line // from enrolling to following

	subIDs subordinates

	lifecycle sync.Mutex // one Up or Down at a time
	start     chan *control.Identity
	joins     chan *join // the one of which no goroutine knows yet
	stop      chan chan struct{}

	mu       sync.Mutex
	identity *control.Identity // nil: never enrolled
	mesh     *mesh             // nil: down
	join     *join             // the last sign-in by which this machine joins; nil: there was none
	failed   error             // why the mesh ended by itself, and the daemon with it

	stockMu sync.Mutex // held until the engine was told
	stock   []stock.Peer
	heard   map[key.TunnelPublic]netip.AddrPort // where they were; never changed, only replaced
}

// New takes the state directory and reads or makes the node's keys.
func New(c Config) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Interface == "" {
		c.Interface = DefaultInterface
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := control.OpenDir(c.StateDir)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: c, subIDs: subordinates{subUIDs, nameSwitch}, log: c.Log, dir: dir, start: make(chan *control.Identity), joins: make(chan *join, 1), stop: make(chan chan struct{})}
	if err := n.load(); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return n, nil
}

func (n *Node) load() (err error) {
	if n.keys, err = n.dir.Keys(); err != nil {
		return err
	}
	if n.identity, err = n.dir.Identity(); err != nil {
		return err
	}
	if own := wire.NodeID(n.keys.Node.Public()); n.identity != nil && n.identity.Node != own {
		return fmt.Errorf("the state directory %s holds the identity of node %s and the key of node %s: restore both from one copy, or remove the directory and enrol again", n.dir.Path(), n.identity.Node, own)
	}
	if err := n.loadStock(); err != nil {
		return err
	}
	n.clock, err = policytime.New(policytime.Options{Store: policytime.File(n.dir.PolicyTimeFile()), Log: n.log})
	if err != nil {
		return fmt.Errorf("%w; check this machine's clock, remove %s and start again", err, n.dir.PolicyTimeFile())
	}
	return nil
}

// Run serves the local API and, once the node has an identity, the mesh, until
// ctx is done. It gives the state directory back at the end.
func (n *Node) Run(ctx context.Context) error {
	defer n.dir.Close()
	defer n.line.Close()
	n.tidyResolver()
	g, ctx := errgroup.WithContext(ctx)
	if n.cfg.Socket != "" {
		l, err := localapi.Listen(n.cfg.Socket)
		if err != nil {
			return err
		}
		g.Go(func() error { return localapi.Serve(ctx, l, (*daemon)(n), n.log) })
	}
	g.Go(func() error { return n.supervise(ctx) })
	g.Go(func() error { return n.keepJoining(ctx) })
	n.mu.Lock()
	id := n.identity
	n.mu.Unlock()
	if id != nil && !id.Stopped {
		g.Go(func() error { return n.begin(ctx, id) })
	}
	return g.Wait()
}

// supervise runs at most one mesh at a time, between start and stop.
func (n *Node) supervise(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case stopped := <-n.stop:
			close(stopped)
		case id := <-n.start:
			stopped, err := n.runMesh(ctx, id)
			if err != nil {
				n.mu.Lock()
				n.failed = err
				n.mu.Unlock()
			}
			if stopped != nil {
				close(stopped)
			}
			if err != nil {
				return err
			}
		}
	}
}

// runMesh runs the mesh until somebody asks it to stop, or ctx ends.
func (n *Node) runMesh(ctx context.Context, id *control.Identity) (stopped chan struct{}, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m, err := newMesh(n, id)
	if err != nil {
		return nil, err
	}
	n.setMesh(m)
	defer n.setMesh(nil)
	ended := make(chan error, 1)
	go func() { ended <- m.run(ctx) }()
	for {
		select {
		case stopped = <-n.stop:
			m.down.Store(true)
			cancel()
			return stopped, <-ended
		case again := <-n.start:
			n.log.Debug("already up", "node", again.Node)
		case err := <-ended:
			if ctx.Err() != nil {
				err = nil
			}
			return nil, err
		}
	}
}

func (n *Node) setMesh(m *mesh) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mesh = m
}

func (n *Node) current() (*control.Identity, *mesh) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity, n.mesh
}

func (n *Node) begin(ctx context.Context, id *control.Identity) error {
	select {
	case n.start <- id:
	case <-ctx.Done():
	}
	return nil
}

// port gives the UDP port to listen on: the configured one, or that of the last
// run if it is free, where peers and routers in between still expect this node.
func (n *Node) port() uint16 {
	if n.cfg.Port != 0 {
		return n.cfg.Port
	}
	last := n.dir.Port()
	probe, err := net.ListenPacket("udp", net.JoinHostPort("", strconv.Itoa(int(last))))
	if err != nil {
		return 0
	}
	probe.Close()
	return last
}

// Join enrols the node if it has no identity yet, and starts it.
func (n *Node) Join(ctx context.Context, enrolment, name string) error {
	n.lifecycle.Lock()
	defer n.lifecycle.Unlock()
	id, _ := n.current()
	if id == nil {
		e, err := wire.ParseEnrolment(enrolment)
		if err != nil {
			return err
		}
		if id, err = control.Enrol(ctx, n.dir, n.keys, e, name, n.cfg.Version, &n.line); err != nil {
			return err
		}
	} else if enrolment != "" {
		return fmt.Errorf("this node is enrolled already, at %s: `cordon up` without a string starts it; to join another mesh use another --state directory", id.URL)
	}
	id, err := n.note(id, false)
	if err != nil {
		// A full disk keeps nobody from the mesh who was in it.
		n.log.Error("noting that this node is up failed: after a restart it may be down", "error", err)
	}
	return n.begin(ctx, id)
}

// Leave stops tunnels and doors; the identity stays.
func (n *Node) Leave(ctx context.Context) error {
	n.lifecycle.Lock()
	defer n.lifecycle.Unlock()
	id, _ := n.current()
	if id == nil {
		return errors.New("this node never joined a mesh: there is nothing to take down")
	}
	stopped := make(chan struct{})
	select {
	case n.stop <- stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, err := n.note(id, true); err != nil {
		return fmt.Errorf("the node is down, but after a restart it will be up again: %w", err)
	}
	return nil
}

// note keeps whether the node is meant to be up, here and on the disk. The
// follower keeps other parts of the identity there.
func (n *Node) note(id *control.Identity, stopped bool) (*control.Identity, error) {
	kept, err := n.dir.UpdateIdentity(func(i *control.Identity) { i.Stopped = stopped })
	if err != nil {
		next := *id
		next.Stopped = stopped
		kept = &next
	}
	n.mu.Lock()
	n.identity = kept
	n.mu.Unlock()
	return kept, err
}

// errDown is returned by what needs the node to be up.
var errDown = errors.New("the node is down: start it with `cordon up`")

// Dial connects to an address or a peer's name in the mesh. Rootless nodes only.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, m := n.current()
	if m == nil {
		return nil, errDown
	}
	s, ok := m.world.(*stackWorld)
	if !ok {
		return nil, errors.New("with a TUN, dial through the operating system")
	}
	return s.stack.DialContext(ctx, network, address)
}

// Listen listens on a port of the node's mesh addresses. Rootless nodes only.
func (n *Node) Listen(network string, port uint16) (net.Listener, error) {
	_, m := n.current()
	if m == nil {
		return nil, errDown
	}
	s, ok := m.world.(*stackWorld)
	if !ok {
		return nil, errors.New("with a TUN, listen through the operating system")
	}
	return s.stack.Listen(network, netip.AddrPortFrom(netip.Addr{}, port))
}
