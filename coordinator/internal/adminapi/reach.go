package adminapi

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// maxReach bounds one answer: of a mesh of ten thousand machines, of which all reach all,
// the whole matrix is more than a coordinator's memory.
const maxReach = 100_000

// ReachPolicy gives the matrix of who can reach what, or the part of it that was
// asked for.
func (a *API) ReachPolicy(ctx context.Context, req *connect.Request[admin.ReachPolicyRequest]) (*connect.Response[admin.ReachPolicyResponse], error) {
	state := a.Registry.Snapshot()
	pol, err := state.Policy().Parsed()
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	mesh, out := distribute.Compiled(state, pol), new(admin.ReachPolicyResponse)
	from, err := pick(state, mesh, req.Msg.From)
	if err != nil {
		return nil, err
	}
	to, err := pick(state, mesh, req.Msg.To)
	if err != nil {
		return nil, err
	}
	if to, err = narrowed(mesh, to, req.Msg); err != nil {
		return nil, err
	}
	for _, n := range state.SortedNodes() {
		out.Nodes = append(out.Nodes, n.Name)
	}
	for access := range mesh.ReachBetween(from, to) {
		if len(out.Entries) == maxReach {
			return nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("the matrix has more than %d lines: narrow it by --from, --to, --segment or --class", maxReach))
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out.Entries = append(out.Entries, entryOf(state, access))
	}
	out.Table = mesh.ReachTableBetween(from, to)
	return connect.NewResponse(out), nil
}

// narrowed narrows a destination to segments: to one by its name, or to those of a
// class of data. A name or class that none has is an error.
func narrowed(mesh *compile.Mesh, to compile.Pick, m *admin.ReachPolicyRequest) (compile.Pick, error) {
	if m.Segment == "" && m.Class == "" {
		return to, nil
	}
	wanted := func(s policy.Segment) bool {
		return (m.Segment == "" || s.Name == m.Segment || s.Name == "seg:"+m.Segment) && (m.Class == "" || s.Class == m.Class)
	}
	var classes []string
	for _, name := range mesh.Policy().Segments() {
		s, _ := mesh.Policy().Segment(name)
		if s.Class != "" {
			classes = append(classes, s.Class)
		}
		if wanted(s) {
			return to.And(mesh.PickSegments(wanted)), nil
		}
	}
	slices.Sort(classes)
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no segment is so: the policy has the segments %s, and the classes of data %s%s",
		listed(mesh.Policy().Segments()), listed(slices.Compact(classes)), meantSegment(m, mesh.Policy().Segments(), classes)))
}

func listed(names []string) string {
	if len(names) == 0 {
		return "(none)"
	}
	return strings.Join(names, ", ")
}

func entryOf(state *registry.State, access compile.Access) *admin.ReachEntry {
	e := &admin.ReachEntry{
		Src: nameOf(state, access.Src), Dst: nameOf(state, access.Dst),
		From: prefixTexts(access.From), To: prefixTexts(access.To),
	}
	for _, s := range access.Open {
		e.Services = append(e.Services, serviceText(s))
	}
	for _, id := range access.Rules {
		e.Rules = append(e.Rules, string(id))
	}
	for _, w := range access.Ways {
		way := &admin.ReachWay{Rule: string(w.Rule), When: w.When}
		for _, s := range w.Open {
			way.Services = append(way.Services, serviceText(s))
		}
		e.Ways = append(e.Ways, way)
	}
	return e
}

func prefixTexts(all []netip.Prefix) []string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return texts
}

// pick reads what part of the mesh is meant: a node before a host of the same
// name. A name that nobody has is an error: an empty answer would read as a denial.
func pick(state *registry.State, mesh *compile.Mesh, text string) (compile.Pick, error) {
	if text == "" {
		return nil, nil
	}
	if n, ok := state.FindNode(text); ok {
		return compile.PickNode(n.ID), nil
	}
	if segment, ok := mesh.Policy().Segment(text); ok {
		return mesh.PickSegments(func(s policy.Segment) bool { return s.Name == segment.Name }), nil
	}
	s, ok := selector(mesh, text)
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("%q is no node, tag, group, login, host, ipset, segment or address that there is%s", text, meant(text, reachable(state, mesh))))
	}
	return mesh.PickSelector(s), nil
}

func selector(mesh *compile.Mesh, text string) (policy.Selector, bool) {
	s := policy.Selector{Name: text}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		s.Kind, s.Prefix = policy.Net, prefix.Masked()
		return s, true
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		s.Kind, s.Prefix = policy.Net, netip.PrefixFrom(addr, addr.BitLen())
		return s, true
	}
	pol := mesh.Policy()
	known := false
	switch kind, _, _ := strings.Cut(text, ":"); {
	case text == "autogroup:member":
		s.Kind, known = policy.Member, true
	case text == "autogroup:tagged":
		s.Kind, known = policy.Tagged, true
	case kind == "tag":
		s.Kind, s.Name = policy.Tag, policy.TagName(text)
		_, known = pol.TagOwners(s.Name)
		known = known || someNode(mesh, func(n compile.Node) bool { return slices.Contains(n.Tags, s.Name) })
	case kind == "group":
		s.Kind = policy.Group
		_, known = pol.Group(text)
	case kind == "ipset":
		s.Kind = policy.Set
		_, known = pol.IPSet(text)
	case strings.Contains(text, "@"):
		s.Kind = policy.User
		known = someNode(mesh, func(n compile.Node) bool { return n.User == text })
	default:
		s.Kind = policy.Net
		s.Prefix, known = pol.Host(text)
	}
	return s, known
}

func someNode(mesh *compile.Mesh, is func(compile.Node) bool) bool {
	for n := range mesh.Nodes() {
		if is(n) {
			return true
		}
	}
	return false
}
