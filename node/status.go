package node

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/netcheck"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/stock"
	"github.com/cordonmesh/cordon/node/internal/transport"
	"github.com/cordonmesh/cordon/node/local"
)

func (n *Node) status(who asker) (*local.Status, error) {
	id, m := n.current()
	s := &local.Status{State: local.StateUnenrolled, Version: n.cfg.Version, Mode: "tun", Interface: n.cfg.Interface}
	if n.cfg.Userspace {
		s.Mode, s.Interface = "userspace", ""
	}
	if id == nil {
		n.describeJoin(s)
		return s, nil
	}
	s.Mesh, s.Node, s.Coordinator.URL = id.Mesh().String(), id.Node, id.URL
	s.State = local.StateStopped
	if m == nil {
		return s, nil
	}
	m.describe(s, who)
	return s, nil
}

func (m *mesh) describe(s *local.Status, who asker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	self := m.state.Self
	s.State = local.StateStarting
	select {
	case <-m.ready:
		s.State = local.StateRunning
	default:
	}
	switch s.Until = self.Until; {
	case wire.Expired(self.Until, m.node.clock.Human()):
		s.State = local.StateExpired
	case self.Pending:
		s.State = local.StatePending
	}
	s.Name, s.User, s.Tags, s.Domain, s.Addresses = self.Name, self.User, self.Tags, self.Domain, self.Addresses
	s.Port, s.TunnelKey = m.transport.Port(), stock.KeyText(m.node.keys.Tunnel.Public())
	s.Map = local.MapStatus{
		Incarnation: m.state.Incarnation, Revision: m.state.Revision, Epoch: m.state.Epoch,
		Lease: m.lease, FromDisk: !m.confirmed && !m.state.IsZero(),
	}
	if now := m.node.clock.Now(); now.Year() > 2000 {
		s.Map.PolicyTime = now
	}
	s.Coordinator.Connected, s.Coordinator.LastHeard = m.connected, m.heard
	if m.contact != nil {
		s.Coordinator.Error = m.contact.Error()
	}
	for _, p := range m.node.cfg.advertised() {
		s.Routes = append(s.Routes, local.RouteStatus{Prefix: p, Approved: slices.Contains(self.Routes, p)})
	}
	for _, key := range slices.Sorted(maps.Keys(m.warnings)) {
		s.Warnings = append(s.Warnings, m.warnings[key])
	}
	s.Warnings = append(append(s.Warnings, m.world.gaps()...), m.sharedWarnings(&self)...)
	if ahead, on := m.node.clock.Alarm(); on {
		s.Warnings = append(s.Warnings, netcheck.Apart(ahead)+": set it right")
	}
	for _, r := range m.relays.Status() {
		s.Relays = append(s.Relays, local.Relay{Name: r.Name, URL: r.URL, Home: r.Home, Connected: r.Connected, RTT: r.RTT, Why: r.Why})
	}
	if w, ok := m.world.(*tunWorld); ok {
		s.OnSite = w.direct()
	}
	m.names.describe(s)
	m.describeSessions(s, who)
	m.describePlane(s)
	who.narrow(s, &self)
}

func (m *mesh) describePlane(s *local.Status) {
	var stats plane.Stats
	if p := m.plane.now.Load(); p != nil {
		var err error
		if stats, err = p.Stats(); err != nil {
			s.Warnings = append(s.Warnings, err.Error())
		}
	}
	byID := map[string]plane.PeerStats{}
	for _, p := range stats.Peers {
		byID[p.ID] = p
	}
	paths := m.transport.Paths()
	for _, p := range m.state.Peers {
		one := peerStatus(p, paths[p.ID], byID[p.ID])
		if wire.Expired(p.Until, m.node.clock.Human()) {
			one.Why = "its time is over: its person must sign in there"
		}
		s.Peers = append(s.Peers, one)
	}
	m.describeStock(s, byID)
	slices.SortFunc(s.Peers, func(a, b local.Peer) int { return cmp.Compare(a.Name, b.Name) })
	for _, r := range stats.Refusals {
		s.Refusals = append(s.Refusals, refusal(r, m.needed(r)))
	}
	for _, e := range stats.Endings {
		if !m.movesOn(e) {
			s.Endings = append(s.Endings, ending(e))
		}
	}
}

func peerStatus(p wire.PeerRecord, path transport.PathInfo, stats plane.PeerStats) local.Peer {
	out := local.Peer{
		ID: p.ID, Name: p.Name, Addresses: p.Addresses, Routes: p.Routes, Path: local.PathNone, Why: path.Why,
		LastHandshake: stats.LastHandshake, Received: stats.Received, Sent: stats.Sent,
	}
	switch way := path.Way(); {
	case way.Relayed():
		out.Path, out.Relay, out.RTT, out.MTU = local.PathRelay, string(way.Relay), path.RTT, path.InnerMTU()
	case way.IsValid():
		out.Path, out.Endpoint, out.RTT, out.MTU = local.PathDirect, way.Addr.String(), path.RTT, path.InnerMTU()
	}
	return out
}

func refusal(r plane.Refusal, needs []string) local.Refusal {
	return local.Refusal{
		Time: r.Last, Outbound: r.Direction == plane.Out, Src: r.Src, Dst: r.Dst, Protocol: protocolText(r.Protocol),
		Reason: r.Verdict.Reason.String(), Rule: string(r.Verdict.Rule), Until: r.Until, Count: r.Count, Needs: needs,
	}
}

func ending(e plane.Ending) local.Ending {
	return local.Ending{
		Outbound: e.Direction == plane.Out, Peer: e.Peer, Src: e.Src, Dst: e.Dst, Protocol: protocolText(e.Protocol), Flows: e.Flows,
		End: e.End, Cut: e.Cut, Reason: e.Verdict.Reason.String(), Rule: string(e.Verdict.Rule),
	}
}

func protocolText(p acl.Protocol) string { return cmp.Or(p.Name(), strconv.Itoa(int(p))) }

// contactText says why there is no map, for people.
func (m *mesh) contactText() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.contact != nil {
		return m.contact.Error()
	}
	return "the coordinator has sent none"
}
