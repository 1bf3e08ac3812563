package adminapi

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// DiffPolicy says what an edit would do to who reaches what, on the real nodes.
// Each policy is judged with the routes that it would approve.
func (a *API) DiffPolicy(_ context.Context, req *connect.Request[admin.DiffPolicyRequest]) (*connect.Response[admin.DiffPolicyResponse], error) {
	state := a.Registry.Snapshot()
	before, _, err := a.under(state, req.Msg.Before)
	if err != nil {
		return nil, err
	}
	after, problems, err := a.under(state, req.Msg.After)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(difference(state, before, after, problems)), nil
}

func difference(state *registry.State, before, after *compile.Mesh, problems []*admin.Problem) *admin.DiffPolicyResponse {
	d := diff.Meshes(before, after)
	out := &admin.DiffPolicyResponse{Gained: changes(d.Gained), Lost: changes(d.Lost), Changed: changes(d.Changed), Untold: d.Untold, Problems: problems, Revision: revisionOf(state.Policy())}
	for range after.Nodes() {
		out.Nodes++
	}
	return out
}

func revisionOf(v *registry.PolicyVersion) uint64 {
	if v == nil {
		return 0
	}
	return v.Revision
}

// tryPolicy tells what a command would do, and does nothing.
func (a *API) tryPolicy(c registry.SetPolicy, pol *policy.Policy) (*admin.SetPolicyResponse, error) {
	state := a.Registry.Snapshot()
	next, err := a.Registry.Preview(state, c)
	if err != nil {
		return nil, refusal(err)
	}
	before, _, err := a.under(state, nil)
	if err != nil {
		return nil, err
	}
	after, err := compiledWithin(next, pol)
	if err != nil {
		return nil, err
	}
	return &admin.SetPolicyResponse{
		Revision: revisionOf(state.Policy()), Changed: next.Revision != state.Revision, Diff: difference(state, before, after, nil),
	}, nil
}

// under compiles the mesh as it would be under a policy; nil is the one in force.
func (a *API) under(state *registry.State, v *admin.PolicyVersion) (*compile.Mesh, []*admin.Problem, error) {
	switch current := state.Policy(); {
	case v == nil && current == nil:
		return distribute.Compiled(state, nil), nil, nil
	case v == nil: // on the same day as what it is compared with
		return a.meshOf(state, current), nil, nil
	}
	text, file := v.Text, v.File
	if v.Revision != 0 {
		kept, ok := state.PolicyAt(v.Revision)
		if !ok {
			return nil, nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no policy was in force at revision %d, or it is older than the history that is kept", v.Revision))
		}
		text, file = kept.Text, kept.File
	}
	problems, pol := check(file, text)
	if pol == nil {
		return nil, nil, refused(problems)
	}
	mesh, err := compiledWithin(a.Registry.Under(state, fileName(file), text), pol)
	return mesh, problems, err
}

// meshOf compiles the mesh as it would be under a version. One that no longer
// parses denies all.
func (a *API) meshOf(state *registry.State, v *registry.PolicyVersion) *compile.Mesh {
	pol, _ := v.Parsed()
	return distribute.Compiled(a.Registry.Under(state, v.File, v.Text), pol)
}

// compiledWithin compiles a policy that is new. One that would take too much is refused.
func compiledWithin(state *registry.State, pol *policy.Policy) (*compile.Mesh, error) {
	mesh, err := distribute.CompiledWithin(state, pol)
	var large *compile.TooLarge
	if errors.As(err, &large) {
		at := large.Pos
		return nil, refused([]*admin.Problem{{File: at.File, Line: uint32(at.Line), Column: uint32(at.Column), Message: large.Why, Hint: large.Fix}})
	}
	return mesh, err
}

func changes(all []diff.Change) []*admin.ReachChange {
	out := make([]*admin.ReachChange, len(all))
	for i, c := range all {
		out[i] = &admin.ReachChange{Who: reachSet(c.Who), Where: reachSet(c.Where), Services: c.Services, With: c.With, Without: c.Without, Text: c.Text, Definition: c.Definition}
	}
	return out
}

func reachSet(s diff.Set) *admin.ReachSet {
	out := &admin.ReachSet{Text: s.Text, People: s.People, Nodes: s.Nodes, Networks: s.Networks, Own: s.Own, All: s.All}
	if s.Except != nil {
		out.Except = reachSet(*s.Except)
	}
	return out
}
