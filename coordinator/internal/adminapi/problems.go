package adminapi

import (
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func fileName(name string) string {
	if name == "" {
		return "policy.hujson"
	}
	return name
}

// check parses a policy. The policy is nil if it was refused.
func check(file, text string) ([]*admin.Problem, *policy.Policy) {
	pol, warnings, err := policy.Parse(fileName(file), []byte(text))
	var out []*admin.Problem
	for _, w := range warnings {
		out = append(out, problem(w))
	}
	if err == nil {
		return out, pol
	}
	var all policy.Errors
	if !errors.As(err, &all) {
		return append(out, &admin.Problem{File: fileName(file), Message: err.Error()}), nil
	}
	for _, e := range all {
		out = append(out, &admin.Problem{File: e.Pos.File, Line: uint32(e.Pos.Line), Column: uint32(e.Pos.Column), Text: e.Text, Message: e.Why, Hint: e.Fix})
	}
	return out, nil
}

func problem(w policy.Warning) *admin.Problem {
	return &admin.Problem{File: w.Pos.File, Line: uint32(w.Pos.Line), Column: uint32(w.Pos.Column), Text: w.Text, Message: w.Why, Warning: true}
}

func acceptable(problems []*admin.Problem) bool {
	return !slices.ContainsFunc(problems, func(p *admin.Problem) bool { return !p.Warning })
}

// refused is the error of a policy that stays out of force, with every problem
// as a detail for tools.
func refused(problems []*admin.Problem) error {
	first, more := "", -1
	for _, p := range problems {
		if p.Warning {
			continue
		}
		if more++; first == "" {
			first = fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
		}
	}
	text := "policy refused, the one in force stays: " + first
	if more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	err := connect.NewError(connect.CodeInvalidArgument, errors.New(text))
	if detail, detailErr := connect.NewErrorDetail(&admin.CheckPolicyResponse{Problems: problems}); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}
