package node

import (
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/node/internal/osnet"
	"github.com/cordonmesh/cordon/node/internal/path/stun"
	"github.com/cordonmesh/cordon/node/internal/portmap"
)

// newMapper makes what asks the router to let peers in. It asks nobody before
// mapPort names a gateway.
func (m *mesh) newMapper() *portmap.Client {
	return portmap.New(portmap.Config{
		Log: m.log, Control: m.world.beneath(),
		OnChange: func(s portmap.Status) { m.gatherer.SetMapped(s.External) },
	})
}

// mapPort names the gateway that may be asked, once and after each change. Only
// where STUN shows that a NAT stands between us and the internet is anybody asked:
// a server in a data centre opens no door of its own accord.
func (m *mesh) mapPort(changed bool) {
	if m.node.cfg.NoPortMapping {
		return
	}
	var now portmap.Network
	if behindNAT(m.gatherer.Report().V4) {
		var err error
		if now.Gateway, now.Local, err = osnet.DefaultGateway(); err != nil {
			m.log.Warn("finding the default gateway failed: it is not asked for a port", "error", err)
		}
		now.Port = m.transport.Port()
	}
	if now.Gateway == (netip.Addr{}) || now.Port == 0 {
		now = portmap.Network{}
	}
	m.mu.Lock()
	same := now == m.network
	m.network = now
	m.mu.Unlock()
	if changed || !same {
		m.mapper.SetNetwork(now)
	}
}

// behindNAT tells whether the internet sees us at an address of its own that is
// not ours.
func behindNAT(f stun.Family) bool {
	if f.Kind < stun.EndpointIndependent {
		return false
	}
	return slices.ContainsFunc(f.Mapped, func(m stun.Mapped) bool {
		a := m.Addr.Addr()
		return a.IsGlobalUnicast() && !a.IsPrivate()
	})
}
