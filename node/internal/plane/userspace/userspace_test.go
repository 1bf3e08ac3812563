package userspace_test

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func now() filter.Moment { return filter.At(time.Now()) }

// keeping is a plane with its TUN.
type keeping struct {
	userspace.Keeping
	tun *planetest.TUN
}

func start(t *testing.T, tun *planetest.TUN, net *planetest.Network, id string, log io.Writer) keeping {
	t.Helper()
	p, err := userspace.Keep(userspace.Options{TUN: tun, Bind: net.Bind(id), Now: now,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	return keeping{p, tun}
}

// lab joins two planes in memory and in virtual time.
func lab(t *testing.T, body func(t *testing.T, p *planetest.Pair)) {
	synctest.Test(t, func(t *testing.T) {
		net := planetest.NewNetwork()
		tuns := [2]*planetest.TUN{planetest.NewTUN(8), planetest.NewTUN(8)}
		a := start(t, tuns[0], net, "n-a", io.Discard)
		defer a.Close()
		time.Sleep(3700 * time.Millisecond) // they do not look for what is idle at the same time
		b := start(t, tuns[1], net, "n-b", io.Discard)
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
func TestLogHoldsNoSecret_A44(t *testing.T) {
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

// What a failed configuration left behind in wireguard-go is cleared away.
func TestHalfWayIsMadeWholeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := planetest.NewNetwork()
		net.Unknown = "n-bad"
		a := keep(t, userspace.Options{TUN: mute{planetest.NewTUN(8)}, Bind: net.Bind("n-a"), Now: now})
		b := start(t, planetest.NewTUN(8), net, "n-b", io.Discard)
		defer a.Close()
		defer b.Close()
		synctest.Wait() // both devices are up
		keyA, keyB, bad := key.NewTunnel(), key.NewTunnel(), key.NewTunnel()
		peerB := plane.Peer{ID: "n-b", TunnelKey: keyB.Public()}
		if err := a.Configure(t.Context(), config(keyA, planetest.A4, peerB, plane.Peer{ID: "n-bad", TunnelKey: bad.Public()})); err == nil {
			t.Fatal("a peer without an endpoint was accepted")
		}
		if v, _ := a.Explain(plane.Question{Src: planetest.B4.IP(), Dst: planetest.A4.IP()}); v.Reason != acl.NoMap {
			t.Errorf("after a failure the verdict is %v, want %q", v, acl.NoMap)
		}
		if err := a.Configure(t.Context(), config(keyA, planetest.A4)); err != nil {
			t.Fatal(err)
		}
		peerA := plane.Peer{ID: "n-a", TunnelKey: keyA.Public(), Allowed: []netip.Prefix{planetest.A4.Host()},
			Prefixes: []acl.PrefixClass{{Prefix: planetest.A4.Host(), Class: 1}}}
		cfg := config(keyB, planetest.B4, peerA)
		cfg.Rules.Out = []acl.Rule{{ID: "r", Src: []acl.Class{1}, Dst: []acl.Class{1}, Open: []acl.Service{{Protocol: acl.UDP, Last: 65535}}}}
		if err := b.Configure(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		b.tun.Send(planetest.UDP(planetest.B4, planetest.A4, 5000, 53))
		synctest.Wait()
		stats, err := b.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if len(stats.Peers) != 1 || stats.Peers[0].Sent == 0 || !stats.Peers[0].LastHandshake.IsZero() {
			t.Errorf("%+v: want a handshake sent and none answered by a node that has no peer", stats)
		}
	})
}

// ports is a bind that remembers the ports it was opened on.
type ports struct {
	conn.Bind
	mu     sync.Mutex
	opened []uint16
}

func (p *ports) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = append(p.opened, port)
	return p.Bind.Open(port)
}

func TestPortIsSetOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bind := &ports{Bind: planetest.NewNetwork().Bind("n-a")}
		p, err := userspace.New(userspace.Options{TUN: planetest.NewTUN(1), Bind: bind, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		synctest.Wait() // opened on any port by now
		cfg := config(key.NewTunnel(), planetest.A4)
		for _, port := range []uint16{0, 41641, 41641, 7} {
			cfg.ListenPort = port
			if err := p.Configure(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		}
		bind.mu.Lock()
		defer bind.mu.Unlock()
		if want := []uint16{0, 41641, 7}; !slices.Equal(bind.opened, want) {
			t.Errorf("opened on %v, want %v", bind.opened, want)
		}
	})
}
