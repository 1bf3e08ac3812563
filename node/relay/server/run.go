package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/cordonmesh/cordon/internal/webcert"
	"github.com/cordonmesh/cordon/node/relay"
)

// Standalone is a relay as a program of its own.
type Standalone struct {
	Config
	Listen  string // address of the TLS port, such as ":443"
	STUN    string // UDP address of the STUN responder, such as ":3478"; empty: none
	Metrics string // address for Prometheus metrics over plain HTTP; empty: none
	Path    string // of the URL at which nodes find the relay; empty: /relay

	// Certificate is what nodes are shown, unless Files names another; see [Certificate].
	Certificate tls.Certificate
	// Files hold what nodes are shown, and somebody renews it there. Zero: Certificate.
	Files Files
	// Drain is how long clients have to leave after the stop began; 0: 5 s.
	Drain time.Duration
	// Ready is told the address of the TLS port when all listeners stand. nil: nobody asks.
	Ready func(net.Addr)
}

// Run serves until ctx is done, then tells the clients, and gives nil when they
// have left or their time is over. It fails when a listener cannot be had, and
// names it.
func Run(ctx context.Context, cfg Standalone) error {
	s, err := New(cfg.Config)
	if err != nil {
		return err
	}
	renewed, err := cfg.Files.open(s.cfg.Now, s.cfg.Log)
	if err != nil {
		return err
	}
	if cfg.Path == "" {
		cfg.Path = relay.DefaultPath
	}
	tcp, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer tcp.Close()
	g, running := errgroup.WithContext(ctx)
	if err := serveAside(running, g, s, cfg, renewed); err != nil {
		return err
	}
	web := webServer(s, cfg, s.cfg.Log)
	g.Go(func() error {
		err := web.Serve(tls.NewListener(tcp, serverTLS(cfg.Certificate, renewed)))
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
	g.Go(func() error {
		<-running.Done()
		s.stop(ctx, web, cfg.Drain)
		return nil
	})
	if cfg.Ready != nil {
		cfg.Ready(tcp.Addr())
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// serveAside starts what has ports of its own, STUN and metrics, and the watch over
// the files of the certificate.
func serveAside(ctx context.Context, g *errgroup.Group, s *Server, cfg Standalone, renewed *webcert.Certificate) error {
	var udp net.PacketConn
	var scraped net.Listener
	m, err := metricsServer(s, renewed)
	if err != nil {
		return err
	}
	if cfg.STUN != "" {
		if udp, err = net.ListenPacket("udp", cfg.STUN); err != nil {
			return fmt.Errorf("stun: %w", err)
		}
	}
	if cfg.Metrics != "" {
		if scraped, err = net.Listen("tcp", cfg.Metrics); err != nil {
			if udp != nil {
				udp.Close()
			}
			return fmt.Errorf("metrics: %w", err)
		}
		context.AfterFunc(ctx, func() { m.Close() })
		g.Go(func() error { return m.Serve(scraped) })
	}
	if udp != nil {
		g.Go(func() error { return RespondSTUN(ctx, udp) })
	}
	if renewed != nil {
		g.Go(func() error { return renewed.Watch(ctx) })
	}
	return nil
}

// stop ends in order: no new connections, a word to those that stand, their time,
// then the rest.
func (s *Server) stop(ctx context.Context, web *http.Server, drain time.Duration) {
	if drain == 0 {
		drain = 5 * time.Second
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	s.Shutdown(late)
	web.Close()
}

// serverTLS wants TLS 1.3, for its exporter, and HTTP/1.1, for its Upgrade. No
// session is resumed: a relay's connections are few and long.
func serverTLS(certificate tls.Certificate, renewed *webcert.Certificate) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true}
	if renewed != nil {
		c.GetCertificate = renewed.Get
	} else {
		c.Certificates = []tls.Certificate{certificate}
	}
	return c
}

// webServer bounds what a stranger can hold: headers, time, and connections.
func webServer(s *Server, cfg Standalone, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(cfg.Path, s)
	door := newDoor(s.cfg.MaxPending, s.cfg.MaxPerSource)
	return &http.Server{Handler: mux, ReadHeaderTimeout: admitWithin, ReadTimeout: admitWithin, WriteTimeout: admitWithin,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10, ConnState: door.state, ErrorLog: quiet(log)}
}

// quiet puts the HTTP server's complaints, most of them about strangers'
// handshakes, at a level where a flood of them fills no disk.
func quiet(l *slog.Logger) *log.Logger {
	return log.New(writer(func(p []byte) { l.Debug("relay: http", "message", string(p)) }), "", 0)
}

type writer func([]byte)

// Write is io.Writer's.
func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func metricsServer(s *Server, renewed *webcert.Certificate) (*http.Server, error) {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := errors.Join(s.Register(r), registerEnd(r, renewed)); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return &http.Server{Handler: mux, ReadHeaderTimeout: admitWithin, MaxHeaderBytes: 8 << 10}, nil
}
