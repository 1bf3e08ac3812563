package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// maxExcludeSteps bounds how long conditions are held against each other for what is only
// a warning.
const maxExcludeSteps = 500_000

// excluded are the pairs of postures that were held against each other.
type excluded struct {
	by    map[[2]string]string // the attribute by which they exclude each other; or ""
	steps int
}

// excludes tells whether a condition leaves no value of its attribute with which another
// one holds. One that names no values leaves too many to try.
func (c *Condition) excludes(o *Condition) bool {
	switch c.Op {
	case "==", "IN":
		return !slices.ContainsFunc(c.Values, func(v any) bool { return o.Met(v, true) })
	case "NOT SET":
		return !o.Met(nil, false)
	}
	return false
}

// exclude gives the attribute because of which no device has two postures at once, as far
// as conditions tell; "" where one may. Of one and the same it is why nothing ever has it.
func (r *ruleReader) exclude(a, b string) string {
	pair := [2]string{min(a, b), max(a, b)}
	by, known := r.excluded.by[pair]
	if known {
		return by
	}
	for _, x := range r.names.postures[a].Conditions {
		for _, y := range r.names.postures[b].Conditions {
			if r.excluded.steps += 1 + len(x.Values) + len(y.Values); r.excluded.steps > maxExcludeSteps {
				return ""
			}
			if x.Attribute == y.Attribute && (x.excludes(&y) || y.excludes(&x)) {
				by = x.Attribute
			}
		}
	}
	if r.excluded.by == nil {
		r.excluded.by = make(map[[2]string]string)
	}
	r.excluded.by[pair] = by
	return by
}

// impossible warns of postures that no device ever has.
func (r *ruleReader) impossible() {
	all := slices.SortedFunc(maps.Values(r.names.postures), func(a, b Posture) int { return cmp.Or(a.Pos.compare(b.Pos), cmp.Compare(a.Name, b.Name)) })
	for _, p := range all {
		if by := r.exclude(p.Name, p.Name); by != "" {
			r.warnAt(p.Pos, p.Name, fmt.Sprintf("no device ever has it: two of its conditions about %s exclude each other, and all must hold; keep one of them, or write %s IN [...]", by, by))
		}
	}
}

// together warns of postures of which all are asked for and that no device has at once: in
// srcPosture one of a list is enough, and here it is not.
func (r *ruleReader) together(m member, postures []string) {
	for i, a := range postures {
		for _, b := range postures[:i] {
			if by := r.exclude(a, b); by != "" {
				r.warn(m.value.at, m.key, fmt.Sprintf("never holds: all of these must, and %s and %s exclude each other by %s; keep one of them, or let the rule name both under srcPosture, where one is enough", b, a, by))
				return
			}
		}
	}
}

// excludeAny gives two postures, one of each list, that exclude each other.
func (r *ruleReader) excludeAny(all, others []string) (a, b, by string) {
	for _, a = range all {
		for _, b = range others {
			if by = r.exclude(a, b); by != "" {
				return a, b, by
			}
		}
	}
	return "", "", ""
}
