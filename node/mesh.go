package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/engine"
	"github.com/cordonmesh/cordon/node/internal/gather"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
	"github.com/cordonmesh/cordon/node/internal/portmap"
	"github.com/cordonmesh/cordon/node/internal/relays"
	"github.com/cordonmesh/cordon/node/internal/stepup"
	"github.com/cordonmesh/cordon/node/internal/transport"
	"github.com/cordonmesh/cordon/node/local"
)

// mesh is a node that is up.
type mesh struct {
	node      *Node
	log       *slog.Logger
	identity  *control.Identity
	world     world
	transport *transport.Transport
	relays    *relays.Set
	gatherer  *gather.Gatherer
	mapper    *portmap.Client
	elsewhere chan struct{} // the coordinator is to be told where we are
	site      chan struct{} // whether we are on a gateway's site is to be asked again
	engine    *engine.Engine
	follower  *control.Follower
	stepUps   *stepup.Opener
	names     names
	plane     planeSlot
	ready     chan struct{} // closed when the first map is enforced, and a lease stands behind it
	opened    chan struct{} // the transport has opened its sockets
	once      sync.Once
	down      atomic.Bool    // its user has taken it down
	port      atomic.Uint32  // that the coordinator was told
	guarded   []netip.Prefix // ranges as noted on disk; run's until the follower runs, then its
	drains    []filter.Drain // of the plane before; run's, but for as long as planes runs

	keeping sync.Mutex // held while who signed out is written; taken before mu

	mu        sync.Mutex
	state     wire.Map // without what those have who signed out here
	lease     time.Time
	confirmed bool
	contact   error
	connected bool
	heard     time.Time
	hints     control.Hints
	peers     []engine.PathPeer
	warnings  map[string]string
	greetings greetings
	network   portmap.Network         // as last told to mapper
	beside    []string                // peers that offer a network of this machine
	logins    map[string]*local.Login // by account, the last sign-in that was opened, until it is known to have ended
	signedOut map[string]told         // sessions that ended here, by id, until no map holds them
}

func newMesh(n *Node, id *control.Identity) (*mesh, error) {
	m := &mesh{node: n, log: n.log, identity: id, ready: make(chan struct{}), opened: make(chan struct{}, 1), elsewhere: make(chan struct{}, 1), site: make(chan struct{}, 1), greetings: newGreetings(),
		hints: control.Hints{}, warnings: map[string]string{}, logins: map[string]*local.Login{}, signedOut: map[string]told{}}
	m.stepUps = m.newStepUps()
	var err error
	if m.names, err = newNames(n.cfg, id); err != nil {
		return nil, err
	}
	var mark uint32
	if n.cfg.Userspace {
		m.world, err = newStack(n.cfg, m.resolve, m.inMesh)
	} else {
		var w *tunWorld
		if w, err = newTUN(n.cfg); err == nil {
			m.world, mark = w, w.net.Config().Mark
		}
	}
	if err != nil {
		return nil, err
	}
	m.relays, m.gatherer, m.mapper = m.joinRelays(), m.newGatherer(), m.newMapper()
	m.transport, err = transport.New(transport.Config{
		Self: n.keys.Node.Public(), Path: &n.keys.Path, Port: n.port(), Log: n.log, Mark: mark,
		OnPath: m.onPath, OnOpen: m.onOpen, Relay: m.overRelay, OnlyRelays: n.cfg.Only443,
		OnGather: m.onGather, OnSTUN: m.gatherer.Receive,
	})
	if err != nil {
		return nil, errors.Join(err, m.world.close(true))
	}
	m.engine, err = engine.New(engine.Options{Plane: &m.plane, Paths: m, Links: m.world, Enforced: m.isEnforced, Ready: m.isReady, Now: n.clock.Human, Log: n.log})
	if err != nil {
		return nil, errors.Join(err, m.world.close(true))
	}
	return m, nil
}

// run is up until ctx is done. Unless its user has taken it down, what is meant for
// the mesh stays on this machine after that too: a service is stopped to be started
// again, as by an upgrade, and programs go on talking meanwhile.
func (m *mesh) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, m.world.close(!m.down.Load())) }()
	start := m.fromDisk()
	m.loadDrains()
	defer m.keepDrains()
	m.follower, err = control.NewFollower(control.Options{
		Dir: m.node.dir, Keys: m.node.keys, Identity: m.identity, Clock: m.node.clock, Listener: m,
		Facts: m.facts, Active: m.active, SignedOut: m.owes, Version: m.node.cfg.Version, Log: m.log, Control: m.world.beneath(),
		Resolver: m.resolver(), Line: &m.node.line,
	}, start)
	if err != nil {
		return err
	}
	m.beShared()
	m.engine.SetTunnel(m.node.keys.Tunnel, m.node.port())
	m.node.tellStock(m)
	m.guarded = m.node.dir.Ranges()
	if start.Map.IsZero() {
		m.guard(m.guarded)
	} else {
		m.Map(start.Map)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.transport.Run(ctx) })
	g.Go(func() error { return m.relays.Run(ctx) })
	if !m.node.cfg.Only443 {
		g.Go(func() error { return m.gatherer.Run(ctx) })
		g.Go(func() error { return m.mapper.Run(ctx) })
	}
	g.Go(func() error { return m.node.clock.Run(ctx) })
	g.Go(func() error { return m.planes(ctx) })
	g.Go(func() error { return m.greet(ctx) })
	g.Go(func() error { return m.world.run(ctx, m.networkChanged, m.engine.CheckSeats) })
	g.Go(func() error { return m.follower.Run(ctx) })
	g.Go(func() error { return m.stepUps.Run(ctx) })
	g.Go(func() error { return m.names.run(ctx) })
	g.Go(func() error { return m.stayOnSite(ctx) })
	return g.Wait()
}

// fromDisk gives the state of a cold start. What cannot be verified is not
// obeyed: the node then denies until the coordinator gives it a map.
func (m *mesh) fromDisk() wire.State {
	start, err := m.node.dir.Load(m.identity)
	if err != nil {
		m.log.Error("the map on disk is refused; everything is denied until the coordinator gives a new one", "error", err)
		m.warn("map", "the map on disk was refused: "+err.Error())
		start.Map = wire.Map{}
	}
	m.loadSignedOut(start.Map)
	maps.Copy(m.hints, m.node.dir.Hints())
	m.Relays(m.node.dir.Relays())
	if stamp, err := m.node.dir.Stamp(); err == nil && !stamp.Lease.IsZero() {
		m.engine.SetLease(stamp.Lease)
		m.mu.Lock()
		m.lease = stamp.Lease // whoever asks for the status may read it now
		m.mu.Unlock()
	}
	return start
}

// planes keeps a plane: when its device has died it opens another. Meanwhile
// nothing leaves, since the routes to the mesh lead nowhere else.
func (m *mesh) planes(ctx context.Context) error {
	for {
		err := m.onePlane(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if m.node.cfg.Userspace {
			return fmt.Errorf("the data plane ended: %w", err)
		}
		m.log.Error("the interface died; making it again", "why", err)
		m.greetAgain() // the sessions died with it
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (m *mesh) onePlane(ctx context.Context) error {
	device, err := m.world.open()
	if err != nil {
		return err
	}
	p, err := userspace.New(userspace.Options{TUN: device, Bind: m.transport.Bind(), Log: m.log, Way: m.way, Filter: filter.Options{Stands: m.world.stands}, Now: func() filter.Moment {
		return filter.MomentOf(m.node.clock.Read())
	}})
	if err != nil {
		return errors.Join(err, device.Close())
	}
	defer p.Close()
	p.DrainOn(m.drains)
	defer func() { m.drains = p.Draining() }()
	m.plane.set(p)
	defer m.plane.set(nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	engine := make(chan error, 1)
	go func() { engine <- m.engine.Run(ctx) }()
	select {
	case <-p.Done():
		cancel()
		return errors.Join(p.Err(), <-engine)
	case err := <-engine:
		return err
	}
}

// way wants a path to a peer, for the plane, and tells whether there is one.
func (m *mesh) way(peer string) bool {
	m.transport.Want(peer)
	return m.transport.HasPath(peer)
}

// planeSlot lets the engine speak to whichever plane there is.
type planeSlot struct {
	now atomic.Pointer[userspace.Plane]
}

func (s *planeSlot) set(p *userspace.Plane) { s.now.Store(p) }

var errNoPlane = errors.New("there is no data plane at the moment")

// Configure is engine.Plane's.
func (s *planeSlot) Configure(ctx context.Context, c plane.Config) error {
	if p := s.now.Load(); p != nil {
		return p.Configure(ctx, c)
	}
	return errNoPlane
}

// Renew is engine.Plane's.
func (s *planeSlot) Renew(lease time.Time) {
	if p := s.now.Load(); p != nil {
		p.Renew(lease)
	}
}

// SetPeers is engine.Paths': it adds where each peer may be reached.
func (m *mesh) SetPeers(peers []engine.PathPeer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers = peers
	out := make([]transport.Peer, len(peers))
	for i, p := range peers {
		at := m.hints[p.ID]
		out[i] = transport.Peer{ID: p.ID, NodeKey: p.NodeKey, PathKey: p.PathKey, Candidates: at.Endpoints, Home: path.Relay(at.Relay)}
	}
	m.transport.SetPeers(out)
	m.greetFirst(out)
	return nil
}

func (m *mesh) isEnforced(at wire.Position) {
	m.follower.Acknowledge(at)
	m.greetFound()
}

// isReady is called again when the plane was made anew.
func (m *mesh) isReady() { m.once.Do(func() { close(m.ready) }) }

// onOpen is the transport's word that it has sockets. The device opens them by
// itself when its interface is up, which may be after the first map was enforced.
func (m *mesh) onOpen(uint16) {
	m.names.wake()
	select {
	case m.opened <- struct{}{}:
	default:
	}
}

// tellPort has peers told where to look, and notes it for the next run.
func (m *mesh) tellPort() {
	port := m.transport.Port()
	m.gatherer.NetworkChanged()
	if m.port.Swap(uint32(port)) == uint32(port) {
		return
	}
	if err := m.node.dir.SavePort(port); err != nil {
		m.log.Warn("noting the UDP port failed: after a restart peers have to look for this node", "error", err)
	}
}

func (m *mesh) networkChanged() {
	m.transport.NetworkChanged()
	m.relays.NetworkChanged()
	m.gatherer.NetworkChanged()
	m.mapPort(true)
	m.exceptLocal()
	m.siteChanged()
}

// facts are what the coordinator is told of where this node is.
func (m *mesh) facts() control.Facts {
	f := control.Facts{Advertised: m.node.cfg.advertised(), Relay: m.relays.Home()}
	if m.node.cfg.Only443 {
		return f
	}
	f.Endpoints, f.Port = m.gatherer.List(), m.transport.Port()
	f.Endpoints = f.Endpoints[:min(len(f.Endpoints), maxTold)]
	return f
}
