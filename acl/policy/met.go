package policy

import (
	"cmp"
	"slices"
	"strings"
)

// Met tells whether a login is as wanted but for its age.
func (m *MFA) Met(amr []string, acr string) bool {
	one := func(method string) bool { return slices.Contains(m.AMR, method) }
	return (len(m.AMR) == 0 || slices.ContainsFunc(amr, one)) && (m.ACR == "" || m.ACR == acr)
}

// Met tells whether a condition holds of a value: a string, a float64 or a bool.
// Of a value that is not known nothing holds but that it is not set. Values of
// different types are unequal, and neither is more.
func (c *Condition) Met(value any, known bool) bool {
	switch {
	case c.Op == "NOT SET":
		return !known
	case !known:
		return false
	}
	switch c.Op {
	case "IS SET":
		return true
	case "==", "IN":
		return slices.Contains(c.Values, value)
	case "!=", "NOT IN":
		return !slices.Contains(c.Values, value)
	}
	order, ok := compareValues(value, c.Values[0])
	switch c.Op {
	case "<":
		return ok && order < 0
	case "<=":
		return ok && order <= 0
	case ">":
		return ok && order > 0
	case ">=":
		return ok && order >= 0
	}
	return false
}

// compareValues compares numbers with numbers, and texts with texts as versions
// are compared: number by number, so that 1.10 is more than 1.9.
func compareValues(a, b any) (order int, ok bool) {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return cmp.Compare(x, y), ok
	case string:
		y, ok := b.(string)
		return compareVersions(x, y), ok
	}
	return 0, false
}

func compareVersions(a, b string) int {
	for a != "" && b != "" {
		x, y := a[:digitRun(a)], b[:digitRun(b)]
		if x != "" && y != "" {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if order := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); order != 0 {
				return order
			}
			a, b = a[digitRun(a):], b[digitRun(b):]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digitRun(s string) int { return len(s) - len(strings.TrimLeft(s, digits)) }
