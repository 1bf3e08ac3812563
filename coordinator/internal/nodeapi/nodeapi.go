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
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/internal/activity"
	"github.com/cordonmesh/cordon/coordinator/internal/auth"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Bounds on what a caller may send.
const (
	maxRequest   = 256 << 10 // the largest is a Surrender of some hundred revocations
	maxStranger  = 8 << 10   // from a key that is not of the mesh: an enrolment has 1 KB
	maxEndpoints = 16
	maxRules     = 64
	maxInstance  = 32
	readWithin   = 10 * time.Second // for a request's body; a stream's request is read whole at once
)

// SlowAfter is how long the messages of one moment may take to a node: a reader
// slower than that is cut off, and starts again from a Full.
const SlowAfter = 30 * time.Second

// Config of the edge.
type Config struct {
	Registry  *registry.Registry
	Hub       *distribute.Hub
	Authority *auth.Authority
	Desk      *signin.Desk   // nil: nobody can sign in
	Activity  *activity.Book // nil: nobody's activity counts
	Log       *slog.Logger
	Now       func() time.Time
}

type service struct {
	Config
	complaints *complaints
	pace       *pace
}

// known gives the caller, which the door has found to be a node of the mesh.
func known(ctx context.Context) (*caller, *registry.Node, error) {
	who, ok := ctx.Value(callerKey{}).(*caller)
	if !ok || who.node == nil {
		return nil, nil, connect.NewError(connect.CodePermissionDenied, errors.New("not a node of this mesh"))
	}
	return who, who.node, nil
}

func (s *service) Enrol(ctx context.Context, req *connect.Request[wire.EnrolRequest]) (*connect.Response[wire.EnrolResponse], error) {
	who := ctx.Value(callerKey{}).(*caller)
	m := req.Msg
	if _, err := wire.CommonLevel(m.Level); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	result, err := s.Registry.Do(ctx, registry.NodeActor(wire.NodeID(who.key)), registry.Enrol{
		Secret: registry.HashSecret(m.Secret), Key: who.key, Name: m.Name, Statement: m.Statement, OS: m.Os, Version: m.Version, From: who.address,
	})
	if err != nil {
		s.complain(who, "enrolment refused: "+err.Error())
		return nil, refusal(err)
	}
	s.Log.Info("node enrolled", "node", result.Node.ID, "name", result.Node.Name, "from", who.address)
	admission, err := s.admission(result.Node)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(admission), nil
}

// admission is what a machine is given that has become a node.
func (s *service) admission(n *registry.Node) (*wire.EnrolResponse, error) {
	chain, err := s.Authority.NodeCertificate(n.Key, s.Now())
	if err != nil {
		return nil, s.internal("issuing a certificate", err)
	}
	mesh, root := s.Registry.Snapshot().Mesh, s.Authority.Root()
	return &wire.EnrolResponse{
		Mesh: mesh[:], Node: n.ID, RootKey: root.Bytes(), Chain: chain,
		MapKeys: s.Authority.MapKeyCertificates(), Pending: !n.Approved,
	}, nil
}

func (s *service) Renew(ctx context.Context, _ *connect.Request[wire.RenewRequest]) (*connect.Response[wire.RenewResponse], error) {
	_, n, err := known(ctx)
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
	who, n, err := known(ctx)
	if err != nil {
		return err
	}
	m := req.Msg
	if _, err := wire.CommonLevel(m.Level); err != nil {
		return connect.NewError(connect.CodeFailedPrecondition, err)
	}
	if len(m.Instance) > maxInstance || len(m.Digest) > len(wire.Digest{}) {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("an instance of %d bytes and a digest of %d, want at most %d and %d",
			len(m.Instance), len(m.Digest), maxInstance, len(wire.Digest{})))
	}
	if err := who.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lifting the read deadline: %w", err)
	}
	defer who.out.close()
	send := func(batch []*wire.FollowResponse) error { return who.out.carry(batch, out.Send) }
	join := distribute.Join{
		Node: n.ID, From: who.address, Instance: string(m.Instance),
		Position:   wire.Position{Incarnation: m.Incarnation, Revision: m.Revision, Epoch: m.Epoch},
		SeatDeltas: slices.Contains(m.Features, wire.FeatureSeatDelta),
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
	case errors.Is(err, distribute.ErrTooLarge):
		return connect.NewError(connect.CodeResourceExhausted, err)
	}
	return err
}

func (s *service) Acknowledge(ctx context.Context, req *connect.Request[wire.AcknowledgeRequest]) (*connect.Response[wire.AcknowledgeResponse], error) {
	_, n, err := known(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Hub.Acknowledge(ctx, n.ID, wire.Position{Incarnation: req.Msg.Incarnation, Revision: req.Msg.Revision}); err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return connect.NewResponse(&wire.AcknowledgeResponse{}), nil
}

func (s *service) Report(ctx context.Context, req *connect.Request[wire.ReportRequest]) (*connect.Response[wire.ReportResponse], error) {
	who, n, err := known(ctx)
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
	if err := homeOf(m); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	_, err = s.Registry.Do(ctx, registry.NodeActor(n.ID), registry.Report{
		Node: n.ID, Statement: m.Statement, Advertised: advertised, OS: m.Os, Version: m.Version,
	})
	if err != nil {
		return nil, refusal(err)
	}
	if err := s.Hub.Report(ctx, n.ID, endpoints, m.Relay); err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return connect.NewResponse(&wire.ReportResponse{Seen: who.address.String()}), nil
}

func (s *service) Surrender(ctx context.Context, req *connect.Request[wire.SurrenderRequest]) (*connect.Response[wire.SurrenderResponse], error) {
	who, n, err := known(ctx)
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
	if err := s.Hub.Surrendered(ctx, n.ID); err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return connect.NewResponse(&wire.SurrenderResponse{}), nil
}

func (s *service) LookupRules(ctx context.Context, req *connect.Request[wire.LookupRulesRequest]) (*connect.Response[wire.LookupRulesResponse], error) {
	_, n, err := known(ctx)
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
