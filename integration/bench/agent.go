//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// traffic is what the nodes of a swarm have received.
type traffic struct {
	bytes    atomic.Int64 // on their sockets, TLS and all
	maps     atomic.Int64 // Fulls and Deltas
	mapBytes atomic.Int64 // of these messages and of hints
}

// agent is a simulated node: a real stream with a key of its own, and none of a
// node's insides. It takes what the coordinator says at its word, since all of
// them share this machine's processors with the one that is measured.
type agent struct {
	name      string
	enrolment wire.Enrolment
	traffic   *traffic
	node      key.NodePrivate
	statement *wire.Statement
	id        string
	chain     [][]byte
	client    wire.NodeServiceClient                  // on the one connection
	transport *http.Transport                         // of client; nil: to be dialled
	acked     atomic.Uint64                           // revision
	kept      atomic.Pointer[wire.AcknowledgeRequest] // nobody waits for it
	failed    atomic.Pointer[error]
}

func newAgent(name string, e wire.Enrolment, t *traffic) *agent {
	a := &agent{name: name, enrolment: e, traffic: t, node: key.NewNode()}
	tunnel, path := key.NewTunnel(), key.NewPath()
	a.statement = wire.SignStatement(&a.node, tunnel.Public(), path.Public(), uint64(time.Now().UnixMilli()))
	return a
}

// dial opens a channel as a node does, unless its enrolment left one.
func (a *agent) dial() error {
	if a.transport != nil {
		return nil
	}
	cert := wire.NodeCertificate(&a.node, a.chain)
	if len(a.chain) == 0 {
		var err error
		if cert, err = wire.SelfSigned(&a.node); err != nil {
			return err
		}
	}
	a.transport = &http.Transport{
		ForceAttemptHTTP2: true, DisableCompression: true, TLSHandshakeTimeout: patience,
		TLSClientConfig: wire.ClientTLS(cert, a.enrolment.Fingerprint, time.Now),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &counted{conn, &a.traffic.bytes}, nil
		},
	}
	a.client = wire.NewNodeServiceClient(&http.Client{Transport: a.transport}, a.enrolment.URL,
		connect.WithReadMaxBytes(wire.MaxMessage+1<<20), connect.WithAcceptCompression("gzip", nil, nil))
	return nil
}

// hangUp ends the connection on which nothing is under way.
func (a *agent) hangUp() {
	a.transport.CloseIdleConnections()
	a.transport = nil
}

// counted counts what is read.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// enrol leaves its connection for the stream, as a node does that enrols and
// then follows.
func (a *agent) enrol(ctx context.Context) error {
	if err := a.dial(); err != nil {
		return err
	}
	resp, err := a.client.Enrol(ctx, connect.NewRequest(&wire.EnrolRequest{
		Secret: a.enrolment.Secret, Name: a.name, Statement: a.statement, Os: "linux", Version: "bench", Level: wire.Level,
	}))
	if err != nil {
		return fmt.Errorf("enrol %s: %w", a.name, err)
	}
	a.id, a.chain = resp.Msg.Node, resp.Msg.Chain
	return nil
}

// follow opens the stream and returns when the first map is there and
// acknowledged. What comes afterwards is read until ctx is done.
func (a *agent) follow(ctx context.Context, g *group) error {
	if err := a.dial(); err != nil {
		return err
	}
	t := a.transport
	stream, err := a.client.Follow(ctx, connect.NewRequest(&wire.FollowRequest{Level: wire.Level, Version: "bench", Instance: make([]byte, 16)}))
	if err != nil {
		return fmt.Errorf("%s follows: %w", a.name, err)
	}
	g.start(func() {
		defer t.CloseIdleConnections()
		defer stream.Close()
		var err error
		for err == nil && stream.Receive() {
			err = a.take(ctx, stream.Msg())
		}
		if err = errors.Join(err, stream.Err()); err != nil && ctx.Err() == nil {
			a.failed.Store(&err)
		}
	})
	return until(ctx, a.name+" has its map", func() error { return a.stands(1) })
}

// report says where the node can be reached, on the connection of its stream.
func (a *agent) report(ctx context.Context) error {
	_, err := a.client.Report(ctx, connect.NewRequest(&wire.ReportRequest{
		Statement: a.statement, Endpoints: []string{"192.0.2.1:51820"}, Port: 51820, Os: "linux", Version: "bench",
	}))
	if err != nil {
		return fmt.Errorf("%s reports: %w", a.name, err)
	}
	return nil
}

// connect is what a node does when it starts.
func (a *agent) connect(ctx context.Context, g *group) error {
	if err := a.follow(ctx, g); err != nil {
		return err
	}
	return a.report(ctx)
}

// again is what a node does whose coordinator was away.
func (a *agent) again(ctx context.Context, g *group) error {
	a.hangUp()
	a.acked.Store(0)
	a.failed.Store(nil)
	return a.connect(ctx, g)
}

// stands tells whether the node has acknowledged that revision or a later one.
func (a *agent) stands(revision uint64) error {
	if err := a.failed.Load(); err != nil {
		return fmt.Errorf("the stream of %s ended: %w", a.name, *err)
	}
	if a.acked.Load() < revision {
		return errors.New("not acknowledged")
	}
	return nil
}

// take counts a message, and acknowledges a map; as late as it may, if it may.
func (a *agent) take(ctx context.Context, m *wire.FollowResponse) error {
	s := m.GetSigned()
	if s == nil {
		if m.GetHints() != nil {
			a.traffic.mapBytes.Add(int64(proto.Size(m)))
		}
		return nil
	}
	e := new(wire.Envelope)
	if err := proto.Unmarshal(s.Payload, e); err != nil {
		return err
	}
	if e.GetLease() != nil {
		return nil
	}
	a.traffic.mapBytes.Add(int64(proto.Size(m)))
	if e.GetFull() == nil && e.GetDelta() == nil {
		return nil
	}
	a.traffic.maps.Add(1)
	ack := &wire.AcknowledgeRequest{Incarnation: e.Incarnation, Revision: e.To}
	if m.Unhurried {
		if a.kept.Swap(ack) == nil {
			time.AfterFunc(wire.UnhurriedWithin/2+rand.N(wire.UnhurriedWithin/2), func() { _ = a.acknowledgeKept(ctx) })
		}
		return nil
	}
	a.kept.Store(nil)
	return a.acknowledge(ctx, ack)
}

func (a *agent) acknowledge(ctx context.Context, ack *wire.AcknowledgeRequest) error {
	if _, err := a.client.Acknowledge(ctx, connect.NewRequest(ack)); err != nil {
		return err
	}
	for { // one that was kept may be answered after a later one
		was := a.acked.Load()
		if was >= ack.Revision || a.acked.CompareAndSwap(was, ack.Revision) {
			return nil
		}
	}
}

// acknowledgeKept tells what can wait no longer: one for all that was added
// meanwhile.
func (a *agent) acknowledgeKept(ctx context.Context) error {
	if ack := a.kept.Swap(nil); ack != nil {
		return a.acknowledge(ctx, ack)
	}
	return nil
}
