//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// roleStreams is this program as the least that could serve as many streams:
// net/http with mutual TLS, and a handler that says one thing and waits.
const roleStreams = "streams"

// playStreams serves at the address until ctx is done.
func playStreams(ctx context.Context, address string) error {
	own := key.NewNode()
	cert, err := wire.SelfSigned(&own)
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, "hello")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert},
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// bareCost is what such a server takes for one connected node.
type bareCost struct {
	kilobytes float64
	cpu       time.Duration // of the handshake and the first answer
}

// bareStreams measures such a server with so many connected nodes.
func (b *bench) bareStreams(ctx context.Context, count int) (each bareCost, err error) {
	var g group
	defer g.wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	address, err := freeAddress()
	if err != nil {
		return each, err
	}
	self, err := os.Executable()
	if err != nil {
		return each, err
	}
	server, err := b.launch(&g, "streams", self, "-role", roleStreams, address)
	if err != nil {
		return each, err
	}
	defer server.end()
	err = until(ctx, "the bare stream server answers", func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	if err != nil {
		return each, err
	}
	time.Sleep(settle)
	before, err := measureProcess(server.pid())
	if err != nil {
		return each, err
	}
	if err := holdStreams(ctx, &g, "https://"+address, count); err != nil {
		return each, fmt.Errorf("%w: %s", err, server.lastWords())
	}
	time.Sleep(settle)
	after, err := measureProcess(server.pid())
	each.kilobytes = (after.megabytes - before.megabytes) * 1000 / float64(count)
	each.cpu = (after.cpu - before.cpu) / time.Duration(count)
	return each, err
}

// holdStreams opens as many streams, each with a key and a connection of its
// own, that stay until ctx is done.
func holdStreams(ctx context.Context, g *group, url string, count int) error {
	return inParallel(count, func(int) error {
		own := key.NewNode()
		cert, err := wire.SelfSigned(&own)
		if err != nil {
			return err
		}
		t := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
			InsecureSkipVerify: true, // this program made the certificate a moment ago, and nothing is asked of it
		}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := (&http.Client{Transport: t}).Do(req)
		if err != nil {
			return err
		}
		if _, err := resp.Body.Read(make([]byte, 16)); err != nil {
			resp.Body.Close()
			return err
		}
		g.start(func() {
			_, _ = io.Copy(io.Discard, resp.Body) // ends with ctx
			resp.Body.Close()
			t.CloseIdleConnections()
		})
		return nil
	})
}

// inParallel runs f for 0 to count-1, a few at a time, and gives the first error.
func inParallel(count int, f func(int) error) error {
	const atOnce = 16
	var g group
	var mu sync.Mutex
	var first error
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= count && first == nil
	}
	for range atOnce {
		g.start(func() {
			for i, ok := take(); ok; i, ok = take() {
				if err := f(i); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
			}
		})
	}
	g.wait()
	return first
}
