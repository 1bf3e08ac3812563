package integration

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/integration/lab"
)

// simulated is a node without a daemon: keys, and the contract with the
// coordinator.
type simulated struct {
	wire.NodeServiceClient
	node      key.NodePrivate
	statement *wire.Statement
	transport *http.Transport
}

// simulate makes a node that calls from a host. It is in no mesh yet.
func simulate(t *testing.T, from *lab.Host, e wire.Enrolment) *simulated {
	t.Helper()
	n := &simulated{node: key.NewNode()}
	tunnel, path := key.NewTunnel(), key.NewPath()
	n.statement = wire.SignStatement(&n.node, tunnel.Public(), path.Public(), uint64(time.Now().UnixMilli()))
	cert, err := wire.SelfSigned(&n.node)
	if err != nil {
		t.Fatal(err)
	}
	n.transport = &http.Transport{
		TLSClientConfig: wire.ClientTLS(cert, e.Fingerprint, time.Now), ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return nil, err
			}
			return from.Dial(ctx, network, to)
		},
	}
	n.NodeServiceClient = wire.NewNodeServiceClient(&http.Client{Transport: n.transport}, e.URL)
	t.Cleanup(n.transport.CloseIdleConnections)
	return n
}

// enrol spends a token.
func (n *simulated) enrol(ctx context.Context, secret, name string) (*wire.EnrolResponse, error) {
	r, err := n.Enrol(ctx, connect.NewRequest(&wire.EnrolRequest{Secret: secret, Name: name, Statement: n.statement, Os: "linux", Level: wire.Level}))
	if err != nil {
		return nil, err
	}
	return r.Msg, nil
}
