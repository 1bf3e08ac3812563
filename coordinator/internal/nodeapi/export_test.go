package nodeapi

import (
	"net/http"
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

// Outlet gives what carries the messages of one moment to w, and what a stream's
// handler does last.
func Outlet(w http.ResponseWriter) (carry func([]*wire.FollowResponse, func(http.ResponseWriter, *wire.FollowResponse) error) error, end func()) {
	o := newOutlet(w)
	return func(batch []*wire.FollowResponse, send func(http.ResponseWriter, *wire.FollowResponse) error) error {
		return o.carry(batch, func(m *wire.FollowResponse) error { return send(o, m) })
	}, o.close
}
