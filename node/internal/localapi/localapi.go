// Package localapi serves node/local on a unix socket. It decodes, tells who
// calls by the socket's peer credentials, checks the method's role, calls the
// daemon and encodes: it decides nothing else.
//
// A browser cannot reach a unix socket, but a proxy on the machine might be
// talked into it, so requests with an Origin or a foreign Host are refused too.
package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// Daemon is what the socket's callers can ask for. Its errors are shown to them.
type Daemon interface {
	Status(context.Context, local.StatusRequest) (*local.Status, error)
	Up(context.Context, local.UpRequest) (*local.Status, error)
	Down(context.Context) (*local.Status, error)
	Join(context.Context, local.JoinRequest) (*local.JoinResponse, error)
	AwaitJoin(context.Context, local.AwaitLoginRequest) (*local.LoginOutcome, error)
	Ping(context.Context, local.PingRequest) (*local.PingResponse, error)
	Explain(context.Context, local.ExplainRequest) (*local.ExplainResponse, error)
	Flows(context.Context, local.FlowsRequest) (*local.FlowsResponse, error)
	Netcheck(context.Context) (*local.NetcheckResponse, error)
	StockConfig(context.Context, local.StockRequest) (*local.StockResponse, error)
	StockReload(context.Context) (*local.StockResponse, error)
	Login(context.Context, local.LoginRequest) (*local.Login, error)
	AwaitLogin(context.Context, local.AwaitLoginRequest) (*local.LoginOutcome, error)
	Logout(context.Context, local.LogoutRequest) (*local.LogoutResponse, error)
	Sessions(context.Context) (*local.SessionsResponse, error)
}

// Role is what a caller may do.
type Role int

// The zero role may do nothing.
const (
	RoleNone    Role = iota
	RoleUse          // may open the socket: reads, and signs in and out
	RoleControl      // root, or the user that the daemon runs as
)

// Roles says what each path asks for. A path that is not here is refused.
func Roles() map[string]Role {
	return map[string]Role{
		local.PathStatus:   RoleUse,
		local.PathPing:     RoleUse,
		local.PathExplain:  RoleUse,
		local.PathNetcheck: RoleUse,
		local.PathFlows:    RoleUse,
		local.PathUp:       RoleControl,
		local.PathDown:     RoleControl,

		local.PathJoin:      RoleControl,
		local.PathAwaitJoin: RoleControl,

		local.PathLogin:      RoleUse,
		local.PathAwaitLogin: RoleUse,
		local.PathLogout:     RoleUse,
		local.PathSessions:   RoleUse,

		local.PathStockConfig: RoleUse,
		local.PathStockReload: RoleControl,
	}
}

// maxRequest bounds a request's body: an enrolment string is 300 bytes.
const maxRequest = 64 << 10

// Listen makes the socket (mode 0660), in place of one that a dead daemon left.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("making the socket's directory: %w", err)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another daemon answers at %s: stop it, or choose another --socket", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%s exists and is no socket: remove it, or choose another --socket", path)
	}
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("setting the socket's mode: %w", err)
	}
	return l, nil
}

// Caller is who is at the other end of a socket, as the kernel says.
type Caller struct {
	Role    Role
	Account string // of the operating system, a decimal uid; empty where it is not told
}

type callerKey struct{}

// CallerOf gives who asks, for a Daemon; the zero Caller may do nothing.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// WithCaller is a context in which that one asks.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// Serve answers on l until ctx is done, and returns when every request has ended.
func Serve(ctx context.Context, l net.Listener, d Daemon, log *slog.Logger) error {
	return serve(ctx, l, d, log, callerOn)
}

func serve(ctx context.Context, l net.Listener, d Daemon, log *slog.Logger, callerOn func(net.Conn) Caller) error {
	srv := &http.Server{
		Handler:           handler(d, log),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return WithCaller(ctx, callerOn(c))
		},
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		srv.Shutdown(patience)
	})
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-drained
		return nil
	}
	stop()
	return fmt.Errorf("serving the local API: %w", err)
}

func handler(d Daemon, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	handle(mux, local.PathStatus, d.Status)
	handle(mux, local.PathDown, func(ctx context.Context, _ struct{}) (*local.Status, error) { return d.Down(ctx) })
	handle(mux, local.PathUp, d.Up)
	handle(mux, local.PathJoin, d.Join)
	handle(mux, local.PathAwaitJoin, d.AwaitJoin)
	handle(mux, local.PathPing, d.Ping)
	handle(mux, local.PathExplain, d.Explain)
	handle(mux, local.PathFlows, d.Flows)
	handle(mux, local.PathNetcheck, func(ctx context.Context, _ struct{}) (*local.NetcheckResponse, error) { return d.Netcheck(ctx) })
	handle(mux, local.PathStockConfig, d.StockConfig)
	handle(mux, local.PathStockReload, func(ctx context.Context, _ struct{}) (*local.StockResponse, error) { return d.StockReload(ctx) })
	handle(mux, local.PathLogin, d.Login)
	handle(mux, local.PathAwaitLogin, d.AwaitLogin)
	handle(mux, local.PathLogout, d.Logout)
	handle(mux, local.PathSessions, func(ctx context.Context, _ struct{}) (*local.SessionsResponse, error) { return d.Sessions(ctx) })
	roles := Roles()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The escaped path is what the mux goes by: no spelling may have the role of
		// one path and the method of another.
		if code, err := admit(r, CallerOf(r.Context()).Role, roles[r.URL.EscapedPath()]); err != nil {
			log.Warn("local request refused", "path", r.URL.Path, "reason", err)
			answer(w, code, &local.Problem{Message: err.Error()})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		mux.ServeHTTP(w, r)
	})
}

func admit(r *http.Request, have, want Role) (int, error) {
	switch {
	case want == RoleNone:
		return http.StatusNotFound, errors.New("no such method")
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, errors.New("only POST")
	case r.Header.Get("Origin") != "" || r.Host != "cordon":
		return http.StatusForbidden, errors.New("not for browsers")
	case r.Header.Get("Content-Type") != "application/json":
		return http.StatusUnsupportedMediaType, errors.New("only application/json")
	case have < want:
		return http.StatusForbidden, errors.New("this changes the daemon: run it as root, or as the daemon's user")
	}
	return 0, nil
}

func handle[In, Out any](mux *http.ServeMux, path string, f func(context.Context, In) (*Out, error)) {
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		var in In
		dec := json.NewDecoder(r.Body)
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			answer(w, http.StatusBadRequest, &local.Problem{Message: "the request is not the JSON that this daemon knows: is the tool of another version?"})
			return
		}
		out, err := f(r.Context(), in)
		if err != nil {
			answer(w, http.StatusUnprocessableEntity, &local.Problem{Message: err.Error()})
			return
		}
		answer(w, http.StatusOK, out)
	})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body) // a caller that has gone is no error
}
