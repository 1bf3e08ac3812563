package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func checkPolicy(c *cli.Context) error {
	_, text, name, err := policyArgument(c)
	if err != nil {
		return err
	}
	_, problems, err := parsePolicy(name, text)
	out := &admin.CheckPolicyResponse{Ok: err == nil, Problems: problems}
	if usage.WantsJSON(c) {
		if jsonErr := printJSON(out); jsonErr != nil {
			return jsonErr
		}
	} else {
		printProblems(out.Problems, text)
	}
	if err != nil {
		return err
	}
	if !usage.WantsJSON(c) {
		fmt.Printf("%s is a valid policy\n", name)
	}
	return nil
}

// parsePolicy reads a policy here, without its tests. An error tells how many
// problems there are; the problems, warnings among them, tell which.
func parsePolicy(name, text string) (*policy.Policy, []*admin.Problem, error) {
	pol, warnings, err := policy.Parse(name, []byte(text))
	var problems []*admin.Problem
	for _, w := range warnings {
		problems = append(problems, &admin.Problem{File: w.Pos.File, Line: uint32(w.Pos.Line), Column: uint32(w.Pos.Column), Text: w.Text, Message: w.Why, Warning: true})
	}
	var all policy.Errors
	if errors.As(err, &all) {
		problems = append(problems, problemsOf(all)...)
	}
	if err != nil {
		return nil, problems, fmt.Errorf("%s would be refused: %s", name, count(max(1, len(all)), "problem"))
	}
	return pol, problems, nil
}

func problemsOf(all policy.Errors) []*admin.Problem {
	var problems []*admin.Problem
	for _, e := range all {
		problems = append(problems, &admin.Problem{File: e.Pos.File, Line: uint32(e.Pos.Line), Column: uint32(e.Pos.Column), Text: e.Text, Message: e.Why, Hint: e.Fix})
	}
	return problems
}
