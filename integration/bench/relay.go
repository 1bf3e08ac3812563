//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/cordonmesh/cordon/node/relay"
)

// relay: what the relay's program carries, and what those cost it and each other
// who only stand. Its clients are the ones of a node; all is on loopback.
func (b *bench) relay() error {
	r := &relayBench{bench: b, mesh: newRelayMesh()}
	if err := r.begin(b.ctx); err != nil {
		return err
	}
	for _, part := range []func(context.Context, *group) error{r.carry, r.hold} {
		if err := r.alone(part); err != nil {
			return err
		}
	}
	return nil
}

// relayBench is a relay's program, for each part of the measurement anew.
type relayBench struct {
	bench    *bench
	mesh     *relayMesh
	program  string // its path
	state    string // its directory, which keeps the key behind the pin
	pin      relay.Pin
	address  string
	metrics  string
	relay    *child
	children []*child // in the order of their starts, the relay among them
}

func (r *relayBench) begin(ctx context.Context) (err error) {
	r.program = filepath.Join(r.bench.bin, "cordon-relay")
	r.state = filepath.Join(r.bench.dir, "relay")
	text, err := tool(ctx, r.program, "pin", "--state", r.state)
	if err != nil {
		return err
	}
	if r.pin, err = relay.ParsePin(strings.TrimSpace(text)); err != nil {
		return err
	}
	if r.address, err = freeAddress(); err != nil {
		return err
	}
	r.metrics, err = freeAddress()
	return err
}

// alone runs a part with a relay that has served nobody yet. All that the part
// started ends with it, those who connect before those who listen.
func (r *relayBench) alone(part func(context.Context, *group) error) error {
	ctx, cancel := context.WithCancel(r.bench.ctx)
	var g group
	defer g.wait()
	defer func() {
		cancel()
		for i := range r.children {
			r.children[len(r.children)-1-i].end()
		}
		r.children = nil
	}()
	if err := r.serve(ctx, &g); err != nil {
		return err
	}
	if err := part(ctx, &g); err != nil {
		return fmt.Errorf("%w: %s", err, r.relay.lastWords())
	}
	return nil
}

// serve starts a relay that holds nobody back: a bench in which one sends more
// than it may would measure a token bucket.
func (r *relayBench) serve(ctx context.Context, g *group) (err error) {
	const unbounded = "1000000000000"
	r.relay, err = r.launch(g, "relay", r.program, "serve", "--state", r.state, "--listen", r.address, "--metrics", r.metrics,
		"--stun", "none", "--mesh-root", r.mesh.fingerprint().String(), "--client-rate", unbounded, "--client-frames", unbounded,
		"--drain", "1s", "--log-level", "warn")
	if err != nil {
		return err
	}
	return until(ctx, "the relay answers", func() error { _, err := r.clients(ctx); return err })
}

func (r *relayBench) launch(g *group, name, program string, args ...string) (*child, error) {
	c, err := r.bench.launch(g, name, program, args...)
	if err == nil {
		r.children = append(r.children, c)
	}
	return c, err
}

func (r *relayBench) dialer() *relay.Dialer {
	return &relay.Dialer{URL: "https://" + r.address, Pin: r.pin}
}

// clients asks the relay how many connections it serves.
func (r *relayBench) clients(ctx context.Context) (n int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if got, _ := fmt.Sscanf(line, "cordon_relay_clients %d", &n); got == 1 {
			return n, nil
		}
	}
	return 0, errors.New("the relay's metrics do not tell how many clients it has")
}
