//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

// roleCrowd is this program as many connections that only stand, in a process of
// their own: the files, the memory and the collector of their far ends are not
// what is measured.
const roleCrowd = "crowd"

// crowd says whom a crowd is connected to. It goes by a file, since a mesh's
// root has no place among arguments.
type crowd struct {
	URL   string
	Root  string    // of the mesh whose nodes they are; empty: bare connections
	Pin   relay.Pin // of the relay
	Count int
	Ready string // a file, made when all stand
}

// playCrowd stands until ctx is done.
func playCrowd(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c crowd
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var g group
	defer g.wait()
	defer cancel()
	stand := c.bare()
	if c.Root != "" {
		if stand, err = c.nodes(); err != nil {
			return err
		}
	}
	if err := inParallel(c.Count, func(int) error { return stand(ctx, &g) }); err != nil {
		return err
	}
	if err := os.WriteFile(c.Ready, nil, 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// nodes gives a function that has one more node stand at the relay.
func (c *crowd) nodes() (func(context.Context, *group) error, error) {
	root, err := key.ParseRootPrivate(c.Root)
	if err != nil {
		return nil, err
	}
	m, d := relayMeshOf(root), &relay.Dialer{URL: c.URL, Pin: c.Pin}
	return func(ctx context.Context, g *group) error {
		_, err := m.join(ctx, g, d, nothing)
		return err
	}, nil
}

// bare gives a function that has one more connection stand that was upgraded,
// and no more.
func (c *crowd) bare() func(context.Context, *group) error {
	d := bareDialer(c.URL)
	return func(ctx context.Context, g *group) error {
		s, err := d.Open(ctx)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { s.Close() })
		return nil
	}
}

// bareDialer reaches this program as a server of upgraded connections.
func bareDialer(url string) *relay.Dialer {
	// This program made the certificate a moment ago, and nothing is asked of it.
	return &relay.Dialer{URL: url, TLS: &tls.Config{InsecureSkipVerify: true}}
}

// stand starts a crowd, and returns when it stands.
func (r *relayBench) stand(ctx context.Context, g *group, name string, c crowd) error {
	file := filepath.Join(r.bench.dir, name+".json")
	c.Ready = file + ".ready"
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	process, err := r.launch(g, name, self, "-role", roleCrowd, file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.start(func() { // who ended will not stand
		select {
		case <-process.done:
			cancel()
		case <-ctx.Done():
		}
	})
	err = within(ctx, 4*patience, fmt.Sprintf("%d connections of %s stand", c.Count, name), func() error {
		_, err := os.Stat(c.Ready)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, process.lastWords())
	}
	return nil
}
