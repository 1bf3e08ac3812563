// Package adminapi is the edge at which operators arrive: on a unix socket,
// where the kernel says who calls, and on TLS, where a bearer token does. It
// checks the scope that admin.ScopeOf names for the route, decodes, calls
// registry and hub, and encodes. It decides nothing about the mesh.
//
// A route without a scope is refused, so nothing is open by oversight. What an
// operator changes is written to the audit by the registry, in the transaction
// of the change itself.
package adminapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// maxRequest bounds a request: the largest is a policy.
const maxRequest = 8 << 20

// maxStranger bounds one of somebody who has nothing yet.
const maxStranger = 4 << 10

// Config of the edge.
type Config struct {
	Registry    *registry.Registry
	Journal     registry.Journal // the audit is read from it
	Hub         *distribute.Hub
	Desk        Desk            // nil: nobody signs in to operate
	URL         string          // where nodes and operators reach the coordinator
	Root        key.Fingerprint // pinned by the strings that tokens are handed out as
	LocalPeople bool            // people of the coordinator's own can sign in
	Backup      func(ctx context.Context, to io.Writer) error
	Provider    func() (watched int, problem string) // as admin.StatusResponse has them; nil: none
	Version     string
	Now         func() time.Time

	Lapses func(context.Context) []warn.Lapse // all that has an end; nil: nothing

	// Stand takes over the Standing of who proved to be somebody to operate, whatever
	// became of it: the provider can be asked by it from time to time; nil: proofs have none.
	Stand func(who registry.Identity, r registry.Result, err error)

	DeviceLife time.Duration // that a renewed machine is given; 0: it has no end
	AdminIdle  time.Duration // that an admin session lasts without a call; 0: it ends by time alone
	Log        *slog.Logger
}

// caller is who asks, and what for.
type caller struct {
	actor  registry.Actor
	token  string // id; empty: an operator at the coordinator
	scopes []string
	enough []string // scopes, each of which lets whoever asks do so
}

type callerKey struct{}

// API serves admin.AdminService.
type API struct {
	Config
	mux   *http.ServeMux
	calls *calls
}

// New makes the edge.
func New(c Config) *API {
	if c.Provider == nil {
		c.Provider = func() (int, string) { return 0, "" }
	}
	a := &API{Config: c, mux: http.NewServeMux(), calls: newCalls(c.AdminIdle, c.Now())}
	// Without compression nothing that is sent is more than it seems.
	a.mux.Handle(admin.NewAdminServiceHandler(a, connect.WithReadMaxBytes(maxRequest), connect.WithCompression("gzip", nil, nil), strict()))
	return a
}

// Socket serves requests that came over the unix socket. ConnContext must be
// the server's hook of that name.
func (a *API) Socket() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := r.Context().Value(callerKey{}).(*caller)
		if r.Header.Get("Origin") != "" {
			http.Error(w, "not for browsers", http.StatusForbidden)
			return
		}
		a.serve(w, r, who)
	})
}

// ConnContext notes who is at the other end of a unix socket: root and the
// coordinator's own user may do everything, others nothing.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	name, ok := peerOf(c)
	if !ok {
		return ctx
	}
	all := make([]string, 0, len(admin.Scopes()))
	for _, s := range admin.Scopes() {
		all = append(all, string(s))
	}
	return context.WithValue(ctx, callerKey{}, &caller{actor: registry.Operator(name), scopes: all})
}

// TLS serves requests with a bearer token.
func (a *API) TLS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || r.TLS == nil {
			a.serve(w, r, nil)
			return
		}
		state := a.Registry.Snapshot()
		token, ok := state.TokenBySecret(registry.HashSecret(secret))
		if !ok || token.Kind != registry.AdminToken || state.TokenLive(token, a.Now()) != nil {
			a.serve(w, r, nil)
			return
		}
		end, ok := a.calls.begin(token, a.Now)
		if !ok {
			a.idle(w, r)
			return
		}
		defer end()
		a.serve(w, r, bearer(state, token))
	})
}

// idle turns away whoever comes with an admin session that rested for too long.
func (a *API) idle(w http.ResponseWriter, r *http.Request) {
	if admin.Open(r.URL.Path) {
		a.serve(w, r, nil) // as for anybody
		return
	}
	connect.NewErrorWriter().Write(w, r, connect.NewError(connect.CodeUnauthenticated,
		fmt.Errorf("the admin session has ended, for nobody called for %v: sign in with `cordonctl login`", a.AdminIdle)))
}

// bearer is who comes with a token, with what that allows at this moment: a
// person's admin session is worth what their roles are.
func bearer(state *registry.State, t *registry.Token) *caller {
	who := &caller{actor: registry.TokenActor(t.ID), token: t.ID, scopes: state.TokenScopes(t, admin.RoleScopes)}
	if u, ok := state.User(t.Holder); ok {
		who.actor = registry.AdminActor(u.Login, t.ID)
	}
	return who
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, who *caller) {
	if _, known := admin.ScopeOf(r.URL.Path); !known {
		http.NotFound(w, r)
		return
	}
	errw := connect.NewErrorWriter()
	if r.TLS != nil && admin.Open(r.URL.Path) { // not by the socket, which is root's
		r.Body = http.MaxBytesReader(w, r.Body, maxStranger)
		a.mux.ServeHTTP(w, r)
		return
	}
	switch {
	case who == nil:
		errw.Write(w, r, connect.NewError(connect.CodeUnauthenticated, errors.New("no valid admin token: sign in with `cordonctl login`, or create one with `cordonctl token create --admin` at the coordinator")))
	case !admin.Permits(who.scopes, r.URL.Path):
		want, _ := admin.ScopeOf(r.URL.Path)
		a.Log.Warn("operator refused", "actor", who.actor, "route", r.URL.Path, "wants", want)
		errw.Write(w, r, connect.NewError(connect.CodePermissionDenied, errors.New("the token lacks the scope "+string(want))))
	default:
		asking := &caller{actor: who.actor, token: who.token, scopes: who.scopes, enough: admin.Sufficing(r.URL.Path)}
		a.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, asking)))
	}
}

// do sends a command in the caller's name. Whether they still may is asked once
// more where it is decided.
func (a *API) do(ctx context.Context, c registry.Command) (registry.Result, error) {
	who, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return registry.Result{}, connect.NewError(connect.CodeUnauthenticated, errors.New("nobody asks"))
	}
	result, err := a.Registry.Do(ctx, who.actor, registry.Authorised{Scopes: who.enough, Command: c})
	if err != nil {
		return result, refusal(err)
	}
	return result, nil
}

// refusal gives a registry's error the code that a tool branches on.
func refusal(err error) error {
	for _, c := range []struct {
		is   error
		code connect.Code
	}{
		{registry.ErrNotFound, connect.CodeNotFound},
		{registry.ErrToken, connect.CodePermissionDenied},
		{registry.ErrForbidden, connect.CodePermissionDenied},
		{registry.ErrLastOwner, connect.CodeFailedPrecondition},
		{registry.ErrUser, connect.CodePermissionDenied},
		{registry.ErrStale, connect.CodeAborted},
		{registry.ErrUnconfirmed, connect.CodeFailedPrecondition},
		{registry.ErrExists, connect.CodeAlreadyExists},
		{registry.ErrPolicy, connect.CodeInvalidArgument},
		{registry.ErrInvalid, connect.CodeInvalidArgument},
		{registry.ErrFull, connect.CodeResourceExhausted},
		{registry.ErrFailed, connect.CodeUnavailable},
		{registry.ErrClosed, connect.CodeUnavailable},
	} {
		if errors.Is(err, c.is) {
			return connect.NewError(c.code, err)
		}
	}
	return connect.NewError(connect.CodeInternal, err)
}
