package node

import (
	"context"
	"time"

	"github.com/cordonmesh/cordon/node/internal/transport"
)

// maxGreeted bounds how many peers a node speaks to of itself when it starts:
// the others are reached when there is something to say.
const maxGreeted = 256

// greetings remembers which peers are still to be greeted in this run. A peer
// that was reached before the start may look for this node at an old address,
// and send in a session that this run does not know.
type greetings struct {
	begun bool
	open  bool // the plane of now has sockets: what it says is sent
	due   map[string]bool
	found chan string // peers to whom a path was found
}

func newGreetings() greetings {
	return greetings{due: map[string]bool{}, found: make(chan string, maxGreeted)}
}

// greetFirst has paths looked for to the peers of the first map. The caller
// holds m.mu.
func (m *mesh) greetFirst(peers []transport.Peer) {
	if m.greetings.begun {
		return
	}
	m.greetings.begun = true
	for _, p := range peers {
		if (len(p.Candidates) > 0 || p.Home != "") && len(m.greetings.due) < maxGreeted {
			m.greetings.due[p.ID] = true
			m.transport.Want(p.ID)
		}
	}
}

// greetAgain makes the next round of peers due as if the node began anew.
func (m *mesh) greetAgain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.greetings.begun, m.greetings.open = false, false
}

// onPath is the transport's word that a path was found, moved or lost, or carries
// datagrams of another size.
func (m *mesh) onPath(peer string, info transport.PathInfo) {
	m.sitePath(peer)
	if !info.Way().IsValid() {
		return
	}
	if p := m.plane.now.Load(); p != nil {
		p.Resized(peer, info.InnerMTU())
		p.Found(peer)
	}
	select {
	case m.greetings.found <- peer:
	default: // more paths than greetings
	}
}

// greet says where this node is whenever that is somewhere else, and begins a
// handshake with each peer that is due, once there is a path. It also notes where
// stock peers are.
func (m *mesh) greet(ctx context.Context) error {
	var settled <-chan time.Time
	again := false
	var hear <-chan time.Time // nil: there are none
	if m.node.cfg.StockPeers != "" {
		tick := time.NewTicker(hearStockEvery)
		defer tick.Stop()
		hear = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case peer := <-m.greetings.found:
			m.greetOne(peer)
		case <-m.opened:
			m.tellPort()
			m.greetOpen()
		case <-m.elsewhere:
			if again = settled != nil; !again {
				m.follower.FactsChanged()
				settled = time.After(settles)
			}
		case <-hear:
			m.hearStock()
		case <-settled:
			if settled = nil; again {
				m.tellSoon()
			}
		}
	}
}

func (m *mesh) greetOne(peer string) {
	m.mu.Lock()
	due := m.greetings.open && m.greetings.due[peer]
	m.mu.Unlock()
	p := m.plane.now.Load()
	if !due || p == nil || !p.Greet(peer) {
		return
	}
	m.mu.Lock()
	delete(m.greetings.due, peer)
	m.mu.Unlock()
}

// greetOpen greets those whom the plane could not, for want of sockets.
func (m *mesh) greetOpen() {
	m.mu.Lock()
	m.greetings.open = true
	m.mu.Unlock()
	m.greetFound()
	m.greetStock()
}

// greetFound greets those to whom a path was found before the plane knew them.
func (m *mesh) greetFound() {
	for peer, info := range m.transport.Paths() {
		m.onPath(peer, info)
	}
}
