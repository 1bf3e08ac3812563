package control_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/internal/policytime"
)

// newcomer is a node that enrolled a moment ago, with its connection on the line.
type newcomer struct {
	*controltest.Coordinator
	dir  *control.Dir
	keys *control.Keys
	id   *control.Identity
	line control.Line
}

func enrolled(t *testing.T) *newcomer {
	t.Helper()
	n := &newcomer{Coordinator: controltest.OnLoopback(t)}
	n.dir, n.keys = fresh(t)
	e, err := wire.ParseEnrolment(n.Enrolment())
	if err != nil {
		t.Fatal(err)
	}
	if n.id, err = control.Enrol(t.Context(), n.dir, n.keys, e, "ward", "test", &n.line); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.line.Close)
	return n
}

// follow runs a follower until the test ends.
func (n *newcomer) follow(t *testing.T, c control.Control) {
	t.Helper()
	clock, err := policytime.New(policytime.Options{Store: policytime.File(n.dir.PolicyTimeFile())})
	if err != nil {
		t.Fatal(err)
	}
	f, err := control.NewFollower(control.Options{
		Dir: n.dir, Keys: n.keys, Identity: n.id, Clock: clock, Log: slog.New(slog.DiscardHandler), Control: c, Line: &n.line,
		Facts:    func() control.Facts { return control.Facts{} },
		Listener: &recorder{hints: map[string]control.Hint{}, trouble: map[string]string{}},
	}, wire.State{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// A join is one handshake: the key that enrolled is the key that follows.
func TestFollowsOnTheConnectionOfItsEnrolment(t *testing.T) {
	n := enrolled(t)
	var mu sync.Mutex
	var shown []string
	n.follow(t, func(_, address string, c syscall.RawConn) error {
		mu.Lock()
		defer mu.Unlock()
		shown = append(shown, address)
		return c.Control(func(uintptr) {}) // fails on a socket that is closed
	})
	s := n.Next()
	if s.Caller != n.keys.Node.Public() {
		t.Error("somebody else follows")
	}
	if got := n.Connections(); got != 1 {
		t.Errorf("enrolling and following took %d connections", got)
	}
	mu.Lock()
	if len(shown) != 1 || "https://"+shown[0] != n.URL {
		t.Errorf("Control was shown %v before the socket was used again", shown)
	}
	mu.Unlock()
	for len(n.Reports()) == 0 { // it reports once the stream has said something
		s.Send(controltest.Heartbeat())
	}
	if who, _ := n.Enrolled("ward"); who.System == "" || who.System != n.Reports()[0].Os {
		t.Errorf("it enrolled as %q and reports %q: each join would be two changes", who.System, n.Reports()[0].Os)
	}
	s.End(errors.New("again"))
	if n.Next(); n.Connections() != 2 {
		t.Errorf("a second session takes no connection of its own: %d in all", n.Connections())
	}
}

// A29: a socket that cannot be kept beneath the tunnel is not used, though it
// stands.
func TestConnectionThatControlRefusesIsNotUsed(t *testing.T) {
	n := enrolled(t)
	refused := make(chan struct{}, 16)
	n.follow(t, func(string, string, syscall.RawConn) error {
		refused <- struct{}{}
		return errors.New("nothing is to leave")
	})
	<-refused // the socket that stands
	<-refused // and its successor
	if n.Waiting() != 0 || n.Connections() != 1 {
		t.Errorf("%d sessions on %d connections", n.Waiting(), n.Connections())
	}
}

// What nobody takes ends with the node.
func TestLineEnds(t *testing.T) {
	n := enrolled(t)
	n.line.Close()
	n.follow(t, nil)
	if n.Next(); n.Connections() != 2 {
		t.Errorf("%d connections", n.Connections())
	}
	if _, err := control.Enrol(t.Context(), n.dir, n.keys, wire.Enrolment{URL: n.URL, Fingerprint: n.Mesh.Root.Public().Fingerprint(), Secret: strings.Repeat("z", 32)}, "ward", "test", &n.line); err == nil {
		t.Error("enrolled with a spent token")
	}
}
