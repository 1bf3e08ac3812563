package userspace_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func now() filter.Moment { return filter.At(time.Now()) }

func start(t *testing.T, tun *planetest.TUN, net *planetest.Network, id string, log io.Writer) userspace.Keeping {
	t.Helper()
	p, err := userspace.New(userspace.Options{TUN: tun, Bind: net.Bind(id), Now: now,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	return userspace.Keeping{Plane: p}
}

// lab joins two planes in memory and in virtual time.
func lab(t *testing.T, body func(t *testing.T, p *planetest.Pair)) {
	synctest.Test(t, func(t *testing.T) {
		net := planetest.NewNetwork()
		tuns := [2]*planetest.TUN{planetest.NewTUN(8), planetest.NewTUN(8)}
		a, b := start(t, tuns[0], net, "n-a", io.Discard), start(t, tuns[1], net, "n-b", io.Discard)
		defer a.Close()
		defer b.Close()
		synctest.Wait()
		body(t, &planetest.Pair{
			A:     planetest.Node{Plane: a, Send: tuns[0].Send, Drain: tuns[0].Drain},
			B:     planetest.Node{Plane: b, Send: tuns[1].Send, Drain: tuns[1].Drain},
			Now:   time.Now,
			Pass:  func(d time.Duration) { time.Sleep(d); synctest.Wait() },
			Still: synctest.Wait,
		})
		if n := net.Strayed.Load(); n != 0 {
			t.Errorf("%d datagrams went to endpoints that packets brought", n)
		}
	})
}

func TestPlane(t *testing.T) { planetest.Run(t, lab) }

func config(k key.TunnelPrivate, self planetest.Address, peers ...plane.Peer) plane.Config {
	return plane.Config{Revision: 1, TunnelKey: k, Mesh: planetest.Ranges(), Peers: peers,
		Self: plane.Self{Prefixes: []acl.PrefixClass{{Prefix: self.Host(), Class: 1}}}}
}

func TestDeathOfTheTUNIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.Join(io.EOF, errors.New("link deleted"))
		tun := planetest.NewTUN(8)
		p := start(t, tun, planetest.NewNetwork(), "n-a", io.Discard)
		if err := p.Configure(t.Context(), config(key.NewTunnel(), planetest.A4)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.Done():
			t.Fatal("ended by itself")
		default:
		}
		tun.Fail(gone)
		<-p.Done()
		if err := p.Err(); !errors.Is(err, gone) {
			t.Errorf("Err is %v, want %v", err, gone)
		}
		if err := p.Configure(t.Context(), config(key.NewTunnel(), planetest.A4)); !errors.Is(err, userspace.ErrClosed) {
			t.Errorf("Configure gave %v, want %v", err, userspace.ErrClosed)
		}
		if !tun.Closed() {
			t.Error("the dead TUN is still open")
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestNewNeedsItsParts(t *testing.T) {
	for _, o := range []userspace.Options{{}, {Now: now}, {TUN: planetest.NewTUN(1)}} {
		if _, err := userspace.New(o); err == nil {
			t.Errorf("a plane was made of %+v", o)
		}
	}
}

// No secret reaches the log, whatever is configured, at the finest level.
func TestLogHoldsNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log safeBuilder
		p := start(t, planetest.NewTUN(8), planetest.NewNetwork(), "n-a", &log)
		defer p.Close()
		k, peer := key.NewTunnel(), key.NewTunnel()
		other := plane.Peer{ID: "n-b", Name: "b", TunnelKey: peer.Public()}
		if err := p.Configure(t.Context(), config(k, planetest.A4, other)); err != nil {
			t.Fatal(err)
		}
		other.ID = "n-b\nprivate_key=00" // not an id that wire lets through
		err := p.Configure(t.Context(), config(k, planetest.A4, other))
		if err == nil {
			t.Error("an id with a line break in it was accepted")
			err = errors.New("none")
		}
		secret := strings.TrimPrefix(k.Secret(), "private-tunnel:")
		if text := log.String() + err.Error(); strings.Contains(text, secret) || !strings.Contains(text, "UAPI") {
			t.Errorf("the log has the key in it, or nothing at all:\n%s", text)
		}
	})
}

type safeBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuilder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuilder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
