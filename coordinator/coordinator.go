// Package coordinator is the mesh's policy decision point (NIST SP 800-207): it
// knows people, nodes, keys and policy, and gives every node the map that it
// needs and nothing more. [Init] makes a mesh, [Run] serves it, [Restore] brings
// it back from a sealed backup.
//
// This package only assembles. One goroutine owns the state (registry), one what
// was told to whom (distribute); the edges decode, tell who calls, and pass on.
// Everything is on one TLS port: by the server name in its hello a node is told
// from an operator's tool, and both from a stranger.
//
// Stopping it, or losing it, stops no tunnel.
package coordinator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/activity"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/auth"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/away"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/nodeapi"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/refresh"
	"github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/internal/webcert"
)

// assembly is a coordinator's parts.
type assembly struct {
	Config
	settings  settings
	authority *auth.Authority
	journal   *sqlite.Journal
	registry  *registry.Registry
	hub       *distribute.Hub
	api       *adminapi.API
	activity  *activity.Book
	desk      *signin.Desk    // nil: nobody can sign in
	told      http.Handler    // by the provider, of sessions that it ended; nil: there is none
	watching  *standing.Watch // over those who are signed in; nil: nobody can be, or nobody is asked for
	provider  *oidc.Provider  // nil: there is none
	refresh   *refresh.File   // what the provider is asked with after a restart; nil: nothing
	directory http.Handler    // nil: nobody is provisioned
	warner    *warn.Warner
	away      *away.Book
	web       *webcert.Certificate // that browsers see; nil: the coordinator's own
	people    *local.People        // whom the coordinator knows by itself; nil: nobody
	relay     Relay                // inside the coordinator; nil: none
	relays    []wire.RelayRecord   // that nodes are told of
}

// Run serves the mesh in c.StateDir until ctx is done. It refuses to start on
// keys or a store that are missing or damaged, and never begins anew.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	a := &assembly{Config: c.withDefaults()}
	if err := a.open(ctx); err != nil {
		return err
	}
	defer a.journal.Close()
	defer a.closeRefresh()
	if err := a.openWeb(); err != nil {
		return err
	}
	if err := a.openRelay(); err != nil {
		return err
	}
	if err := errors.Join(a.openDesk(), a.openDirectory()); err != nil {
		return err
	}
	if err := a.openWarner(); err != nil {
		return err
	}
	listeners, err := a.listen()
	if err != nil {
		return err
	}
	return a.serve(ctx, listeners)
}

// errOtherKey: nodes know the relay in the coordinator by the key that the certificate
// for browsers had at the start.
var errOtherKey = errors.New("the renewed certificate has another key, by which nodes do not know this coordinator's relay yet: restart the coordinator")

// openWeb reads the certificate for browsers, if there is one.
func (a *assembly) openWeb() (err error) {
	if a.WebCert == "" {
		return nil
	}
	a.web, err = webcert.Load(webcert.Config{CertFile: a.WebCert, KeyFile: a.WebKey, Name: "the certificate for browsers", OtherKey: errOtherKey, Now: a.Now, Log: a.Log})
	if err != nil {
		return fmt.Errorf("web-cert and web-key: %w", err)
	}
	return nil
}

func (a *assembly) open(ctx context.Context) (err error) {
	if a.settings, err = readSettings(a.StateDir); err != nil {
		return err
	}
	if a.authority, err = auth.Load(filepath.Join(a.StateDir, folderKeys), a.Now()); err != nil {
		return err
	}
	if a.journal, err = sqlite.Open(ctx, filepath.Join(a.StateDir, fileStore), sqlite.Options{}); err != nil {
		return err
	}
	if a.registry, err = registry.New(ctx, a.journal, registry.Config{Clock: a.Now, Log: a.Log, AutoApprove: autoApprove, RoleScopes: admin.RoleScopes}); err != nil {
		return errors.Join(err, a.journal.Close())
	}
	if have, want := a.registry.Snapshot().Mesh, a.authority.Mesh(); have != want {
		return errors.Join(fmt.Errorf("the store in %s is of mesh %s, the keys are of mesh %s: restore both from one backup", a.StateDir, have, want), a.journal.Close())
	}
	if err := readable(a.registry.Snapshot(), a.StateDir); err != nil {
		return errors.Join(err, a.journal.Close())
	}
	a.hub = distribute.New(distribute.Config{
		Source: a.registry, Keys: a.authority.MapKeyCertificates, Now: a.Now, Log: a.Log, Alarm: func() { a.warner.Look() },
		Sign:   func(payloads [][]byte) []*wire.Signed { return wire.SignBatch(a.authority.MapKey(), payloads) },
		Relays: func() []wire.RelayRecord { return a.relays },
		Ticket: func(node key.NodePublic) ([]byte, time.Time) {
			return a.authority.RelayTicket(node, a.RelayTicketLife, a.Now())
		},
	})
	a.openAway()
	a.activity = activity.New(activity.Config{State: a.registry.Snapshot, Write: a.noteActive, Now: a.Now, Log: a.Log})
	a.api = adminapi.New(adminapi.Config{
		Registry: a.registry, Journal: a.journal, Hub: a.hub, URL: a.settings.URL, Root: a.authority.Fingerprint(),
		LocalPeople: a.SignIn.Local, Backup: a.backupTo, Provider: a.providerStatus, Version: a.Version, Now: a.Now, Log: a.Log, DeviceLife: a.SignIn.deviceLife(), AdminIdle: a.SignIn.adminIdle(),
		Lapses: a.lapses, Stand: a.stand,
	})
	return nil
}

// autoApprove is the policy's word on a route that a node advertises.
func autoApprove(p *policy.Policy, n registry.Node, prefix netip.Prefix) bool {
	return slices.Contains(compile.RoutesApproved(p, distribute.CompileNode(&n), []netip.Prefix{prefix}), prefix)
}

type listeners struct {
	tls, metrics, socket net.Listener
	stun                 net.PacketConn // nil: none
}

func (a *assembly) listen() (l listeners, err error) {
	plain, err := patient().Listen(context.Background(), "tcp", a.Listen)
	if err != nil {
		return l, fmt.Errorf("listening on %s: %w", a.Listen, err)
	}
	l.tls = tls.NewListener(plain, a.tlsConfig())
	if err := a.listenAside(&l, plain.Addr()); err != nil {
		return l, errors.Join(err, l.close())
	}
	return l, nil
}

// listenAside opens what has ports of its own, given where the TLS port is.
func (a *assembly) listenAside(l *listeners, at net.Addr) (err error) {
	var stun uint16
	if l.stun, stun, err = a.listenSTUN(at); err != nil {
		return err
	}
	a.relays = a.offeredRelays(stun)
	if l.socket, err = listenSocket(a.Socket); err != nil {
		return err
	}
	if a.Metrics == "" {
		return nil
	}
	if l.metrics, err = net.Listen("tcp", a.Metrics); err != nil {
		return fmt.Errorf("listening on %s for metrics: %w", a.Metrics, err)
	}
	return nil
}

func (l *listeners) close() (err error) {
	for _, one := range []net.Listener{l.tls, l.metrics, l.socket} {
		if one != nil {
			err = errors.Join(err, one.Close())
		}
	}
	if l.stun != nil {
		err = errors.Join(err, l.stun.Close())
	}
	return err
}

// maxSocketPath is what sockaddr_un has room for on the systems that we serve.
const maxSocketPath = 103

// listenSocket makes the admin socket, in place of one that a dead coordinator
// left. That this one alone uses the state directory, the store's lock says.
func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%s exists and is no socket: remove it, or choose another --socket", path)
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the admin socket's path %s has %d bytes, and systems take %d: give a shorter --socket", path, len(path), maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the socket that a dead coordinator left: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("closing %s to others: %w", path, err), l.Close())
	}
	return l, nil
}

// serve runs every part. They end in an order: first the hub, which ends all
// streams, then the servers, whose requests may still write, then the registry.
func (a *assembly) serve(ctx context.Context, l listeners) error {
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	var writeErr error
	written := make(chan struct{})
	go func() {
		defer close(written)
		writeErr = a.registry.Run(writing)
	}()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.hub.Run(ctx) })
	g.Go(func() error { return a.watch(ctx) })
	g.Go(func() error { return a.activity.Run(ctx) })
	g.Go(func() error { return a.warner.Run(ctx) })
	g.Go(func() error { return serveHTTP(ctx, a.tlsServer(), l.tls) })
	g.Go(func() error { return serveHTTP(ctx, a.socketServer(), l.socket) })
	if a.desk != nil {
		g.Go(func() error { return a.serveDesk(ctx) })
	}
	if a.watching != nil {
		g.Go(func() error { return a.watching.Run(ctx) })
	}
	if a.relay != nil {
		g.Go(func() error { return a.keepRelay(ctx) })
	}
	if l.stun != nil {
		g.Go(func() error { return a.relay.RespondSTUN(ctx, l.stun) })
	}
	if l.metrics != nil {
		a.Log.Info("serving metrics", "listen", l.metrics.Addr().String())
		g.Go(func() error { return serveHTTP(ctx, a.metricsServer(), l.metrics) })
	}
	g.Go(func() error {
		select {
		case <-written:
			return errors.New("the registry ended")
		case <-ctx.Done():
			return nil
		}
	})
	a.Log.Info("serving", "listen", l.tls.Addr().String(), "url", a.settings.URL, "mesh", a.authority.Mesh().String(), "socket", a.Socket)
	err := g.Wait()
	if a.provider != nil {
		a.provider.Close()
	}
	if a.people != nil {
		a.people.Wait()
	}
	stopWriting()
	<-written
	return errors.Join(err, writeErr)
}

func serveHTTP(ctx context.Context, s *http.Server, l net.Listener) error {
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if s.Shutdown(patience) != nil {
			s.Close()
		}
	})
	err := s.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-drained
		return nil
	}
	stop()
	return fmt.Errorf("serving %s: %w", l.Addr(), err)
}

// names gives what the coordinator's own certificate is for.
func (s settings) names() (names []string, addresses []netip.Addr) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, nil
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil, []netip.Addr{addr}
	}
	return []string{u.Hostname()}, nil
}

func (a *assembly) nodes() http.Handler {
	return nodeapi.Handler(nodeapi.Config{Registry: a.registry, Hub: a.hub, Authority: a.authority, Desk: a.desk, Activity: a.activity, Log: a.Log, Now: a.Now})
}
