//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// atRelay is a relay in this process, seen as the measurement sees the program.
func atRelay(t *testing.T) (*relayBench, *server.Server) {
	t.Helper()
	r := &relayBench{mesh: newRelayMesh(), bench: &bench{ctx: t.Context(), dir: t.TempDir(), quick: true, results: new(results)}}
	s := relaytest.New(t, server.Config{Roots: []key.Fingerprint{r.mesh.fingerprint()}, Rate: 1 << 40, FrameRate: 1 << 40})
	h := relaytest.Serve(t, s)
	r.address, r.pin = h.Address, h.Pin
	return r, s
}

// bareServer is the other side of the comparison, in this process.
func bareServer(t *testing.T) (address string) {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- playUpgraded(ctx, address) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	err = until(ctx, "the bare server answers", func() error {
		_, err := directRound(ctx, address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func TestPairsLoseNothingAtARelay(t *testing.T) {
	r, s := atRelay(t)
	ctx, cancel := context.WithCancel(t.Context())
	var g group
	defer g.wait()
	defer cancel()
	c := new(carried)
	for range 2 {
		p, err := r.pair(ctx, &g)
		if err != nil {
			t.Fatal(err)
		}
		c.pairs = append(c.pairs, p)
	}
	for range 2 {
		if err := c.turn(ctx, os.Getpid(), 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Stats(); int64(n.Frames) != received(c.pairs) || n.Dropped+n.Lost != 0 {
		t.Errorf("the relay tells of %+v, the pairs of %d", n, received(c.pairs))
	}
	if len(c.wall) != 2 || c.wall[0] <= 0 || c.core[1] <= 0 || c.cores[1] <= 0 {
		t.Errorf("%+v", c)
	}
	r.bench.results.add(c.rows("2 pairs")...)
	rows := r.bench.results.Rows
	if got := rows[1].Value / rows[0].Value; len(rows) != 5 || rows[1].Unit != "Gbit/s" || got < 10239e-9 || got > 10241e-9 {
		t.Errorf("%g Gbit/s for a datagram a second, want 1,280 * 8 / 10^9: %+v", got, rows)
	}
}

func TestDelaysAreOfBothWays(t *testing.T) {
	r, s := atRelay(t)
	d, err := r.delays(t.Context(), bareServer(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.middle.relay) != 5 || len(d.late.direct) != 5 || d.middle.relay.at(0) <= 0 {
		t.Errorf("%+v", d)
	}
	if n := s.Stats().Frames; n != 2*6*500 {
		t.Errorf("%d datagrams went through the relay", n)
	}
	rows := d.rows("nobody", "why")
	if len(rows) != 6 || rows[2].What != "p50 of 500 round trips, added by the relay, nobody" || rows[5].Note != "why" {
		t.Errorf("%+v", rows)
	}
	one := delay{share: 0.5}
	one.take(samples{5, 9}, samples{3, 4})
	if one.differ[0] != 2 {
		t.Errorf("%+v", one)
	}
}

func TestCrowdStandsUntilItIsTold(t *testing.T) {
	r, s := atRelay(t)
	address := bareServer(t)
	for name, c := range map[string]crowd{
		"nodes": {URL: "https://" + r.address, Pin: r.pin, Root: r.mesh.root.Secret(), Count: 3},
		"bare":  {URL: "https://" + address, Count: 3},
	} {
		c.Ready = filepath.Join(r.bench.dir, name+".ready")
		file := filepath.Join(r.bench.dir, name)
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- playCrowd(ctx, file) }()
		err = until(ctx, "the crowd stands", func() error { _, err := os.Stat(c.Ready); return err })
		want := int64(0)
		if name == "nodes" {
			want = 3
		}
		if n := s.Stats().Clients; n != want || err != nil {
			t.Errorf("%s: %d nodes stand at the relay: %v", name, n, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(name, err)
		}
	}
	err := until(t.Context(), "the crowd is gone", func() error {
		if s.Stats().Clients != 0 {
			return errors.New("some stand")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNodeThatIsRefusedSaysWhy(t *testing.T) {
	r, _ := atRelay(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	var g group
	defer g.wait()
	defer cancel()
	refused := new(relay.RefusedError)
	if _, err := newRelayMesh().join(ctx, &g, r.dialer(), nothing); !errors.As(err, &refused) || refused.Code != relay.BadTicket {
		t.Errorf("a node of another mesh: %v", err)
	}
}

func TestWhatDoesNotFitIsSaid(t *testing.T) {
	if n, why := fits(1); n != 1 || why != "" {
		t.Errorf("one connection: %d, %s", n, why)
	}
	if n, why := fits(1 << 30); n >= 1<<30 || n < 1 || !strings.HasSuffix(why, "not for 1073741824") {
		t.Errorf("too many: %d, %s", n, why)
	}
}
