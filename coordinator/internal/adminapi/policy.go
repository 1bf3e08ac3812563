package adminapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// GetPolicy gives the policy in force, or that of an earlier revision.
func (a *API) GetPolicy(_ context.Context, req *connect.Request[admin.GetPolicyRequest]) (*connect.Response[admin.GetPolicyResponse], error) {
	state := a.Registry.Snapshot()
	v, ok := state.Policy(), state.Policy() != nil
	if req.Msg.Revision != 0 {
		v, ok = state.PolicyAt(req.Msg.Revision)
	}
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no policy was in force then, or it is older than the history that is kept"))
	}
	out := &admin.GetPolicyResponse{Text: v.Text, Revision: v.Revision, Author: string(v.Author), Time: seconds(v.Time), Problems: refusedToday(v), Writer: string(writerOf(state, v))}
	if v == state.Policy() {
		out.Until = untilOf(v)
	}
	return connect.NewResponse(out), nil
}

// writerOf gives the author of a policy; of one that came back since nobody confirmed the
// next, whoever put its text in force before.
func writerOf(state *registry.State, v *registry.PolicyVersion) registry.Actor {
	if v.Author != registry.System || v.Reverts == 0 {
		return v.Author
	}
	for _, before := range slices.Backward(state.Policies()) {
		if before.Revision < v.Reverts && before.Text == v.Text && before.Reverts == 0 {
			return before.Author
		}
	}
	return "" // older than what is kept
}

// refusedToday gives what a version is no longer taken with, and goes on with.
func refusedToday(v *registry.PolicyVersion) (all []*admin.Problem) {
	for _, w := range v.Refused() {
		all = append(all, problem(w))
	}
	return all
}

// SetPolicy checks a policy, runs its tests on the real nodes, and puts it in
// force. A policy with an error, or one of whose tests fails, changes nothing,
// and neither does a dry run.
func (a *API) SetPolicy(ctx context.Context, req *connect.Request[admin.SetPolicyRequest]) (*connect.Response[admin.SetPolicyResponse], error) {
	m := req.Msg
	problems, pol := check(m.File, m.Text)
	if pol == nil {
		return nil, refused(problems)
	}
	failed, err := a.test(ctx, pol)
	if err != nil {
		return nil, err
	}
	problems = append(problems, failed...)
	if !acceptable(problems) {
		return nil, refused(problems)
	}
	command := registry.SetPolicy{Text: m.Text, File: fileName(m.File), Expected: m.ExpectedRevision, ConfirmWithin: time.Duration(m.ConfirmWithin) * time.Second}
	if m.DryRun {
		out, err := a.tryPolicy(command, pol)
		if err != nil {
			return nil, err
		}
		out.Problems = problems
		return connect.NewResponse(out), nil
	}
	result, err := a.do(ctx, command)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.SetPolicyResponse{Revision: result.Policy.Revision, Problems: problems, Changed: result.Changed, Until: untilOf(result.Policy)}), nil
}

// CheckPolicy says what is wrong with a policy text.
func (a *API) CheckPolicy(_ context.Context, req *connect.Request[admin.CheckPolicyRequest]) (*connect.Response[admin.CheckPolicyResponse], error) {
	problems, pol := check(req.Msg.File, req.Msg.Text)
	return connect.NewResponse(&admin.CheckPolicyResponse{Problems: problems, Ok: pol != nil}), nil
}

// TestPolicy runs a policy's own tests on the real nodes; without a text, those
// of the policy in force.
func (a *API) TestPolicy(ctx context.Context, req *connect.Request[admin.TestPolicyRequest]) (*connect.Response[admin.TestPolicyResponse], error) {
	pol, err := a.policyFor(req.Msg)
	if err != nil {
		return nil, err
	}
	out := &admin.TestPolicyResponse{Ok: true}
	if len(pol.Tests())+len(pol.SSHTests()) == 0 {
		return connect.NewResponse(out), nil
	}
	mesh, err := compiledWithin(a.Registry.Snapshot(), pol)
	if err != nil {
		return nil, err
	}
	mesh.At(a.Now())
	results, err := mesh.TestResults(ctx)
	if err != nil {
		return nil, unjudged(err)
	}
	for _, r := range results {
		out.Results = append(out.Results, result(r))
	}
	failures, err := mesh.TestSSH(ctx)
	if err != nil {
		return nil, unjudged(err)
	}
	for _, t := range pol.SSHTests() {
		out.Results = append(out.Results, sshResult(t, failures))
	}
	for _, r := range out.Results {
		out.Ok = out.Ok && r.Pass
	}
	return connect.NewResponse(out), nil
}

func (a *API) policyFor(m *admin.TestPolicyRequest) (*policy.Policy, error) {
	if m.Text != "" {
		problems, pol := check(m.File, m.Text)
		if pol == nil {
			return nil, refused(problems)
		}
		return pol, nil
	}
	pol, err := a.Registry.Snapshot().Policy().Parsed()
	if err != nil || pol == nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.Join(errors.New("there is no readable policy in force"), err))
	}
	return pol, nil
}

// result tells of one expectation. One for which there is no device yet fails nothing.
func result(t compile.TestResult) *admin.TestResult {
	r := &admin.TestResult{
		Name: t.Test.Name, Src: t.Test.Src.String(), Dst: t.Target.Text, Wanted: "deny", Pass: true, Line: uint32(t.Target.Pos.Line),
	}
	if t.Accept {
		r.Wanted = "accept"
	}
	if t.Rule != nil {
		r.Rule = string(t.Rule.ID)
	}
	if t.Failure != nil {
		r.Pass, r.Message = t.Failure.NoDevice, t.Failure.Text
	}
	return r
}

// sshResult tells of one test of the ssh rules, with the first thing that fails.
func sshResult(t policy.SSHTest, failures []compile.TestFailure) *admin.TestResult {
	names := make([]string, len(t.Dst))
	for i, s := range t.Dst {
		names[i] = s.String()
	}
	r := &admin.TestResult{Src: t.Src.String(), Dst: strings.Join(names, ", "), Wanted: "ssh", Pass: true, Line: uint32(t.Pos.Line)}
	if i := slices.IndexFunc(failures, func(f compile.TestFailure) bool { return f.Pos == t.Pos }); i >= 0 {
		r.Pass, r.Message = false, failures[i].Text
	}
	return r
}

// test gives the failures of a policy's own tests as problems. A test whose
// source or destination has no device yet cannot be judged, and is a warning: a
// new mesh takes its policy before its first node.
func (a *API) test(ctx context.Context, pol *policy.Policy) ([]*admin.Problem, error) {
	failures, err := a.failures(ctx, pol)
	var out []*admin.Problem
	for _, f := range failures {
		p := &admin.Problem{
			File: f.Pos.File, Line: uint32(f.Pos.Line), Column: uint32(f.Pos.Column), Message: "test failed: " + f.Text,
			Hint: "change the rule or the test",
		}
		if f.NoDevice {
			p.Message, p.Hint, p.Warning = "test not judged: "+f.Text, "run `cordonctl policy test` when its machines have joined", true
		}
		out = append(out, p)
	}
	return out, err
}

// failures judges a policy's tests on the nodes that there are now. A policy without any
// is compiled all the same: it may be too large for these nodes.
func (a *API) failures(ctx context.Context, pol *policy.Policy) ([]compile.TestFailure, error) {
	mesh, err := compiledWithin(a.Registry.Snapshot(), pol)
	if err != nil {
		return nil, err
	}
	mesh.At(a.Now())
	failures, err := mesh.Test(ctx)
	if err != nil {
		return nil, unjudged(err)
	}
	ssh, err := mesh.TestSSH(ctx)
	if err != nil {
		return nil, unjudged(err)
	}
	return append(failures, ssh...), nil
}

// unjudged is the error of tests that were not judged to their end: such a policy stays
// out of force.
func unjudged(err error) error {
	var tooMuch *compile.TooMuchWork
	if !errors.As(err, &tooMuch) {
		return err // nobody waits for it
	}
	at := tooMuch.Pos
	return refused([]*admin.Problem{{
		File: at.File, Line: uint32(at.Line), Column: uint32(at.Column), Message: tooMuch.Why(),
		Hint: "let it name fewer devices, addresses or targets, or suppose something with \"given\": then it is judged on one made-up device each",
	}})
}

func nameOf(state *registry.State, id string) string {
	if n, ok := state.Node(id); ok {
		return n.Name
	}
	return id
}

// addresses gives what a name, an id or an address stands for.
func addresses(state *registry.State, text string) ([]netip.Addr, error) {
	if at, err := netip.ParseAddr(text); err == nil {
		return []netip.Addr{at.Unmap()}, nil
	}
	n, ok := state.FindNode(text)
	if !ok {
		return nil, noNode(text)
	}
	return n.Addresses, nil
}

func serviceText(s acl.Service) string {
	name := cmp.Or(s.Protocol.Name(), strconv.Itoa(int(s.Protocol)))
	switch {
	case s.First == 0 && s.Last == 65535:
		return name
	case s.First == s.Last:
		return name + "/" + strconv.Itoa(int(s.First))
	}
	return fmt.Sprintf("%s/%d-%d", name, s.First, s.Last)
}
