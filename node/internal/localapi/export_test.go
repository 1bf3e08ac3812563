package localapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
)

// MaxRequest lets tests name the bound on a request's body.
const MaxRequest = maxRequest

// HandlerFor is the handler as a caller of that role meets it, without a socket
// between: only there does the kernel say who calls.
func HandlerFor(d Daemon, role Role) http.Handler {
	inner := handler(d, slog.New(slog.DiscardHandler))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(WithCaller(r.Context(), Caller{Role: role})))
	})
}

// ServeAs is Serve where every caller has that role: on connections of which no
// kernel says who is at their end.
func ServeAs(ctx context.Context, l net.Listener, d Daemon, role Role) error {
	return serve(ctx, l, d, slog.New(slog.DiscardHandler), func(net.Conn) Caller { return Caller{Role: role} })
}

// HandlerForNobody is the handler where nobody said who calls.
func HandlerForNobody(d Daemon) http.Handler { return handler(d, slog.New(slog.DiscardHandler)) }
