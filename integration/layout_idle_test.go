package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestLayoutArrowsAreInUse: every row is of packages that there are, and every arrow
// is one that somebody needs. What is permitted and not needed is a door that stands
// open, and a table that tells of packages to come is no longer read.
func TestLayoutArrowsAreInUse(t *testing.T) {
	all := tree(t)
	report(t, slices.Concat(idleArrows(arrows(), all), idleOutside(outside(), all)))
}

// uses is what the packages of one row import of ours.
type uses struct{ code, tests []string }

// idleArrows says what of a table nobody needs.
func idleArrows(table map[string]row, all []*source) (problems []string) {
	used := map[string]*uses{}
	for _, s := range all {
		name, ok := rowOf(table, s.pkg)
		if !ok {
			continue // TestLayoutPackages says so
		}
		u := used[name]
		if u == nil {
			u = new(uses)
			used[name] = u
		}
		for _, p := range s.imports() {
			ours, isOurs := strings.CutPrefix(p, module+"/")
			switch {
			case !isOurs || ours == s.pkg:
			case s.test:
				u.tests = append(u.tests, ours)
			default:
				u.code = append(u.code, ours)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		u := used[name]
		if u == nil {
			problems = append(problems, fmt.Sprintf("integration/layout_arrows_test.go has a row %s, and there is no such package", name))
			continue
		}
		r := table[name]
		for _, p := range r.may {
			if !slices.ContainsFunc(u.code, func(ours string) bool { return covers([]string{p}, ours) }) {
				problems = append(problems, fmt.Sprintf("integration/layout_arrows_test.go lets %s import %s, which it does not, or only in tests", name, p))
			}
		}
		for _, p := range r.tests {
			if !slices.ContainsFunc(u.tests, func(ours string) bool { return covers([]string{p}, ours) }) {
				problems = append(problems, fmt.Sprintf("integration/layout_arrows_test.go lets the tests of %s import %s, which they do not", name, p))
			}
		}
	}
	return problems
}

// idleOutside says who in a table may import something of others and does not.
func idleOutside(table map[string]row, all []*source) (problems []string) {
	importing := func(prefix, who string, test bool) bool {
		return slices.ContainsFunc(all, func(s *source) bool {
			return s.test == test && covers([]string{who}, s.pkg) &&
				slices.ContainsFunc(s.imports(), func(p string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") })
		})
	}
	for _, prefix := range slices.Sorted(maps.Keys(table)) {
		for _, who := range table[prefix].may {
			if !importing(prefix, who, false) && !importing(prefix, who, true) {
				problems = append(problems, fmt.Sprintf("integration/layout_arrows_test.go lets %s import %s, which it does not", who, prefix))
			}
		}
		for _, who := range table[prefix].tests {
			if !importing(prefix, who, true) {
				problems = append(problems, fmt.Sprintf("integration/layout_arrows_test.go lets the tests of %s import %s, which they do not", who, prefix))
			}
		}
	}
	return problems
}

// What nobody needs is told, row by row, and what somebody needs is not.
func TestLayoutCatchesIdleArrows(t *testing.T) {
	var all []*source
	for name, text := range map[string]string{
		"a/a.go":      `import _ "` + module + `/b"`,
		"a/a_test.go": `import _ "` + module + `/d/e"`,
		"b/b.go":      `import _ "fmt"`,
		"c/x/x.go":    `import _ "example.org/far/away"`,
	} {
		s, err := parse(name, []byte("package x\n\n"+text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	table := map[string]row{
		"a":     {may: may("b", "b/...", "c", "d/e"), tests: may("d/...", "b")},
		"b":     {may: may("c/...")},
		"c/...": {},
		"d":     {},
	}
	far := map[string]row{"example.org/far": {may: may("c/...", "b"), tests: may("c/...")}, "example.org/fa": {may: may("c/...")}}
	got := slices.Sorted(slices.Values(slices.Concat(idleArrows(table, all), idleOutside(far, all))))
	const at = "integration/layout_arrows_test.go "
	want := slices.Sorted(slices.Values([]string{
		at + "lets a import c, which it does not, or only in tests",
		at + "lets a import d/e, which it does not, or only in tests",
		at + "lets the tests of a import b, which they do not",
		at + "lets b import c/..., which it does not, or only in tests",
		at + "has a row d, and there is no such package",
		at + "lets b import example.org/far, which it does not",
		at + "lets the tests of c/... import example.org/far, which they do not",
		at + "lets c/... import example.org/fa, which it does not",
	}))
	if !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
