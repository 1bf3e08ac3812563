package node_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

// answer serves one word on a port of a node's mesh address.
func answer(t *testing.T, m *machine, port uint16) {
	t.Helper()
	l, err := m.node.Listen("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello from "+m.name)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

func ask(t *testing.T, m *machine, address string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := m.node.Dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), err
}

func TestTwoNodesTalkAndExplain(t *testing.T) {
	a, b, sa, _ := pair(t)
	answer(t, b, 443)
	answer(t, b, 444)
	for _, address := range []string{"ehr:443", "ehr.mesh.internal:443", "100.64.0.2:443"} {
		if got, err := ask(t, a, address); err != nil || got != "hello from ehr" {
			t.Fatal(address, got, err)
		}
	}
	if _, err := ask(t, a, "ehr:444"); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EACCES) && (err == nil || !strings.Contains(err.Error(), "refused")) {
		t.Fatal("a port that no rule opens:", err)
	}
	if _, err := ask(t, a, "nobody:443"); err == nil {
		t.Fatal("a name that nobody has")
	}

	a.eventually("status tells of path and refusal", func() bool {
		s := a.status()
		return len(s.Peers) == 1 && s.Peers[0].Path == "direct" && s.Peers[0].Received > 0 && len(s.Refusals) == 1
	})
	s := a.status()
	if s.State != local.StateRunning || s.Name != "ward" || s.User != "ward@clinic.example" || s.Mode != "userspace" || s.Interface != "" || !s.Coordinator.Connected || s.Map.Revision != 5 || s.Map.FromDisk {
		t.Fatalf("%+v", s)
	}
	if r := s.Refusals[0]; !r.Outbound || r.Dst.Port() != 444 || r.Protocol != "tcp" || !strings.Contains(r.Reason, "no rule") {
		t.Fatalf("%+v", r)
	}
	if s.Peers[0].Endpoint == "" || s.Peers[0].LastHandshake.IsZero() {
		t.Fatalf("%+v", s.Peers[0])
	}

	for _, tt := range []struct {
		r               local.ExplainRequest
		allow, outbound bool
		fails           string
	}{
		{local.ExplainRequest{Dst: "ehr", Port: 443}, true, true, ""},
		{local.ExplainRequest{Dst: "ehr", Port: 444}, false, true, ""},
		{local.ExplainRequest{Src: "ehr", Dst: "", Port: 443}, true, false, ""},
		{local.ExplainRequest{Src: "ehr", Dst: "ward", Port: 22, Protocol: "udp"}, false, false, ""},
		{local.ExplainRequest{Src: "ehr", Dst: "100.64.0.9", Port: 443}, false, false, "neither"},
		{local.ExplainRequest{Dst: "pacs", Port: 443}, false, false, "no peer of this node is called"},
		{local.ExplainRequest{Dst: "ehr", Port: 443, Protocol: "carrier-pigeon"}, false, false, "want tcp, udp, icmp"},
		{local.ExplainRequest{Dst: "ehr", Port: 443, Protocol: "sctp"}, false, true, ""},
		{local.ExplainRequest{Dst: "fd00::1", Port: 443}, false, false, "no address family in common"},
	} {
		e, err := a.Explain(t.Context(), tt.r)
		if tt.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%+v: %v, want %q", tt.r, err, tt.fails)
			}
			continue
		}
		if err != nil || e.Allow != tt.allow || e.Outbound != tt.outbound {
			t.Errorf("%+v: %+v, %v", tt.r, e, err)
			continue
		}
		if tt.allow && (e.Rule != "web" || e.File != "policy.hujson" || e.Line != 7) {
			t.Errorf("%+v: rule %q at %s:%d", tt.r, e.Rule, e.File, e.Line)
		}
	}

	if p, err := a.Ping(t.Context(), local.PingRequest{Target: "ehr"}); err != nil || p.Error != "" || p.RTT <= 0 || p.Endpoint == "" {
		t.Fatal(p, err)
	}
	if _, err := a.Ping(t.Context(), local.PingRequest{Target: "pacs"}); err == nil {
		t.Fatal("ping of nobody")
	}

	// A narrower map ends it on this side, whatever the other one thinks.
	a.give(sa, a.full(6, nil, b.record()))
	a.eventually("the narrower map is enforced", func() bool { _, err := ask(t, a, "ehr:443"); return err != nil })
	a.eventually("and acknowledged", func() bool {
		for _, at := range a.c.Acknowledged() {
			if at.Revision == 6 {
				return true
			}
		}
		return false
	})
}

func TestUpDownAndRestartFromDisk(t *testing.T) {
	a, b, sa, _ := pair(t)
	answer(t, b, 443)
	if _, err := ask(t, a, "ehr:443"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Up(t.Context(), local.UpRequest{Enrolment: a.c.Enrolment()}); err == nil || !strings.Contains(err.Error(), "enrolled already") {
		t.Fatal("enrolled twice:", err)
	}
	if s, err := a.Up(t.Context(), local.UpRequest{}); err != nil || s.State != local.StateRunning {
		t.Fatal("up while up:", s, err)
	}
	s, err := a.Down(t.Context())
	if err != nil || s.State != local.StateStopped || s.Node == "" || len(s.Peers) != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	<-sa.Gone()
	if _, err := ask(t, a, "ehr:443"); err == nil || !strings.Contains(err.Error(), "cordon up") {
		t.Fatal("down, and it dials:", err)
	}
	for what, f := range map[string]func() error{
		"ping": func() error { _, err := a.Ping(t.Context(), local.PingRequest{Target: "ehr"}); return err },
		"explain": func() error {
			_, err := a.Explain(t.Context(), local.ExplainRequest{Dst: "ehr", Port: 443})
			return err
		},
		"listen": func() error { _, err := a.node.Listen("tcp", 1); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), "cordon up") {
			t.Errorf("%s while down: %v", what, err)
		}
	}
	if s, err := a.Down(t.Context()); err != nil || s.State != local.StateStopped {
		t.Fatal("down while down:", s, err)
	}

	// Down is remembered over a restart; up again needs no string, and no coordinator.
	a.end()
	a.run()
	if s := a.status(); s.State != local.StateStopped {
		t.Fatalf("after a restart it is %s", s.State)
	}
	if s, err := a.Up(t.Context(), local.UpRequest{}); err != nil || s.State != local.StateRunning || !s.Map.FromDisk || s.Map.Revision != 5 || len(s.Peers) != 1 {
		t.Fatalf("from disk: %+v, %v", s, err)
	}
	if got, err := ask(t, a, "ehr:443"); err != nil || got != "hello from ehr" {
		t.Fatal("from disk alone:", got, err)
	}
	sa = a.c.Next()
	if sa.Request.Revision != 5 {
		t.Fatal(sa.Request)
	}
	sa.Send(controltest.Current())
	a.eventually("the map is confirmed", func() bool { return !a.status().Map.FromDisk })

	a.end()
	a.run() // it was up, and comes up by itself
	a.eventually("it runs again", func() bool { return a.status().State == local.StateRunning })
}

func TestWithoutAMapNothingIsPermitted(t *testing.T) {
	c := controltest.OnLoopback(t)
	m := newMachine(t, c, "ward", "100.64.0.1")
	s := m.status()
	if s.State != local.StateUnenrolled || s.Mesh != "" || s.Node != "" {
		t.Fatalf("%+v", s)
	}
	if _, err := m.Down(t.Context()); err == nil || !strings.Contains(err.Error(), "never joined") {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context(), local.UpRequest{}); err == nil || !errors.As(err, new(*local.Problem)) {
		t.Fatal("up without a string:", err)
	}
	wrong := strings.Replace(c.Enrolment(), c.Secret, strings.Repeat("z", 32), 1)
	if _, err := m.Up(t.Context(), local.UpRequest{Enrolment: wrong}); err == nil || !strings.Contains(err.Error(), "spent") || strings.Contains(err.Error(), "zzz") {
		t.Fatal("a spent token:", err)
	}
	if got := m.status().State; got != local.StateUnenrolled {
		t.Fatal("after a refused enrolment it is", got)
	}
	stream, up := m.join()
	if got := m.status().State; got != local.StateStarting {
		t.Fatal("without a map it is", got)
	}
	if _, err := ask(t, m, "100.64.0.2:443"); err == nil {
		t.Fatal("without a map something passes")
	}
	waiting := m.full(3, nil)
	waiting.Self.Pending = true
	m.give(stream, waiting)
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	if got := m.status().State; got != local.StatePending {
		t.Fatal("held for approval it is", got)
	}
	m.give(stream, m.full(4, nil))
	m.eventually("it runs", func() bool { return m.status().State == local.StateRunning })
}

// Before its first lease a node opens nothing by a rule with a hold: whoever was told
// that it runs would be refused.
func TestUpWaitsForTheFirstLease(t *testing.T) {
	m := newMachine(t, controltest.OnLoopback(t), "ward", "100.64.0.1")
	stream, up := m.join()
	first := m.full(3, nil)
	m.send(stream, wire.NewFull(m.c.Mesh.To(m.key), first))
	m.eventually("its map is enforced", func() bool { return len(m.c.Acknowledged()) == 1 })
	if got := m.status().State; got != local.StateStarting {
		t.Error("with a map and no lease it is", got)
	}
	select {
	case err := <-up:
		t.Fatal("up returned before the first lease:", err)
	default:
	}
	m.standBehind(stream, first)
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	if got := m.status().State; got != local.StateRunning {
		t.Error("with a lease it is", got)
	}
}

func TestRevokedPeerIsGoneAtOnce(t *testing.T) {
	a, b, sa, _ := pair(t)
	answer(t, b, 443)
	if _, err := ask(t, a, "ehr:443"); err != nil {
		t.Fatal(err)
	}
	sa.Send(controltest.Signed(a.c.Mesh.Sign(wire.NewRevocation(a.c.Mesh.ID(), controltest.At(1, 2, 6), b.key, time.Now()))))
	a.eventually("the peer is gone", func() bool { return len(a.status().Peers) == 0 })
	// Status tells of the map; that it is enforced follows within moments.
	a.eventually("a revoked peer is out of reach", func() bool {
		_, err := ask(t, a, "100.64.0.2:443")
		return err != nil
	})
}

// What cannot be, is said when the daemon starts, and nothing is made anew.
func TestNewRefuses(t *testing.T) {
	c := controltest.OnLoopback(t)
	m := newMachine(t, c, "ward", "100.64.0.1")
	if _, err := node.New(m.cfg); !errors.Is(err, control.ErrHeld) {
		t.Fatal("two daemons on one state directory:", err)
	}
	other := m.cfg
	other.StateDir += "2"
	n, err := node.New(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another daemon answers") {
		t.Fatal("two daemons on one socket:", err)
	}
	stream, up := m.join()
	m.give(stream, m.full(3, nil))
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	m.end()

	mine, err := os.ReadFile(m.cfg.StateDir + "/node.key")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(other.StateDir + "/node.key")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ file, content, want string }{
		"the key of another node": {"node.key", string(theirs), "enrol again"},
		"a damaged identity":      {"identity.json", "{", "enrol again"},
		"a damaged policy time":   {"policytime", "yesterday", "remove"},
		"a damaged key":           {"tunnel.key", "x", "enrol again"},
	} {
		path := m.cfg.StateDir + "/" + tt.file
		before, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = node.New(m.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), strings.TrimSpace(string(mine))) {
			t.Errorf("%s: %v", name, err)
		}
		if before == nil {
			os.Remove(path)
		} else if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.run()
	m.eventually("all is well again", func() bool { return m.status().State == local.StateRunning })
}

// A door that cannot be opened is told to whoever said `up`, not only to a log.
func TestUpSaysWhyTheNodeCannotRun(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := controltest.OnLoopback(t)
	m := newMachine(t, c, "ward", "100.64.0.1")
	m.end()
	m.cfg.SOCKS5 = taken.Addr().String()
	m.run()
	_, err = m.Up(t.Context(), local.UpRequest{Enrolment: c.Enrolment(), Name: "ward"})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Fatal(err)
	}
	if err := <-m.ended; err == nil || !strings.Contains(err.Error(), "socks5") {
		t.Fatal("the daemon ends with", err)
	}
	m.cancel = nil
	m.Client.Close()
}
