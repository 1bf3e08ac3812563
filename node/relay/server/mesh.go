package server

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

// maxTwins is how many connections one node key may have. More than one means a
// machine that came back under a new instance, or machines that share a key.
const maxTwins = 4

// mesh is who is connected of one mesh. A client reaches the members of its own
// mesh because it knows no other.
type mesh struct {
	mu      sync.RWMutex
	members map[key.NodePublic]*member
	count   int // connections
}

// member is a node key with a connection. The newest is sent its datagrams.
type member struct {
	newest  atomic.Pointer[client] // nil: gone; whoever holds the member looks again
	clients []*client              // guarded by the mesh; the newest last
}

// find gives the member with key k, or nil.
func (m *mesh) find(k key.NodePublic) *member {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.members[k]
}

func (m *mesh) of(k key.NodePublic) []*client {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if w := m.members[k]; w != nil {
		return slices.Clone(w.clients)
	}
	return nil
}

func (m *mesh) all() (all []*client) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, w := range m.members {
		all = append(all, w.clients...)
	}
	return all
}

// join makes c the connection of its node. An older one of the same run of the
// daemon died unnoticed, and is ended. One of another run stays, is told, and is the
// newest again when c goes: two machines with one key would otherwise throw each
// other out for ever.
func (s *Server) join(c *client) error {
	m := c.mesh
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count >= s.cfg.MaxClients {
		return fmt.Errorf("%w: %d connections of this mesh", errFull, m.count)
	}
	w := m.members[c.key]
	if w == nil {
		w = new(member)
		m.members[c.key] = w
	}
	c.member = w
	s.tellOlder(w, c)
	c.start()
	w.clients = append(w.clients, c)
	w.newest.Store(c)
	m.count++
	s.counts.clients.Add(1)
	return nil
}

func (s *Server) tellOlder(w *member, c *client) {
	twins := 0
	for _, old := range w.clients {
		if old.instance == c.instance {
			old.end(relay.Replaced, "this daemon connected again")
			continue
		}
		twins++
		old.notice(relay.Duplicate, "another machine connected with this node key, and receives its datagrams now")
	}
	if twins == 0 {
		return
	}
	if len(w.clients) >= maxTwins {
		w.clients[0].end(relay.Replaced, "too many connections of this node key")
	}
	s.counts.duplicates.Add(1)
	s.counts.complain(s.cfg.Log, c.key)
}

// leave takes c out of its mesh.
func (s *Server) leave(c *client) {
	m, w := c.mesh, c.member
	m.mu.Lock()
	defer m.mu.Unlock()
	w.clients = slices.DeleteFunc(w.clients, func(x *client) bool { return x == c })
	m.count--
	s.counts.clients.Add(-1)
	if n := len(w.clients); n > 0 {
		w.newest.Store(w.clients[n-1])
		return
	}
	w.newest.Store(nil)
	delete(m.members, c.key)
}
