package coordinator

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// tlsConfig tells callers apart by the server name in their hello. Nodes are
// asked for a certificate, of which only the key counts; nobody else is.
func (a *assembly) tlsConfig() *tls.Config {
	names, addresses := a.settings.names()
	own := a.authority.ServerCertificates(names, addresses, a.Now)
	base := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: own, Time: a.Now}
	nodes, web := base.Clone(), base.Clone()
	nodes.ClientAuth = tls.RequireAnyClientCert
	nodes.SessionTicketsDisabled = true    // no node resumes a session, and each would be sealed for it
	web.DynamicRecordSizingDisabled = true // a relay's frames go out many at a time
	if a.web != nil {
		web.GetCertificate = a.web.Get
	}
	config := base.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		switch hello.ServerName {
		case wire.NodeServerName:
			return nodes, nil
		case admin.ServerName:
			return base, nil
		}
		return web, nil
	}
	return config
}

// server bounds what a stranger can hold: headers, idle time, streams and
// buffers of a connection.
func (a *assembly) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 32, MaxReadFrameSize: 16 << 10,
			MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 256 << 10,
			// The kernel finds out whom nothing reaches any more; this is for who is
			// there and answers nothing, behind a proxy or frozen. It is rare because
			// each ping comes at a time of its own and wakes a processor that rests:
			// those of ten thousand nodes, every five minutes, cost more than all that
			// they are sent.
			SendPingTimeout: 30 * time.Minute, PingTimeout: 15 * time.Second,
		},
		ErrorLog: log.New(&quiet{a.Log}, "", 0),
	}
}

func (a *assembly) tlsServer() *http.Server {
	nodes, operators, people := a.nodes(), readWithin(operatorReads, a.api.TLS()), readWithin(operatorReads, a.pages())
	told := readWithin(operatorReads, a.told)
	directory := readWithin(operatorReads, a.directory)
	s := a.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && r.TLS.ServerName == wire.NodeServerName {
			nodes.ServeHTTP(w, r)
			return
		}
		if a.forRelay(r) {
			a.relay.ServeHTTP(w, r)
			return
		}
		if a.forDirectory(r) {
			directory.ServeHTTP(w, r)
			return
		}
		if a.forRoot(r) {
			a.serveRoot(w, r)
			return
		}
		if a.told != nil && a.forDesk(r) && r.URL.Path == standing.LogoutPath {
			told.ServeHTTP(w, r)
			return
		}
		if a.forDesk(r) {
			people.ServeHTTP(w, r)
			return
		}
		operators.ServeHTTP(w, r)
	}))
	s.ConnState = newConnections(maxPerAddress).state
	return s
}

// operatorReads is how long the body of an operator's or a browser's request may
// take: the largest is a policy. Nodes' requests have a shorter bound of their own.
const operatorReads = 30 * time.Second

func (a *assembly) socketServer() *http.Server {
	s := a.server(a.api.Socket())
	s.ConnContext = adminapi.ConnContext
	return s
}

func (a *assembly) metricsServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics(), promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return a.server(mux)
}

func (a *assembly) backupTo(ctx context.Context, to io.Writer) error {
	return backup(ctx, a.StateDir, a.authority, a.journal, to)
}

// quiet puts the HTTP server's complaints, most of them about strangers'
// handshakes, at a level where a flood of them fills no disk.
type quiet struct{ log *slog.Logger }

func (q *quiet) Write(p []byte) (int, error) {
	q.log.Debug("http", "message", string(p))
	return len(p), nil
}
