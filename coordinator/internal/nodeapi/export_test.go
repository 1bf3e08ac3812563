package nodeapi

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Bounds for tests.
const (
	MaxRequest   = maxRequest
	MaxStranger  = maxStranger
	MaxEndpoints = maxEndpoints
)

// Prefixes reads the prefixes of a report.
func Prefixes(texts []string) ([]netip.Prefix, error) { return prefixes(texts) }

// EndpointsOf reads the endpoints of a report.
func EndpointsOf(m *wire.ReportRequest, seen netip.Addr) ([]netip.AddrPort, error) {
	return endpointsOf(m, seen)
}

// Revocations reads what a node surrenders.
func Revocations(root key.RootPublic, m *wire.SurrenderRequest) ([]registry.Revocation, error) {
	return revocations(root, m)
}

// Pace gives a pace's judgement on calls of a node.
func Pace(now func() time.Time) func(node, procedure string) bool {
	p := newPace(now)
	return func(node, procedure string) bool { return p.allow(call{node, procedure}) }
}

// Paces tells whether a procedure is counted.
func Paces(procedure string) bool { return paces(procedure) }
