package controltest

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// service is the Coordinator as its nodes see it.
type service Coordinator

var _ wire.NodeServiceHandler = (*service)(nil)

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

type callerKey struct{}

// withCaller puts the key of the TLS channel where handlers find it.
func withCaller(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k, err := wire.CallerKey(r.TLS)
		if err != nil {
			http.Error(w, "nodes only", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, k)))
	})
}

func caller(ctx context.Context) key.NodePublic { return ctx.Value(callerKey{}).(key.NodePublic) }

func (s *service) refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refuse
}

func (s *service) certify(k key.NodePublic) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chain(k)
}

// Enrol takes the one secret, as often as it is shown.
func (s *service) Enrol(ctx context.Context, r *connect.Request[wire.EnrolRequest]) (*connect.Response[wire.EnrolResponse], error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	if r.Msg.Secret != s.Secret {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("the token is spent"))
	}
	k := caller(ctx)
	if _, err := wire.VerifyStatement(k, r.Msg.Statement); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	s.mu.Lock()
	s.enrolled[r.Msg.Name] = Enrolled{Key: k, Name: r.Msg.Name, System: r.Msg.Os, Statement: r.Msg.Statement}
	s.mu.Unlock()
	return connect.NewResponse(s.admission(k)), nil
}

// Renew gives a fresh chain.
func (s *service) Renew(ctx context.Context, _ *connect.Request[wire.RenewRequest]) (*connect.Response[wire.RenewResponse], error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	return connect.NewResponse(&wire.RenewResponse{Chain: s.certify(caller(ctx))}), nil
}

// Follow hands the session to the test.
func (s *service) Follow(ctx context.Context, r *connect.Request[wire.FollowRequest], out *connect.ServerStream[wire.FollowResponse]) error {
	st := &Stream{Request: r.Msg, Caller: caller(ctx), out: make(chan *wire.FollowResponse), end: make(chan error), gone: ctx.Done()}
	select {
	case s.streams <- st:
	default:
		return errors.New("too many sessions that no test took")
	}
	for {
		select {
		case m := <-st.out:
			if err := out.Send(m); err != nil {
				return err
			}
		case err := <-st.end:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Acknowledge records.
func (s *service) Acknowledge(_ context.Context, r *connect.Request[wire.AcknowledgeRequest]) (*connect.Response[wire.AcknowledgeResponse], error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acks = append(s.acks, wire.Position{Incarnation: r.Msg.Incarnation, Revision: r.Msg.Revision})
	return connect.NewResponse(&wire.AcknowledgeResponse{}), nil
}

// Report records.
func (s *service) Report(_ context.Context, r *connect.Request[wire.ReportRequest]) (*connect.Response[wire.ReportResponse], error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, r.Msg)
	return connect.NewResponse(&wire.ReportResponse{Seen: "127.0.0.1"}), nil
}

// Surrender records.
func (s *service) Surrender(_ context.Context, r *connect.Request[wire.SurrenderRequest]) (*connect.Response[wire.SurrenderResponse], error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.surrenders = append(s.surrenders, r.Msg)
	return connect.NewResponse(&wire.SurrenderResponse{}), nil
}

// LookupRules finds every rule in one place.
func (s *service) LookupRules(_ context.Context, r *connect.Request[wire.LookupRulesRequest]) (*connect.Response[wire.LookupRulesResponse], error) {
	out := &wire.LookupRulesResponse{}
	for i, id := range r.Msg.Ids {
		out.Rules = append(out.Rules, &wire.RulePosition{Id: id, File: "policy.hujson", Line: uint32(7 + i), Text: `{"id": "` + id + `"}`})
	}
	return connect.NewResponse(out), nil
}
