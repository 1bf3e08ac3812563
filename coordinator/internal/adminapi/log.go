package adminapi

import (
	"bytes"
	"context"

	"connectrpc.com/connect"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/cordonmesh/cordon/acl/compile"
	reach "github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// defaultEdits is how many edits LogPolicy tells of if nobody says: each costs a
// compilation of the mesh.
const defaultEdits = 10

// LogPolicy tells who changed the policy, and to what effect on the nodes that
// there are today, of as much of the history as is kept.
func (a *API) LogPolicy(ctx context.Context, req *connect.Request[admin.LogPolicyRequest]) (*connect.Response[admin.LogPolicyResponse], error) {
	limit := int(req.Msg.Limit)
	if limit == 0 {
		limit = defaultEdits
	}
	state := a.Registry.Snapshot()
	all := state.Policies()
	out := new(admin.LogPolicyResponse)
	var later *compile.Mesh // of the version after the one at hand
	for i := len(all) - 1; i >= max(0, len(all)-limit-1); i-- {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		mesh := a.meshOf(state, all[i])
		if n := len(out.Edits); n > 0 {
			compare(out.Edits[n-1], all[i], all[i+1], mesh, later)
		}
		later = mesh
		if len(out.Edits) < limit {
			out.Edits = append(out.Edits, editOf(all, i))
		}
	}
	return connect.NewResponse(out), nil
}

// meshOf compiles the mesh as it would be under a version. One that no longer
// parses denies all.
func (a *API) meshOf(state *registry.State, v *registry.PolicyVersion) *compile.Mesh {
	pol, _ := v.Parsed()
	return distribute.Compiled(a.Registry.Under(state, v.File, v.Text), pol)
}

func editOf(all []*registry.PolicyVersion, i int) *admin.PolicyEdit {
	v := all[i]
	e := &admin.PolicyEdit{
		Revision: v.Revision, File: v.File, Author: string(v.Author), Time: seconds(v.Time), Oldest: i == 0,
		Until: seconds(v.Until), ConfirmedBy: string(v.Confirmed), Reverts: v.Reverts,
	}
	e.Problems = uint32(len(v.Refused()))
	if i+1 < len(all) && all[i+1].Reverts == v.Revision {
		e.RevertedBy = all[i+1].Revision
	}
	return e
}

// compare fills in what an edit changed.
func compare(e *admin.PolicyEdit, before, after *registry.PolicyVersion, was, is *compile.Mesh) {
	e.LinesAdded, e.LinesRemoved = lines(before.Text, after.Text)
	d := reach.Meshes(was, is)
	e.Gained, e.Lost = uint32(len(d.Gained)+len(d.Changed)), uint32(len(d.Lost)+len(d.Changed))
}

// lines counts the lines that an edit added and removed.
func lines(before, after string) (added, removed uint32) {
	all := bytes.Split(diff.Diff("a", []byte(before), "b", []byte(after)), []byte("\n"))
	for _, line := range all[min(3, len(all)):] { // the first three name the two
		switch {
		case bytes.HasPrefix(line, []byte("+")):
			added++
		case bytes.HasPrefix(line, []byte("-")):
			removed++
		}
	}
	return added, removed
}
