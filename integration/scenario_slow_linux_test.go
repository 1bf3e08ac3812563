package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/integration/lab"
)

// puppet is a node by its contract alone, which reads when the test says so.
type puppet struct {
	name      string
	host      *lab.Host
	enrolment wire.Enrolment
	key       key.NodePrivate
	chain     [][]byte
	gate      *gate // of its connections
}

// gate lets readers through while it is open.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed while open
}

func newGate() *gate { g := &gate{open: make(chan struct{})}; close(g.open); return g }

func (g *gate) shut() { g.mu.Lock(); g.open = make(chan struct{}); g.mu.Unlock() }

func (g *gate) lift() { g.mu.Lock(); close(g.open); g.mu.Unlock() }

func (g *gate) pass() { g.mu.Lock(); open := g.open; g.mu.Unlock(); <-open }

// gated is a connection that reads nothing while its gate is shut.
type gated struct {
	net.Conn
	gate *gate
}

func (c *gated) Read(b []byte) (int, error) { c.gate.pass(); return c.Conn.Read(b) }

// puppet makes a puppet and enrols it.
func (s *scene) puppet(t *testing.T, name, host, owner string) *puppet {
	t.Helper()
	e, err := wire.ParseEnrolment(s.coordinator.Token(owner))
	if err != nil {
		t.Fatal(err)
	}
	p := &puppet{name: name, host: s.Host(host), enrolment: e, key: key.NewNode(), gate: newGate()}
	tunnel, path := key.NewTunnel(), key.NewPath()
	client, done := p.dial(t)
	defer done()
	resp, err := client.Enrol(t.Context(), connect.NewRequest(&wire.EnrolRequest{
		Secret: e.Secret, Name: name, Level: wire.Level, Os: "linux", Version: "puppet",
		Statement: wire.SignStatement(&p.key, tunnel.Public(), path.Public(), uint64(time.Now().UnixMilli())),
	}))
	if err != nil {
		t.Fatalf("enrol %s: %v", name, err)
	}
	p.chain = resp.Msg.Chain
	return p
}

// dial opens a channel as a node does, with a small window for what it receives.
func (p *puppet) dial(t *testing.T) (wire.NodeServiceClient, func()) {
	t.Helper()
	cert := wire.NodeCertificate(&p.key, p.chain)
	if len(p.chain) == 0 {
		var err error
		if cert, err = wire.SelfSigned(&p.key); err != nil {
			t.Fatal(err)
		}
	}
	tr := &http.Transport{
		ForceAttemptHTTP2: true, DisableCompression: true, TLSClientConfig: wire.ClientTLS(cert, p.enrolment.Fingerprint, time.Now),
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			at := strings.TrimPrefix(p.enrolment.URL, "https://")
			var conn net.Conn
			err := p.host.Do(func() (err error) {
				conn, err = new(net.Dialer).DialContext(ctx, network, at)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &gated{conn, p.gate}, conn.(*net.TCPConn).SetReadBuffer(4096)
		},
	}
	return wire.NewNodeServiceClient(&http.Client{Transport: tr}, p.enrolment.URL, connect.WithAcceptCompression("gzip", nil, nil)), tr.CloseIdleConnections
}

// follow opens the stream.
func (p *puppet) follow(t *testing.T, ctx context.Context) *connect.ServerStreamForClient[wire.FollowResponse] {
	t.Helper()
	client, done := p.dial(t)
	t.Cleanup(done)
	stream, err := client.Follow(ctx, connect.NewRequest(&wire.FollowRequest{Level: wire.Level, Version: "puppet", Instance: []byte(p.name)}))
	if err != nil {
		t.Fatalf("%s follows: %v", p.name, err)
	}
	t.Cleanup(func() { stream.Close() })
	return stream
}

// first reads up to the first map and gives its revision, and whether it is a Full.
func first(stream *connect.ServerStreamForClient[wire.FollowResponse]) (revision uint64, full bool, err error) {
	for stream.Receive() {
		s := stream.Msg().GetSigned()
		if s == nil {
			continue
		}
		e := new(wire.Envelope)
		if err := proto.Unmarshal(s.Payload, e); err != nil {
			return 0, false, err
		}
		if e.GetFull() != nil || e.GetDelta() != nil {
			return e.To, e.GetFull() != nil, nil
		}
	}
	return 0, false, fmt.Errorf("the stream ended without a map: %w", stream.Err())
}

// busy is a policy that differs for everybody with n, and is long for the laboratory.
func busy(n int) string {
	var ports strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&ports, ", \"tcp:%d\"", 10000+2*i+n%2)
	}
	return fmt.Sprintf(`{
	"tagOwners": {"tag:ehr": ["nina@hospital.example"], "tag:lab": ["nina@hospital.example"]},
	"grants": [
		{"id": "records", "src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:%d"]},
		{"id": "results", "src": ["nina@hospital.example"], "dst": ["tag:lab"], "ip": ["tcp:443"%s]}]}`, 5000+n%2, &ports)
}

// change puts the next policy in force, and gives how long the two real nodes
// took to enforce it.
func (s *scene) change(n int) time.Duration {
	s.t.Helper()
	s.coordinator.SetPolicy(busy(n))
	began := time.Now()
	now := ask(s.t, s.admin.Status, &admin.StatusRequest{})
	for _, d := range s.nodes {
		d.WaitRevision(now.Revision)
	}
	return time.Since(began)
}

// connected tells whether the coordinator holds a stream of the node.
func (s *scene) connected(node string) bool {
	s.t.Helper()
	return ask(s.t, s.admin.GetNode, &admin.GetNodeRequest{Node: node}).Node.Connected
}

// A10, F26: nodes that follow and do not read, be it that they leave the stream
// alone or that they leave their whole connection alone, are cut off; their
// neighbours get every change meanwhile; and when they come back they get one
// map and no backlog.
func TestSlowReadersAreCutOffAndDelayNobody_A10_F26(t *testing.T) {
	t.Parallel() // most of it is waiting
	top := lab.Segment("hub", "ward", "ehr", "sloth")
	// What the kernel would take off the coordinator's hands must not hide for
	// long that nobody reads.
	top.Machines[0].Sysctls = map[string]string{"net/ipv4/tcp_wmem": "4096 16384 32768"}
	s := raiseOn(t, top, busy(0), member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	polite, rude := s.puppet(t, "polite", "sloth", "tag:lab"), s.puppet(t, "rude", "sloth", "tag:lab")
	streams := map[*puppet]*connect.ServerStreamForClient[wire.FollowResponse]{}
	for _, p := range []*puppet{polite, rude} {
		streams[p] = p.follow(t, t.Context())
		if _, full, err := first(streams[p]); err != nil || !full {
			t.Fatalf("%s does not get a map at first: %v", p.name, err)
		}
	}
	rude.gate.shut() // and nobody calls Receive on either
	began := time.Now()
	var slowest, total time.Duration
	n := 1
	for ; s.connected("polite") || s.connected("rude"); n++ {
		if time.Since(began) > 3*patience {
			t.Fatalf("after %s of changes a node that reads nothing still has its stream", time.Since(began))
		}
		took := s.change(n)
		slowest, total = max(slowest, took), total+took
		time.Sleep(50 * time.Millisecond) // the machine has other things to do
	}
	t.Logf("cut off %s after the last read; %d changes meanwhile took neighbours %s each, at most %s",
		time.Since(began).Round(time.Millisecond), n-1, total/time.Duration(n-1), slowest)
	if slowest > 5*time.Second {
		t.Errorf("a change took neighbours %s", slowest)
	}
	s.change(n)
	now := ask(t, s.admin.Status, &admin.StatusRequest{}).Revision
	rude.gate.lift()
	for p, old := range streams {
		for old.Receive() {
		}
		if old.Err() == nil {
			t.Errorf("%s is not told that it was cut off", p.name)
		}
		if revision, full, err := first(p.follow(t, t.Context())); err != nil || !full || revision != now {
			t.Errorf("%s comes back and gets revision %d (full %v), want a Full of %d: %v", p.name, revision, full, now, err)
		}
	}
}

// A10: however many streams a node opens, it holds one, and its neighbours are
// served.
func TestANodeHoldsOneStream_A10(t *testing.T) {
	s := raiseOn(t, lab.Segment("hub", "ward", "ehr", "sloth"), busy(0), member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	greedy := s.puppet(t, "greedy", "sloth", "tag:lab")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const streams = 100
	ended := make(chan error, streams)
	for range streams {
		stream := greedy.follow(t, ctx)
		go func() {
			for stream.Receive() {
			}
			ended <- stream.Err()
		}()
	}
	for i := range streams - 1 {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("a stream ends without a word")
			}
		case <-time.After(patience):
			t.Fatalf("%d of %d streams of one node are open", streams-i, streams)
		}
	}
	if took := s.change(1); took > 5*time.Second {
		t.Errorf("a change took neighbours %s", took)
	}
	if n := ask(t, s.admin.Status, &admin.StatusRequest{}).Connected; n > 3 {
		t.Errorf("%d nodes are connected, and there are 3", n)
	}
}
