package main

import (
	"fmt"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// resultsText tells of each expectation of a policy's tests, and then how many of them
// hold. What could not be judged is neither a pass nor a failure: who reads "passed"
// goes to bed.
func resultsText(all []*admin.TestResult) string {
	var b strings.Builder
	passed, failed, open, virtual := 0, 0, 0, 0
	for _, t := range all {
		mark := "pass"
		switch {
		case !t.Pass:
			mark = "FAIL"
			failed++
		case t.Message != "":
			mark = "none"
			if open++; strings.HasPrefix(t.Dst, "svc:") {
				virtual++
			}
		default:
			passed++
		}
		fmt.Fprintf(&b, "%s  line %d: %s%s %s %s%s", mark, t.Line, named(t.Name), visible(t.Src), t.Wanted, visible(t.Dst), decided(t.Rule))
		if t.Message != "" {
			fmt.Fprintf(&b, "  %s", visible(t.Message))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s passed", count(passed, "test"))
	if failed > 0 {
		fmt.Fprintf(&b, ", %d failed", failed)
	}
	if early := open - virtual; early > 0 {
		fmt.Fprintf(&b, ", %d not judged: no machine for them has joined yet", early)
	}
	if virtual > 0 {
		fmt.Fprintf(&b, ", %d not judged: there are no virtual services here", virtual)
	}
	b.WriteByte('\n')
	return b.String()
}

// named is a test's name before what it expects.
func named(name string) string {
	if name == "" {
		return ""
	}
	return visible(name) + ": "
}

// decided is the rule that decides, behind what was expected.
func decided(rule string) string {
	if rule == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", visible(rule))
}
