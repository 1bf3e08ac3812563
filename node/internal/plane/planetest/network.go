package planetest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/conn"
)

// Network is an underlay in memory. Each host's bind understands virtual
// endpoints alone ("cordon:ID"); a packet arrives with its sender's real
// endpoint, to which sending is counted and fails. So a plane that lets a packet
// move an endpoint loses its tunnels here.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*host

	// Unknown is an id that no bind can make an endpoint of; set it before use.
	Unknown string

	// Stock names the hosts that are no nodes: they have no virtual endpoint, are sent
	// to where they were last heard, and do likewise. Set it before use.
	Stock []string

	// Strayed counts datagrams sent to an endpoint taken from a packet.
	Strayed atomic.Int64
}

// NewNetwork makes an empty underlay.
func NewNetwork() *Network { return &Network{hosts: make(map[string]*host)} }

// Bind gives the bind of the host with that id.
func (n *Network) Bind(id string) conn.Bind {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &host{id: id, network: n, queue: make(chan datagram, 4096)}
	n.hosts[id] = h
	return h
}

// SentTo counts the datagrams that were sent to a host.
func (n *Network) SentTo(id string) int64 { return n.find(id).sent.Load() }

func (n *Network) find(id string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[id]
}

type datagram struct {
	from string
	data []byte
}

type host struct {
	id      string
	network *Network
	queue   chan datagram
	sent    atomic.Int64 // datagrams to it

	mu     sync.Mutex
	closed chan struct{}
}

func (h *host) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	closed := make(chan struct{})
	h.closed = closed
	receive := func(bufs [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		select {
		case <-closed:
			return 0, net.ErrClosed
		case d := <-h.queue:
			sizes[0] = copy(bufs[0], d.data)
			from[0] = endpoint{id: d.from, real: true}
			return 1, nil
		}
	}
	return []conn.ReceiveFunc{receive}, max(port, 1), nil
}

func (h *host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed != nil {
		close(h.closed)
		h.closed = nil
	}
	return nil
}

func (h *host) SetMark(uint32) error { return nil }
func (h *host) BatchSize() int       { return 1 }

func (h *host) Send(bufs [][]byte, to conn.Endpoint) error {
	e := to.(endpoint)
	if e.real && !slices.Contains(h.network.Stock, e.id) && !slices.Contains(h.network.Stock, h.id) {
		h.network.Strayed.Add(1)
		return fmt.Errorf("send to %s at an endpoint that a packet brought", e.id)
	}
	other := h.network.find(e.id)
	if other == nil {
		return fmt.Errorf("send to %s: no such host", e.id)
	}
	other.sent.Add(int64(len(bufs)))
	for _, b := range bufs {
		select {
		case other.queue <- datagram{from: h.id, data: append([]byte(nil), b...)}:
		default: // a full queue loses, as networks do
		}
	}
	return nil
}

func (h *host) ParseEndpoint(s string) (conn.Endpoint, error) {
	var id string
	if _, err := fmt.Sscanf(s, "cordon:%s", &id); err != nil || id == h.network.Unknown {
		return nil, fmt.Errorf("endpoint %q is not virtual", s)
	}
	return endpoint{id: id}, nil
}

type endpoint struct {
	id   string
	real bool
}

func (endpoint) ClearSrc()             {}
func (endpoint) SrcToString() string   { return "" }
func (e endpoint) DstToString() string { return "cordon:" + e.id }
func (e endpoint) DstToBytes() []byte  { return []byte(e.id) }
func (endpoint) DstIP() netip.Addr     { return netip.IPv6Loopback() }
func (endpoint) SrcIP() netip.Addr     { return netip.Addr{} }
