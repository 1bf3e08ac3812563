package adminapi

import (
	"bytes"
	"context"
	"slices"

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

// What each edit changed is worked out within a bound, in steps as those of a comparison:
// a history may be of a hundred policies of megabytes.
const (
	logSteps  = 300_000_000 // of one answer: a second or two, and some more on ten thousand nodes
	textSteps = 8           // of a byte: it is read, and compared
	nodeSteps = 2_000       // of a node: it is compiled. Ten edits are told on ten thousand
)

// LogPolicy tells who changed the policy, and to what effect on the nodes that
// there are today, of as much of the history as is kept.
func (a *API) LogPolicy(ctx context.Context, req *connect.Request[admin.LogPolicyRequest]) (*connect.Response[admin.LogPolicyResponse], error) {
	limit := int(req.Msg.Limit)
	if limit == 0 {
		limit = defaultEdits
	}
	log := policyLog{API: a, state: a.Registry.Snapshot(), left: logSteps}
	all := log.state.Policies()
	end := olderThan(all, req.Msg.Before)
	first := max(0, end-limit)
	out := new(admin.LogPolicyResponse)
	for i := end - 1; i >= first; i-- {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out.Edits = append(out.Edits, log.edit(all, i))
	}
	if first > 0 {
		out.Older = all[first].Revision
	}
	return connect.NewResponse(out), nil
}

// olderThan gives how many versions came before a revision; 0: all.
func olderThan(all []*registry.PolicyVersion, revision uint64) int {
	if i := slices.IndexFunc(all, func(v *registry.PolicyVersion) bool { return v.Revision >= revision }); revision != 0 && i >= 0 {
		return i
	}
	return len(all)
}

// policyLog works out what edits changed, latest first.
type policyLog struct {
	*API
	state *registry.State
	left  int            // steps
	nodes int            // 0: not yet counted
	next  *compiledUnder // the version of the edit that is told next; nil at the first
}

// compiledUnder is a mesh as it would be under a version.
type compiledUnder struct {
	mesh     *compile.Mesh // nil: it takes too much
	problems int           // for which it would be refused today
}

func (l *policyLog) edit(all []*registry.PolicyVersion, i int) *admin.PolicyEdit {
	v := all[i]
	e := &admin.PolicyEdit{
		Revision: v.Revision, File: v.File, Author: string(v.Author), Time: seconds(v.Time), Oldest: i == 0,
		Until: seconds(v.Until), ConfirmedBy: string(v.Confirmed), Reverts: v.Reverts,
	}
	if i+1 < len(all) && all[i+1].Reverts == v.Revision {
		e.RevertedBy = all[i+1].Revision
	}
	if l.next == nil {
		l.next = l.under(v)
	}
	is := l.next
	e.Problems = uint32(is.problems)
	if i > 0 {
		l.next = l.under(all[i-1])
		l.compare(e, all[i-1], v, l.next.mesh, is.mesh)
	}
	return e
}

// compare fills in what an edit changed, if that does not take too much.
func (l *policyLog) compare(e *admin.PolicyEdit, before, after *registry.PolicyVersion, was, is *compile.Mesh) {
	if e.Untold = was == nil || is == nil; e.Untold {
		return
	}
	e.LinesAdded, e.LinesRemoved = lines(before.Text, after.Text)
	d := reach.Options{MaxSteps: max(1, l.left)}.Meshes(was, is)
	l.left -= d.Steps
	if e.Untold = d.Untold; !d.Untold {
		e.Gained, e.Lost = uint32(len(d.Gained)+len(d.Changed)), uint32(len(d.Lost)+len(d.Changed))
	}
}

// under compiles the mesh as it would be under a version. One that no longer parses denies
// all. What is read for that is not kept: a hundred large ones would be.
func (l *policyLog) under(v *registry.PolicyVersion) *compiledUnder {
	if l.nodes == 0 {
		l.nodes = 1
		for range l.state.Nodes() {
			l.nodes++
		}
	}
	if l.left -= textSteps*len(v.Text) + nodeSteps*l.nodes; l.left < 0 {
		return &compiledUnder{}
	}
	state := l.Registry.Under(l.state, v.File, v.Text)
	pol, _ := state.Policy().Parsed()
	mesh, err := distribute.CompiledWithin(state, pol)
	if err != nil {
		mesh = nil
	}
	return &compiledUnder{mesh, len(state.Policy().Refused())}
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
