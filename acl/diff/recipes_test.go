package diff_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/acl/policy"
)

// TestRecipes: what docs/POLICY.md says that a recipe opens is all that it opens, over
// made-up nodes.
func TestRecipes(t *testing.T) {
	page, err := os.ReadFile("../../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipes, _ := strings.Cut(string(page), "\n## 15. Recipes\n")
	all := regexp.MustCompile("(?s)```hujson\n(.*?)```\n\n```diff\n(.*?)```").FindAllStringSubmatch(recipes, -1)
	if count := strings.Count(recipes, "```hujson"); count < 7 || len(all) != count {
		t.Errorf("of %d recipes %d say what they open", count, len(all))
	}
	for _, one := range all {
		if got := opened(t, one[1]); got != one[2] {
			t.Errorf("%s\nopens\n%s\nand the page says\n%s", one[1], got, one[2])
		}
	}
}

// opened gives the difference that a policy makes where nothing was open.
func opened(t *testing.T, text string) string {
	t.Helper()
	was, is := parsed(t, "{}"), parsed(t, text)
	nodes, ranges, err := diff.Imagine(was, is)
	if err != nil {
		t.Fatal(err)
	}
	var meshes []*compile.Mesh
	for _, pol := range []*policy.Policy{was, is} {
		m := compile.New(pol, ranges)
		m.Advance(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
		m.Load(nodes)
		if unseen := diff.Unseen(m); len(unseen) > 0 {
			t.Errorf("nobody can be made up for %v", unseen)
		}
		meshes = append(meshes, m)
	}
	d := diff.Options{Imagined: true}.Meshes(meshes[0], meshes[1])
	var lines strings.Builder
	for _, side := range []struct {
		mark string
		all  []diff.Change
	}{{"+ ", d.Gained}, {"- ", d.Lost}, {"~ ", d.Changed}} {
		for _, c := range side.all {
			lines.WriteString(side.mark + c.Text + "\n")
		}
	}
	return lines.String()
}

func parsed(t *testing.T, text string) *policy.Policy {
	t.Helper()
	pol, _, err := policy.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return pol
}
