package policy_test

import (
	"fmt"
	"strings"
)

// many writes unit n times, each with its number if it has a place for it.
func many(n int, unit string) string {
	if !strings.Contains(unit, "%") {
		return strings.Repeat(unit, n)
	}
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, unit, i)
	}
	return b.String()
}
