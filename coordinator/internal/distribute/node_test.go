package distribute_test

import (
	"context"
	"net/netip"
	"sync"

	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// node is a machine that follows its map, and holds every map that it was given
// against what a fresh compilation of that revision says.
type node struct {
	w        *world
	id       string
	key      key.NodePrivate
	tunnel   key.TunnelPrivate
	path     key.PathPrivate
	sequence uint64
	from     netip.Addr
	instance string
	old      bool // takes whole records alone

	mu      sync.Mutex
	state   wire.State
	trust   *wire.Trust
	counts  map[string]int // messages by kind, since connect
	order   []string
	bytes   int // of signed payloads, leases apart
	hints   map[string]*wire.PeerEndpoints
	relays  *wire.Relays // the last
	session *session
	gate    chan struct{} // nil: reads as fast as it is sent to
}

// session is one connection.
type session struct {
	cancel context.CancelCauseFunc
	ended  chan struct{}
	err    error // after ended
}

func newNode(w *world) *node {
	n := &node{w: w, key: key.NewNode(), tunnel: key.NewTunnel(), path: key.NewPath(), sequence: 1,
		from: netip.MustParseAddr("192.0.2.1"), instance: "run-1", trust: wire.NewTrust(w.root.Public()),
		counts: map[string]int{}, hints: map[string]*wire.PeerEndpoints{}}
	n.id = wire.NodeID(n.key.Public())
	return n
}

func (n *node) statement() *wire.Statement {
	return wire.SignStatement(&n.key, n.tunnel.Public(), n.path.Public(), n.sequence)
}

func (n *node) enrolment() registry.Enrol {
	return registry.Enrol{Secret: registry.HashSecret(secret), Key: n.key.Public(), Name: "host", Statement: n.statement(), OS: "linux", Version: "1"}
}

// rekey has the node state another tunnel key.
func (n *node) rekey() {
	n.sequence++
	n.tunnel = key.NewTunnel()
	n.w.do(registry.Report{Node: n.id, Statement: n.statement(), OS: "linux", Version: "1"})
}

// standing is what the node says when it connects.
func (n *node) standing() distribute.Join {
	n.mu.Lock()
	defer n.mu.Unlock()
	j := distribute.Join{Node: n.id, From: n.from, Instance: n.instance, Position: n.state.Floor(), SeatDeltas: !n.old}
	if !n.state.Map.IsZero() {
		j.Digest = n.state.Map.Digest()
	}
	return j
}

func (n *node) connect() { n.connectAs(n.standing()) }

// connectAs opens a stream, in place of one that may stand.
func (n *node) connectAs(j distribute.Join) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &session{cancel: cancel, ended: make(chan struct{})}
	n.mu.Lock()
	n.session = s
	n.counts, n.bytes, n.order = map[string]int{}, 0, nil
	n.mu.Unlock()
	go func() {
		defer close(s.ended)
		s.err = n.w.hub.Follow(ctx, j, func(batch []*wire.FollowResponse) error {
			for _, m := range batch {
				if err := n.take(ctx, m); err != nil {
					return err
				}
			}
			return nil
		})
	}()
}

// disconnect ends the stream, if there is one, and gives why it ended.
func (n *node) disconnect() error {
	n.mu.Lock()
	s := n.session
	n.session = nil
	n.mu.Unlock()
	if s == nil {
		return nil
	}
	s.cancel(errStopped)
	<-s.ended
	return s.err
}

// stall lets the node read nothing until resume.
func (n *node) stall() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gate == nil {
		n.gate = make(chan struct{})
	}
}

func (n *node) resume() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gate != nil {
		close(n.gate)
		n.gate = nil
	}
}

func (n *node) take(ctx context.Context, m *wire.FollowResponse) error {
	n.mu.Lock()
	gate := n.gate
	n.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if m.Unhurried {
		n.counts["unhurried"]++
	}
	switch m := m.Message.(type) {
	case *wire.FollowResponse_Keys:
		n.count("keys")
		for _, c := range m.Keys.MapKeys {
			if err := n.trust.Add(c); err != nil {
				return err
			}
		}
	case *wire.FollowResponse_Current:
		n.count("current")
	case *wire.FollowResponse_Heartbeat:
		n.count("heartbeat")
	case *wire.FollowResponse_Hints:
		n.count("hints")
		for _, p := range m.Hints.Peers {
			if _, peer := n.state.Map.Peers[p.Node]; !peer {
				n.w.t.Errorf("%s was told where %s is, which is not its peer", n.id, p.Node)
			}
			n.hints[p.Node] = p
		}
	case *wire.FollowResponse_Relays:
		n.count("relays")
		n.relays = m.Relays
	case *wire.FollowResponse_Signed:
		return n.fold(m.Signed)
	}
	return nil
}

func (n *node) count(kind string) {
	n.counts[kind]++
	n.order = append(n.order, kind)
}
