package control_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/policytime"
)

// A29: whatever the mesh routes, the way to the coordinator, and to the name
// server that knows it, is shown to Control before a byte leaves.
func TestWayToTheCoordinatorIsShownToControl(t *testing.T) {
	for url, want := range map[string]string{"https://127.0.0.1:1": "tcp", "https://coordinator.invalid:1": "udp"} {
		r := newRig(t)
		clock, err := policytime.New(policytime.Options{Store: policytime.File(r.dir.PolicyTimeFile())})
		if err != nil {
			t.Fatal(err)
		}
		id := r.identity()
		id.URL = url
		var mu sync.Mutex
		var seen []string
		f, err := control.NewFollower(control.Options{
			Dir: r.dir, Keys: r.keys, Identity: id, Clock: clock, Log: slog.New(slog.DiscardHandler),
			Control: func(network, _ string, _ syscall.RawConn) error {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, network)
				return errors.New("nothing is to leave")
			},
		}, wire.State{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.LookupRules(t.Context(), nil, 0); err == nil {
			t.Errorf("%s was reached", url)
		}
		mu.Lock()
		if len(seen) == 0 || !strings.HasPrefix(seen[0], want) {
			t.Errorf("%s: shown were %v, want %s first", url, seen, want)
		}
		mu.Unlock()
	}
}

// Where the machine's own resolver is not to be asked, since it may be this node,
// the coordinator's name goes where the node says.
func TestCoordinatorsNameGoesToTheGivenResolver(t *testing.T) {
	r := newRig(t)
	clock, err := policytime.New(policytime.Options{Store: policytime.File(r.dir.PolicyTimeFile())})
	if err != nil {
		t.Fatal(err)
	}
	id := r.identity()
	id.URL = "https://coordinator.invalid:1"
	asked := errors.New("asked")
	f, err := control.NewFollower(control.Options{
		Dir: r.dir, Keys: r.keys, Identity: id, Clock: clock, Log: slog.New(slog.DiscardHandler),
		Control: func(string, string, syscall.RawConn) error { return errors.New("this machine's way") },
		Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, asked
		}},
	}, wire.State{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.LookupRules(t.Context(), nil, 0); err == nil || !strings.Contains(err.Error(), asked.Error()) {
		t.Errorf("the name was looked up elsewhere: %v", err)
	}
}
