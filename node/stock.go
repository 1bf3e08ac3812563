package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/engine"
	"github.com/cordonmesh/cordon/node/internal/osnet"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/stock"
	"github.com/cordonmesh/cordon/node/local"
)

// Stock peers are this machine's admin's: they come from a file, never from the
// map, and the map says what they may do, by their addresses.

// isPrefixBehind tells whether a prefix can be behind a node.
func isPrefixBehind(p netip.Prefix) bool {
	return p.IsValid() && p == p.Masked() && p.Bits() > 0 && !p.Addr().Is4In6() && !p.Addr().IsLoopback() && !p.Addr().IsMulticast() && !p.Addr().IsLinkLocalUnicast()
}

func (c *Config) validateStock() error {
	switch {
	case c.StockPeers == "" && len(c.StockPrefixes) == 0:
		return nil
	case c.StockPeers == "":
		return errors.New("stock-prefix: there is no file of stock peers: add --stock-peers, or leave it out")
	case len(c.StockPrefixes) == 0:
		return errors.New("stock-peers: no prefix is kept for their addresses: add --stock-prefix, such as 10.99.0.0/24")
	case c.Only443:
		return errors.New("stock-peers: stock peers speak UDP alone: leave out --only-443")
	}
	for i, p := range c.StockPrefixes {
		if !isPrefixBehind(p) {
			return bad("stock-prefix", p.String(), "a prefix without host bits, neither IPv4 written as IPv6, loopback, link-local, multicast nor everything")
		}
		if slices.ContainsFunc(slices.Concat(c.Advertise, c.StockPrefixes[:i]), p.Overlaps) {
			return bad("stock-prefix", p.String(), "a prefix that overlaps with no other of --stock-prefix and --advertise: nothing but stock peers is behind it")
		}
	}
	return nil
}

// advertised is all that this node wants to be the gateway for.
func (c *Config) advertised() []netip.Prefix { return slices.Concat(c.Advertise, c.StockPrefixes) }

// loadStock reads the file of stock peers, and asks that their prefixes are nobody
// else's.
func (n *Node) loadStock() error {
	if n.cfg.StockPeers == "" {
		return nil
	}
	if err := n.stockPrefixesAreFree(); err != nil {
		return err
	}
	peers, err := n.readStock()
	n.stock, n.heard = peers, n.dir.Heard()
	return err
}

func (n *Node) readStock() ([]stock.Peer, error) {
	peers, err := stock.Load(n.cfg.StockPeers, stock.Limits{Prefixes: n.cfg.StockPrefixes, Own: n.keys.Tunnel.Public()})
	if err != nil {
		return nil, fmt.Errorf("stock-peers: %w", err)
	}
	return peers, nil
}

// stockPrefixesAreFree finds prefixes that would take a network away from this
// machine, or addresses from the mesh.
func (n *Node) stockPrefixesAreFree() error {
	for _, p := range n.cfg.StockPrefixes {
		if ranges := n.dir.Ranges(); slices.ContainsFunc(ranges, p.Overlaps) {
			return bad("stock-prefix", p.String(), fmt.Sprintf("a prefix outside of the mesh's ranges (%v), where the coordinator gives out the addresses", ranges))
		}
	}
	if n.cfg.Userspace {
		return nil // it takes no network from the machine
	}
	found, err := osnet.Collisions(n.cfg.StockPrefixes, []string{n.cfg.Interface})
	if err != nil {
		return fmt.Errorf("stock-prefix: looking for this machine's networks: %w", err)
	}
	if len(found) > 0 {
		return bad("stock-prefix", found[0].Range.String(), fmt.Sprintf("a prefix that this machine has nowhere else: %s is on %s", found[0].Local, found[0].Interface))
	}
	return nil
}

// tellStock has a mesh let in the stock peers of now, and gives the number of the
// engine's input that says so.
func (n *Node) tellStock(m *mesh) uint64 {
	n.stockMu.Lock()
	defer n.stockMu.Unlock()
	return m.engine.SetStock(engine.Stock{Prefixes: n.cfg.StockPrefixes, Peers: n.stock, Heard: n.heard})
}

func (n *Node) stockPeers() []stock.Peer {
	n.stockMu.Lock()
	defer n.stockMu.Unlock()
	return n.stock
}

// hearStockEvery is how often it is looked where stock peers are.
const hearStockEvery = 5 * time.Second

// hearStock notes where stock peers are. One without an Endpoint is then found again
// when its tunnel is made anew, also by the next run: else it would send in a session
// that is no more for a quarter of a minute.
func (m *mesh) hearStock() {
	p := m.plane.now.Load()
	if p == nil {
		return
	}
	stats, err := p.Stats()
	if err != nil {
		return // status shows it
	}
	if m.node.heardAt(stats.Peers) {
		m.node.tellStock(m)
	}
}

// heardAt takes note of where the stock peers of the file are, and tells whether one
// is elsewhere than before. It keeps no others.
func (n *Node) heardAt(stats []plane.PeerStats) bool {
	at := make(map[string]netip.AddrPort, len(stats))
	for _, s := range stats {
		if s.Endpoint.IsValid() {
			at[s.ID] = s.Endpoint
		}
	}
	n.stockMu.Lock()
	defer n.stockMu.Unlock()
	next := make(map[key.TunnelPublic]netip.AddrPort, len(n.stock))
	for i := range n.stock {
		p := &n.stock[i]
		if now, ok := at[engine.StockID(p)]; ok {
			next[p.Key] = now
		} else if before, ok := n.heard[p.Key]; ok {
			next[p.Key] = before
		}
	}
	if maps.Equal(next, n.heard) {
		return false
	}
	n.heard = next
	if err := n.dir.SaveHeard(next); err != nil {
		n.log.Warn("noting where stock peers are failed: after a restart they come back by themselves", "error", err)
	}
	return true
}

// greetStock begins a handshake with the stock peers that can be found.
func (m *mesh) greetStock() {
	p := m.plane.now.Load()
	if p == nil {
		return
	}
	for _, s := range m.node.stockPeers() {
		p.Greet(engine.StockID(&s))
	}
}

// StockReload reads the file of stock peers again, and returns when what it says is
// enforced. A file that is refused changes nothing.
func (d *daemon) StockReload(ctx context.Context) (*local.StockResponse, error) {
	n := (*Node)(d)
	if n.cfg.StockPeers == "" {
		return nil, errNoStock
	}
	peers, err := n.readStock()
	if err != nil {
		return nil, fmt.Errorf("the stock peers stay as they were: %w", err)
	}
	n.stockMu.Lock()
	n.stock = peers
	n.stockMu.Unlock()
	out := &local.StockResponse{}
	for i := range peers {
		out.Names = append(out.Names, peers[i].Name)
	}
	_, m := n.current()
	if m == nil {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for news := n.tellStock(m); !m.engine.Enforces(news); {
		if pause(ctx) != nil {
			return nil, errors.New("the file was read, but the node cannot carry it out yet; the daemon's log says why")
		}
	}
	return out, nil
}

// errNoStock is returned to those who ask a node without a file.
var errNoStock = errors.New("this node fronts no stock peers: start its daemon with --stock-peers FILE and --stock-prefix PREFIX")

// StockConfig gives the configuration of a stock peer's own end.
func (d *daemon) StockConfig(_ context.Context, r local.StockRequest) (*local.StockResponse, error) {
	n := (*Node)(d)
	peers := n.stockPeers()
	if n.cfg.StockPeers == "" {
		return nil, errNoStock
	}
	i := slices.IndexFunc(peers, func(p stock.Peer) bool { return p.Name == r.Name })
	if i < 0 {
		return nil, fmt.Errorf("no stock peer is called %q: %s names %s", r.Name, n.cfg.StockPeers, namesOf(peers))
	}
	_, m := n.current()
	if m == nil {
		return nil, errDown
	}
	return &local.StockResponse{Names: []string{r.Name}, Config: peers[i].Config(m.stockGateway())}, nil
}

func namesOf(peers []stock.Peer) string {
	if len(peers) == 0 {
		return "none"
	}
	var names []string
	for _, p := range peers {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// stockGateway is this node as a stock peer needs to know it.
func (m *mesh) stockGateway() stock.Gateway {
	g := stock.Gateway{Key: m.node.keys.Tunnel.Public(), Endpoints: m.gatherer.List(), MTU: m.node.cfg.MTU}
	if g.MTU == 0 {
		g.MTU = plane.DefaultMTU
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	g.Name, g.Reach = m.state.Self.Name, slices.Concat(m.state.Self.Ranges, m.node.cfg.StockPrefixes, m.node.cfg.networks(m.state.Self.Routes))
	for _, p := range m.state.Peers {
		g.Reach = append(g.Reach, p.Routes...)
	}
	slices.SortFunc(g.Reach, netip.Prefix.Compare)
	g.Reach = slices.Compact(g.Reach)
	return g
}

// networks gives those of the routes that are not kept for stock peers: for these
// the machine's kernel forwards nothing.
func (c *Config) networks(routes []netip.Prefix) (list []netip.Prefix) {
	for _, r := range routes {
		if !slices.ContainsFunc(c.StockPrefixes, func(p netip.Prefix) bool { return p.Bits() <= r.Bits() && p.Overlaps(r) }) {
			list = append(list, r)
		}
	}
	return list
}

// stockAt gives the name of the stock peer that has an address.
func (m *mesh) stockAt(a netip.Addr) (name string, ok bool) {
	for _, p := range m.node.stockPeers() {
		if slices.ContainsFunc(p.Allowed, func(q netip.Prefix) bool { return q.Contains(a) }) {
			return p.Name, true
		}
	}
	return "", false
}

// stockNamed gives the addresses of the stock peer of that name; of a prefix the
// first one.
func (m *mesh) stockNamed(name string) (list []netip.Addr) {
	for _, p := range m.node.stockPeers() {
		if p.Name == name {
			for _, a := range p.Allowed {
				list = append(list, a.Addr())
			}
		}
	}
	return list
}

// describeStock tells of the stock peers, in the file's order.
func (m *mesh) describeStock(s *local.Status, stats map[string]plane.PeerStats) {
	for _, p := range m.node.stockPeers() {
		at := stats[engine.StockID(&p)]
		out := local.StockPeer{
			Name: p.Name, PublicKey: stock.KeyText(p.Key), Addresses: p.Allowed, Why: m.engine.StockTrouble(&p),
			LastHandshake: at.LastHandshake, Received: at.Received, Sent: at.Sent,
		}
		if at.Endpoint.IsValid() {
			out.Endpoint = at.Endpoint.String()
		}
		if out.Why != "" {
			s.Warnings = append(s.Warnings, "stock peer "+p.Name+" ("+m.node.cfg.StockPeers+":"+strconv.Itoa(p.Line)+") is kept out: "+out.Why)
		}
		s.StockPeers = append(s.StockPeers, out)
	}
}
