package adminapi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ExplainPolicy tells which rule decides about a flow, and how it comes to that.
func (a *API) ExplainPolicy(ctx context.Context, req *connect.Request[admin.ExplainPolicyRequest]) (*connect.Response[admin.ExplainPolicyResponse], error) {
	m := req.Msg
	protocol, err := acl.ParseProtocol(m.Protocol)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if m.Port > 65535 {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("port %d: want 0 to 65535", m.Port))
	}
	state := a.Registry.Snapshot()
	var out *admin.ExplainPolicyResponse
	look := func(mesh *compile.Mesh, state *registry.State) (err error) {
		f := flows{protocol: protocol, port: uint16(m.Port)}
		if f.src, err = endsOf(state, mesh, m.Src); err != nil {
			return err
		}
		if f.dst, err = endsOf(state, mesh, m.Dst); err != nil {
			return err
		}
		if len(f.src)*len(f.dst) > maxEnds {
			return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s to %s are %d flows, and one question takes %d: name a node on one side", m.Src, m.Dst, len(f.src)*len(f.dst), maxEnds))
		}
		out = f.explain(mesh, policy.TagName(m.Src), policy.TagName(m.Dst))
		return nil
	}
	if m.At == 0 && m.Given == "" && m.As == "" {
		var refusal error
		err = a.Hub.Ask(ctx, func(mesh *compile.Mesh, state *registry.State) { refusal = look(mesh, state) })
		err = errors.Join(err, refusal)
	} else {
		var mesh *compile.Mesh
		if mesh, err = a.supposed(state, m); err == nil {
			err = look(mesh, state)
		}
	}
	var refused *connect.Error
	switch {
	case errors.As(err, &refused):
		return nil, refused
	case err != nil:
		return nil, connect.NewError(connect.CodeUnavailable, err)
	case out == nil:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s and %s have no address family in common", m.Src, m.Dst))
	}
	return connect.NewResponse(out), nil
}

// supposed gives a mesh of its own in which what is asked about is supposed.
func (a *API) supposed(state *registry.State, m *admin.ExplainPolicyRequest) (*compile.Mesh, error) {
	pol, err := state.Policy().Parsed()
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	text := m.Given
	if text == "" {
		text = "{}"
	}
	given, err := pol.ParseGiven("given", []byte(text))
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	now := a.Now()
	if m.At != 0 {
		now = time.Unix(m.At, 0)
	}
	sitting := compile.Node{}
	switch _, known := pol.Group(m.As); {
	case m.As == "":
	case known:
		sitting.User, sitting.Groups = "somebody@made-up.invalid", []string{m.As}
	case strings.Contains(m.As, "@"):
		sitting.User = m.As
		if u, ok := state.UserByLogin(m.As); ok {
			sitting = distribute.Person(state, u)
		}
	default:
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("%q is no login, and no group of the policy", m.As))
	}
	mesh := distribute.Compiled(state, pol)
	mesh.Suppose(given, sitting, now)
	return mesh, nil
}

// derivation explains the flow between the addresses of two nodes: of two families
// the one that is allowed. ICMP is that of the family.
func derivation(m *compile.Mesh, src, dst []netip.Addr, protocol acl.Protocol, port uint16) (out *admin.ExplainPolicyResponse) {
	for _, s := range src {
		for _, d := range dst {
			if s.Is4() == d.Is4() && (out == nil || !out.Allow) {
				spoken := protocol
				if protocol == acl.ICMP && d.Is6() {
					spoken = acl.ICMPv6
				}
				out = explanation(m, m.Derive(s, d, spoken, port))
			}
		}
	}
	return out
}

func explanation(m *compile.Mesh, d compile.Derivation) *admin.ExplainPolicyResponse {
	out := &admin.ExplainPolicyResponse{
		Allow: d.Allow, Rule: string(d.Rule), File: d.Pos.File, Line: uint32(d.Pos.Line), Reason: d.Text, Nearest: string(d.Nearest),
		Who: d.Who, Whom: d.Whom, Others: uint32(d.Others),
	}
	for _, r := range m.Policy().Rules() {
		if r.ID == d.Rule || d.Rule == "" && r.ID == d.Nearest {
			out.Text = r.Text
		}
	}
	for _, c := range d.Considered {
		out.Considered = append(out.Considered, &admin.ConsideredRule{
			Rule: string(c.Rule), File: c.Pos.File, Line: uint32(c.Pos.Line), Why: c.Why, Met: c.Met,
		})
	}
	return out
}
