package nodeapi

import (
	"fmt"
	"net/netip"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func prefixes(texts []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("advertised prefix %q: %w", text, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// endpointsOf gives where the node says it can be reached, and where it was
// seen: its port at the address that its stream comes from.
func endpointsOf(m *wire.ReportRequest, seen netip.Addr) ([]netip.AddrPort, error) {
	if len(m.Endpoints) > maxEndpoints || m.Port > 65535 {
		return nil, fmt.Errorf("%d endpoints at port %d, want at most %d and a port", len(m.Endpoints), m.Port, maxEndpoints)
	}
	var out []netip.AddrPort
	for _, text := range m.Endpoints {
		e, err := netip.ParseAddrPort(text)
		if err != nil || !usable(e) {
			return nil, fmt.Errorf("endpoint %q: want the address and port of a host", text)
		}
		out = append(out, e)
	}
	if m.Port != 0 {
		out = append(out, netip.AddrPortFrom(seen, uint16(m.Port)))
	}
	return out, nil
}

// homeOf checks the name of the relay that the node says is its home. Whether
// there is such a relay, its peers see.
func homeOf(m *wire.ReportRequest) error {
	if m.Relay == "" {
		return nil
	}
	return wire.CheckRelayName(m.Relay)
}

// usable keeps a node from sending its peers' probes to where no peer can be.
func usable(e netip.AddrPort) bool {
	a := e.Addr()
	return e.Port() != 0 && a == a.Unmap() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// revocations verifies what a node kept while the coordinator forgot: each was
// signed by a map key that the mesh root certified. The key's end is not asked:
// a revocation holds for good.
func revocations(root key.RootPublic, m *wire.SurrenderRequest) ([]registry.Revocation, error) {
	trust := wire.NewTrust(root)
	for _, cert := range m.MapKeys {
		if err := trust.Add(cert); err != nil {
			return nil, err
		}
	}
	var out []registry.Revocation
	for _, signed := range m.Revocations {
		opened, err := wire.OpenKept(trust, signed)
		if err != nil {
			return nil, err
		}
		r, err := opened.Revocation()
		if err != nil {
			return nil, err
		}
		out = append(out, registry.Revocation{Key: r.NodeKey, Node: r.Node, Epoch: r.At.Epoch, Time: r.Time})
	}
	return out, nil
}
