//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/node/local"
)

// Marker is in every datagram that [Mesh.Meet] sends through the mesh: it must
// be nowhere on an underlay link.
const Marker = "blood group of bed nine"

// MeetPort is where every node's host answers.
const MeetPort = 5000

// Mesh is a mesh of the built programs on an [Internet], with a node on every
// machine of every site. Nobody may speak to anybody until [Mesh.Introduce].
type Mesh struct {
	*Lab
	Coordinator *Coordinator
	Relay       *Relay // nil: the coordinator is the relay
	Nodes       map[string]*Daemon

	admin *admin.Client
}

// RaiseMesh builds the internet and the mesh, or fails the test.
func RaiseMesh(t T, p Programs, sites ...Site) *Mesh {
	t.Helper()
	return RaiseMeshOn(t, p, Internet(sites...), sites...)
}

// RaiseMeshOn is [RaiseMesh] with more in the topology than the sites say.
func RaiseMeshOn(t T, p Programs, top Topology, sites ...Site) *Mesh {
	t.Helper()
	m := &Mesh{Lab: Up(t, top), Nodes: map[string]*Daemon{}}
	m.raise(p, sites)
	return m
}

// RaiseMeshWithRelay is [RaiseMesh] with a relay at the landmark. If alone, the
// coordinator is none; else both answer STUN: two addresses see each node.
func RaiseMeshWithRelay(t T, p Programs, alone bool, sites ...Site) *Mesh {
	t.Helper()
	m := &Mesh{Lab: Up(t, Internet(sites...)), Nodes: map[string]*Daemon{}}
	m.Relay = p.Relay(m.Host(MarkName))
	serve := []string{"--relay", m.Relay.Flag()}
	if alone {
		serve = append(serve, "--no-relay")
	}
	m.raise(p, sites, serve...)
	return m
}

func (m *Mesh) raise(p Programs, sites []Site, serve ...string) {
	t := m.t
	t.Helper()
	m.ServeProxies(sites...)
	m.ServePortMaps(sites...)
	hub := m.Host(HubName)
	m.Coordinator = p.StartNamedCoordinator(hub, CoordinatorName, netip.MustParseAddrPort("[::]:443"), serve...)
	if m.Relay != nil {
		m.Relay.Start(m.Coordinator)
	}
	m.admin = admin.NewSocketClient(m.Coordinator.Socket())
	t.Cleanup(m.admin.Close)
	var names []string
	for _, s := range sites {
		names = append(names, s.NodeNames()...)
	}
	m.Coordinator.SetPolicy(meetPolicy(names, ""))
	for _, s := range sites {
		for _, name := range s.NodeNames() {
			m.Host(name).EchoUDP(netip.AddrPortFrom(netip.IPv6Unspecified(), MeetPort))
			d := p.StartDaemon(m.Host(name), s.Args...)
			d.Up(m.Coordinator.Token("tag:" + name))
			m.Nodes[name] = d
		}
	}
	m.Settle()
}

// meetPolicy has a tag for every node, and the grants.
func meetPolicy(names []string, grants string) string {
	var tags []string
	for _, n := range names {
		tags = append(tags, fmt.Sprintf("%q: []", "tag:"+n))
	}
	return `{"tagOwners": {` + strings.Join(tags, ", ") + `}, "grants": [` + grants + `]}`
}

// Pair is two nodes by name, of which A begins.
type Pair struct{ A, B string }

// Introduce lets each A speak to its B and answers when both know; all others
// forget each other.
func (m *Mesh) Introduce(pairs ...Pair) {
	m.t.Helper()
	var names, grants []string
	for n := range m.Nodes {
		names = append(names, n)
	}
	for _, p := range pairs {
		grants = append(grants, fmt.Sprintf(`{"src": ["tag:%s"], "dst": ["tag:%s"], "ip": ["udp:%d"]}`, p.A, p.B, MeetPort))
	}
	m.Coordinator.SetPolicy(meetPolicy(names, strings.Join(grants, ", ")))
	m.Settle()
}

// Speak has a node that was introduced send to another until an answer comes, and
// gives how long that took; negative: not within the time.
func (m *Mesh) Speak(a, b string, within time.Duration) time.Duration {
	m.t.Helper()
	conn, err := m.Host(a).Dial(m.t.Context(), "udp", netip.AddrPortFrom(m.Nodes[b].Mesh4(), MeetPort))
	if err != nil {
		m.t.Errorf("%s to %s: %v", a, b, err)
		return -1
	}
	defer conn.Close()
	return firstAnswer(conn, time.Now(), within)
}

// Settle waits until every node is connected and enforces what it should.
func (m *Mesh) Settle() {
	m.t.Helper()
	Eventually(m.t, patience, "the mesh settles", func() (bool, string) {
		r, err := m.admin.Status(m.t.Context(), connect.NewRequest(&admin.StatusRequest{}))
		if err != nil {
			return false, err.Error()
		}
		return int(r.Msg.Connected) >= len(m.Nodes) && r.Msg.Acknowledged == r.Msg.Connected, fmt.Sprint(r.Msg)
	})
}

// Meeting is how a first datagram from A to B fared.
type Meeting struct {
	A, B string
	// First is when the first answer came, and Direct when both nodes said that
	// the other is reached directly, from the first datagram on; negative: never.
	First, Direct time.Duration
	// Path is what the nodes said of each other at the end, A's word first.
	Path string
	// Endpoints are those at which they then reached each other, for people; Local
	// says that these are the other machine's own: no NAT and no relay is between.
	Endpoints string
	Local     bool
}

// Meet introduces two nodes and has one send to the other until answers come,
// for at most connect, and then until the way is direct, for at most upgrade.
func (m *Mesh) Meet(a, b string, connect, upgrade time.Duration) Meeting {
	m.t.Helper()
	m.Introduce(Pair{a, b})
	out := Meeting{A: a, B: b, First: -1, Direct: -1}
	conn, err := m.Host(a).Dial(m.t.Context(), "udp", netip.AddrPortFrom(m.Nodes[b].Mesh4(), MeetPort))
	if err != nil {
		m.t.Errorf("%s to %s: %v", a, b, err)
		return out
	}
	defer conn.Close()
	began := time.Now()
	if out.First = firstAnswer(conn, began, connect); out.First < 0 {
		upgrade = 0
	}
	for end := time.Now().Add(upgrade); ; {
		ab, ba := m.PathOf(a, b), m.PathOf(b, a)
		if out.Path = ab; ab != ba {
			out.Path += "/" + ba
		}
		if ab == local.PathDirect && ba == local.PathDirect {
			out.Direct = time.Since(began)
			return out
		}
		if time.Now().After(end) {
			return out
		}
		_, _ = conn.Write([]byte(Marker)) // a path is sought while somebody speaks
		time.Sleep(20 * time.Millisecond)
	}
}

// firstAnswer sends every 20 ms until something comes, and gives when.
func firstAnswer(conn net.Conn, began time.Time, within time.Duration) time.Duration {
	buf := make([]byte, 100)
	for time.Since(began) < within {
		_, _ = conn.Write([]byte(Marker)) // an earlier refusal may be told here
		conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := conn.Read(buf); err == nil && n > 0 {
			return time.Since(began)
		}
	}
	return -1
}

// MeetInside is [Mesh.Meet] for two of one LAN, who go on until their path is the
// LAN's own, for at most upgrade.
func (m *Mesh) MeetInside(a, b string, connect, upgrade time.Duration) Meeting {
	m.t.Helper()
	out := m.Meet(a, b, connect, upgrade)
	conn, err := m.Host(a).Dial(m.t.Context(), "udp", netip.AddrPortFrom(m.Nodes[b].Mesh4(), MeetPort))
	if err != nil {
		m.t.Errorf("%s to %s: %v", a, b, err)
		return out
	}
	defer conn.Close()
	for end := time.Now().Add(upgrade); !out.Local && out.Direct >= 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_, _ = conn.Write([]byte(Marker))
		atB, ownB := m.endpointOf(a, b)
		atA, ownA := m.endpointOf(b, a)
		out.Endpoints, out.Local = atB+" and "+atA, ownB && ownA
	}
	return out
}

// endpointOf is where a node's path to a peer leads, and whether that is an
// address of the peer's machine.
func (m *Mesh) endpointOf(node, peer string) (string, bool) {
	st, err := m.Nodes[node].Status()
	if err != nil {
		return err.Error(), false
	}
	p, _ := FindPeer(st, peer)
	at, err := netip.ParseAddrPort(p.Endpoint)
	return p.Endpoint, err == nil && slices.Contains(m.Host(peer).addresses(), at.Addr())
}

// PathOf is what a node says of its way to a peer: [local.PathDirect]
// and so on, or "unknown" if it does not know the peer.
func (m *Mesh) PathOf(node, peer string) string {
	if st, err := m.Nodes[node].Status(); err == nil {
		if p, ok := FindPeer(st, peer); ok {
			return p.Path
		}
	}
	return "unknown"
}
