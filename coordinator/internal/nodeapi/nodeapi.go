// Package nodeapi is the edge at which nodes arrive: it tells who calls by the
// key of the TLS channel, decodes, calls registry and hub, and encodes. It
// decides nothing.
//
// No message names its sender, so no message can lie about it. A certificate's
// issuer and end are not asked either: the key in it was proven by the
// handshake, and the registry knows the key or does not. That is why a machine
// that was off for a year can still renew, and why a revoked key stays out with
// whatever certificate it shows.
package nodeapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/internal/auth"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Bounds on what a node may send: the largest honest message is a Surrender of
// some hundred revocations.
const (
	maxRequest   = 256 << 10
	maxStranger  = 8 << 10 // from a key that is not of the mesh: an enrolment has 1 KB
	maxEndpoints = 16
	maxRules     = 64
	readWithin   = 10 * time.Second // for a request's body; a stream's request is read whole at once
)

// SlowAfter is how long one write to a node may take: a reader slower than that
// is cut off, and starts again from a Full.
const SlowAfter = 30 * time.Second

// Config of the edge.
type Config struct {
	Registry  *registry.Registry
	Hub       *distribute.Hub
	Authority *auth.Authority
	Log       *slog.Logger
	Now       func() time.Time
}

// Handler serves wire.NodeService to requests that came over TLS.
func Handler(c Config) http.Handler {
	mux := http.NewServeMux()
	s := &service{Config: c, complaints: newComplaints(c.Now), pace: newPace(c.Now)}
	mux.Handle(wire.NewNodeServiceHandler(s,
		connect.WithReadMaxBytes(maxRequest), connect.WithCompression("gzip", nil, nil)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := callerOf(r)
		if !ok {
			http.Error(w, "nodes only: show the node key's certificate", http.StatusUnauthorized)
			return
		}
		who.control = http.NewResponseController(w)
		if err := who.control.SetReadDeadline(c.Now().Add(readWithin)); err != nil {
			http.Error(w, "no deadline on this connection", http.StatusInternalServerError)
			return
		}
		if s.tooOften(w, r, who) {
			return
		}
		// A message becomes up to a hundred times its size when it is decoded, and
		// only then do its methods ask who sent it.
		if _, known := c.Registry.Snapshot().NodeByKey(who.key); !known {
			r.Body = http.MaxBytesReader(w, r.Body, maxStranger)
		}
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}

// caller is who the channel proves to be at the other end.
type caller struct {
	key     key.NodePublic
	address netip.Addr
	control *http.ResponseController
}

type callerKey struct{}

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

type service struct {
	Config
	complaints *complaints
	pace       *pace
}

// node finds the caller in the registry. Unknown and revoked keys get the same
// code and different words: the second is told that coming back is pointless.
func (s *service) node(ctx context.Context) (*caller, *registry.Node, error) {
	who := ctx.Value(callerKey{}).(*caller)
	state := s.Registry.Snapshot()
	if n, ok := state.NodeByKey(who.key); ok {
		return who, n, nil
	}
	if _, revoked := state.Revoked(who.key); revoked {
		s.complain(who, "a revoked key called")
		return nil, nil, connect.NewError(connect.CodePermissionDenied, errors.New("this node was removed from the mesh: enrol with a new state directory"))
	}
	s.complain(who, "an unknown key called")
	return nil, nil, connect.NewError(connect.CodePermissionDenied, errors.New("this node is not in the mesh: enrol it with an enrolment string"))
}

func (s *service) complain(who *caller, what string) {
	if n, ok := s.complaints.allow(who.address); ok {
		s.Log.Warn(what, "from", who.address, "key", who.key.Short(), "unlogged", n)
	}
}

func (s *service) Enrol(ctx context.Context, req *connect.Request[wire.EnrolRequest]) (*connect.Response[wire.EnrolResponse], error) {
	who := ctx.Value(callerKey{}).(*caller)
	m := req.Msg
	if _, err := wire.CommonLevel(m.Level); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	result, err := s.Registry.Do(ctx, registry.NodeActor(wire.NodeID(who.key)), registry.Enrol{
		Secret: registry.HashSecret(m.Secret), Key: who.key, Name: m.Name, Statement: m.Statement, OS: m.Os, Version: m.Version,
	})
	if err != nil {
		s.complain(who, "enrolment refused: "+err.Error())
		return nil, refusal(err)
	}
	chain, err := s.Authority.NodeCertificate(who.key, s.Now())
	if err != nil {
		return nil, s.internal("issuing a certificate", err)
	}
	mesh, root := s.Registry.Snapshot().Mesh, s.Authority.Root()
	s.Log.Info("node enrolled", "node", result.Node.ID, "name", result.Node.Name, "from", who.address)
	return connect.NewResponse(&wire.EnrolResponse{
		Mesh: mesh[:], Node: result.Node.ID, RootKey: root.Bytes(), Chain: chain,
		MapKeys: s.Authority.MapKeyCertificates(), Pending: !result.Node.Approved,
	}), nil
}

func (s *service) Renew(ctx context.Context, _ *connect.Request[wire.RenewRequest]) (*connect.Response[wire.RenewResponse], error) {
	_, n, err := s.node(ctx)
	if err != nil {
		return nil, err
	}
	chain, err := s.Authority.NodeCertificate(n.Key, s.Now())
	if err != nil {
		return nil, s.internal("issuing a certificate", err)
	}
	return connect.NewResponse(&wire.RenewResponse{Chain: chain, MapKeys: s.Authority.MapKeyCertificates()}), nil
}

func (s *service) Follow(ctx context.Context, req *connect.Request[wire.FollowRequest], out *connect.ServerStream[wire.FollowResponse]) error {
	who, n, err := s.node(ctx)
	if err != nil {
		return err
	}
	m := req.Msg
	if _, err := wire.CommonLevel(m.Level); err != nil {
		return connect.NewError(connect.CodeFailedPrecondition, err)
	}
	if err := who.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lifting the read deadline: %w", err)
	}
	send := func(r *wire.FollowResponse) error {
		if err := who.control.SetWriteDeadline(s.Now().Add(SlowAfter)); err != nil {
			return fmt.Errorf("setting the write deadline: %w", err)
		}
		return out.Send(r)
	}
	if err := send(&wire.FollowResponse{Message: &wire.FollowResponse_Keys{Keys: &wire.Keys{MapKeys: s.Authority.MapKeyCertificates()}}}); err != nil {
		return err
	}
	join := distribute.Join{
		Node: n.ID, From: who.address, Instance: string(m.Instance),
		Position: wire.Position{Incarnation: m.Incarnation, Revision: m.Revision, Epoch: m.Epoch},
	}
	copy(join.Digest[:], m.Digest)
	err = s.Hub.Follow(ctx, join, send)
	switch {
	case errors.Is(err, distribute.ErrSurrender):
		return connect.NewError(connect.CodeAborted, err)
	case errors.Is(err, distribute.ErrGone):
		return connect.NewError(connect.CodePermissionDenied, err)
	case errors.Is(err, distribute.ErrReplaced), errors.Is(err, distribute.ErrClosed):
		return connect.NewError(connect.CodeUnavailable, err)
	}
	return err
}

func (s *service) Acknowledge(ctx context.Context, req *connect.Request[wire.AcknowledgeRequest]) (*connect.Response[wire.AcknowledgeResponse], error) {
	_, n, err := s.node(ctx)
	if err != nil {
		return nil, err
	}
	s.Hub.Acknowledge(ctx, n.ID, wire.Position{Incarnation: req.Msg.Incarnation, Revision: req.Msg.Revision})
	return connect.NewResponse(&wire.AcknowledgeResponse{}), nil
}

func (s *service) Report(ctx context.Context, req *connect.Request[wire.ReportRequest]) (*connect.Response[wire.ReportResponse], error) {
	who, n, err := s.node(ctx)
	if err != nil {
		return nil, err
	}
	m := req.Msg
	advertised, err := prefixes(m.Advertised)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	endpoints, err := endpointsOf(m, who.address)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	_, err = s.Registry.Do(ctx, registry.NodeActor(n.ID), registry.Report{
		Node: n.ID, Statement: m.Statement, Advertised: advertised, OS: m.Os, Version: m.Version,
	})
	if err != nil {
		return nil, refusal(err)
	}
	s.Hub.Report(ctx, n.ID, endpoints)
	return connect.NewResponse(&wire.ReportResponse{Seen: who.address.String()}), nil
}

func (s *service) Surrender(ctx context.Context, req *connect.Request[wire.SurrenderRequest]) (*connect.Response[wire.SurrenderResponse], error) {
	who, n, err := s.node(ctx)
	if err != nil {
		return nil, err
	}
	taken, err := revocations(s.Authority.Root(), req.Msg)
	if err != nil {
		s.complain(who, "surrendered revocations refused: "+err.Error())
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if _, err := s.Registry.Do(ctx, registry.NodeActor(n.ID), registry.TakeRevocations{Revocations: taken}); err != nil {
		return nil, refusal(err)
	}
	return connect.NewResponse(&wire.SurrenderResponse{}), nil
}

func (s *service) LookupRules(ctx context.Context, req *connect.Request[wire.LookupRulesRequest]) (*connect.Response[wire.LookupRulesResponse], error) {
	_, n, err := s.node(ctx)
	if err != nil {
		return nil, err
	}
	if len(req.Msg.Ids) > maxRules {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d rules asked for, at most %d", len(req.Msg.Ids), maxRules))
	}
	positions, err := s.Hub.LookupRules(ctx, n.ID, req.Msg.Ids, req.Msg.Revision)
	if err != nil {
		return nil, s.internal("looking up rules", err)
	}
	return connect.NewResponse(&wire.LookupRulesResponse{Rules: positions}), nil
}

func (s *service) internal(doing string, err error) error {
	s.Log.Error(doing+" failed", "error", err)
	return connect.NewError(connect.CodeInternal, errors.New(doing+" failed; the coordinator's log says why"))
}
