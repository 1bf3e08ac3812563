package nodeapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Handler serves wire.NodeService to requests that came over TLS. Whoever is not
// a node of the mesh is turned away before a byte of the body is read, save where
// machines join.
func Handler(c Config) http.Handler {
	s := &service{Config: c, complaints: newComplaints(c.Now), pace: newPace(c.Now)}
	mux := http.NewServeMux()
	mux.Handle(wire.NewNodeServiceHandler(s, connect.WithReadMaxBytes(maxRequest), connect.WithCompression("gzip", nil, nil)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.enter(mux, w, r) })
}

// caller is who the channel proves to be at the other end.
type caller struct {
	key     key.NodePublic
	node    *registry.Node // nil: not of this mesh
	address netip.Addr
	control *http.ResponseController
	out     *outlet
}

type callerKey struct{}

func (s *service) enter(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// The wall clock, not Now: it is the socket's.
	if err := control.SetReadDeadline(time.Now().Add(readWithin)); err != nil {
		http.Error(w, "no deadline on this connection", http.StatusInternalServerError)
		return
	}
	who, ok := callerOf(r)
	if !ok {
		http.Error(w, "nodes only: show the node key's certificate", http.StatusUnauthorized)
		return
	}
	who.control, who.out = control, newOutlet(w)
	var err error
	if who.node, err = s.find(who); err != nil {
		if !forStrangers(r.URL.Path) {
			s.complain(who, "turned away: "+err.Error())
			s.refuse(w, r, err)
			return
		}
		// A message becomes up to a hundred times its size when it is decoded.
		r.Body = http.MaxBytesReader(w, r.Body, maxStranger)
	} else if s.tooOften(w, r, who) {
		return
	}
	mux.ServeHTTP(who.out, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
}

// forStrangers tells whether a key that is no node's may ask for a procedure.
func forStrangers(procedure string) bool {
	return procedure == wire.NodeServiceEnrolProcedure || procedure == wire.NodeServiceBeginJoinProcedure || procedure == wire.NodeServiceAwaitJoinProcedure
}

// callerOf goes by the connection alone: what proxies say in headers is not asked.
func callerOf(r *http.Request) (*caller, bool) {
	k, err := wire.CallerKey(r.TLS)
	if err != nil {
		return nil, false
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, false
	}
	return &caller{key: k, address: at.Addr().Unmap()}, true
}

// find looks the caller up in the registry. Unknown and revoked keys get the same
// code and different words: the second is told that coming back is pointless.
func (s *service) find(who *caller) (*registry.Node, error) {
	state := s.Registry.Snapshot()
	if n, ok := state.NodeByKey(who.key); ok {
		return n, nil
	}
	if _, revoked := state.Revoked(who.key); revoked {
		return nil, connect.NewError(connect.CodePermissionDenied, errRemoved)
	}
	return nil, connect.NewError(connect.CodePermissionDenied, errNotIn)
}

var (
	errRemoved = errors.New("this node was removed from the mesh: enrol with a new state directory")
	errNotIn   = errors.New("this node is not in the mesh: enrol it with an enrolment string")
)

func (s *service) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if failed := connect.NewErrorWriter().Write(w, r, err); failed != nil {
		s.Log.Debug("refusing a call failed", "error", failed)
	}
}

func (s *service) complain(who *caller, what string) {
	if n, ok := s.complaints.allow(who.address); ok {
		s.Log.Warn(what, "from", who.address, "key", who.key.Short(), "unlogged", n)
	}
}
