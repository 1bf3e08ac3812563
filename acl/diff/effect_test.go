package diff_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/acl/policy"
)

// without are the keys of the hospital's policy that have no effect on packets, nor on
// who may decide or give what.
var without = regexp.MustCompile(`/(tests|owner|class|impact)(/|$)`)

// edit is one value of a policy in another's place; an empty text is the value gone.
type edit struct {
	path       string
	start, end int
	texts      []string
}

// edits gives for each value of a policy what could stand there instead.
func edits(t *testing.T, text []byte) []edit {
	v, err := hujson.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var all []edit
	words := make(map[string]bool)
	var walk func(path string, v *hujson.Value)
	walk = func(path string, v *hujson.Value) {
		switch one := v.Value.(type) {
		case *hujson.Object:
			for i := range one.Members {
				walk(path+"/"+one.Members[i].Name.Value.(hujson.Literal).String(), &one.Members[i].Value)
			}
		case *hujson.Array:
			for i := range one.Elements {
				walk(path+"/"+strconv.Itoa(i), &one.Elements[i])
			}
		case hujson.Literal:
			all = append(all, edit{path, v.StartOffset, v.EndOffset, nil})
			words[string(one)] = true
		}
	}
	walk("", &v)
	sorted := make([]string, 0, len(words))
	for w := range words {
		sorted = append(sorted, w)
	}
	slices.Sort(sorted)
	for i := range all {
		all[i].texts = instead(string(text[all[i].start:all[i].end]), sorted)
	}
	return all
}

var figure = regexp.MustCompile(`\d+`)

// instead gives other values: another number, flag, figure in a text, or word of the
// same kind.
func instead(old string, words []string) []string {
	if old == "true" || old == "false" {
		return []string{map[string]string{"true": "false", "false": "true"}[old]}
	}
	var all []string
	if at := figure.FindStringIndex(old); at != nil {
		n, _ := strconv.Atoi(old[at[0]:at[1]])
		for _, other := range []int{n - 1, n + 1} {
			if other > 0 {
				all = append(all, old[:at[0]]+strconv.Itoa(other)+old[at[1]:])
			}
		}
	}
	kind, _, found := strings.Cut(old, ":")
	for i := slices.Index(words, old) + 1; i > 0 && i < len(words) && found && strings.HasPrefix(words[i], kind+":"); i++ {
		return append(all, words[i])
	}
	for i := slices.Index(words, old) - 1; i >= 0 && found && strings.HasPrefix(words[i], kind+":"); {
		return append(all, words[i])
	}
	return append(all, strings.TrimSuffix(old, `"`)+`x"`)
}

// imagined compares over made-up nodes; of rules for which there are none it says so.
func imagined(t testing.TB, a, b *policy.Policy) diff.Diff {
	t.Helper()
	nodes, ranges, err := diff.Imagine(a, b)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	var meshes []*compile.Mesh
	for _, pol := range []*policy.Policy{a, b} {
		m := compile.New(pol, ranges)
		m.Advance(now)
		m.Load(nodes)
		if unseen := diff.Unseen(m); len(unseen) > 0 {
			return diff.Diff{Changed: []diff.Change{{Text: "nothing is made up for " + strings.Join(unseen, ", ")}}}
		}
		meshes = append(meshes, m)
	}
	return diff.Options{Imagined: true}.Meshes(meshes[0], meshes[1])
}

// Whatever value of a hospital's policy is another, the diff says so, but for those that
// have no effect. A run takes its share of all edits; with CORDON_EFFECT=all it takes all.
func TestEveryValueHasAnEffect(t *testing.T) {
	text, err := os.ReadFile("../policy/testdata/hospital.hujson")
	if err != nil {
		t.Fatal(err)
	}
	was := parse(t, string(text))
	if d := imagined(t, was, was); !d.Empty() {
		t.Fatalf("the same policy is told as\n%s", told(d))
	}
	all, tried := edits(t, text), 0
	share, first := 80, int(time.Now().Unix()%80)
	if os.Getenv("CORDON_EFFECT") == "all" {
		share, first = 1, 0
	}
	for i := first; i < len(all); i += share {
		e := all[i]
		if strings.HasSuffix(e.path, "/id") && strings.HasPrefix(e.path, "/grants/") {
			continue // of a rule that waits for approval it counts: that is given to an id
		}
		for _, one := range e.texts {
			edited := string(text[:e.start]) + one + string(text[e.end:])
			is, _, err := policy.Parse("p", []byte(edited))
			if err != nil {
				continue
			}
			tried++
			if d := imagined(t, was, is); d.Empty() != without.MatchString(e.path) {
				t.Errorf("%s: %s instead of %s: told is\n%s", e.path, one, text[e.start:e.end], told(d))
			}
			break
		}
	}
	t.Logf("%d of %d values", tried, len(all))
}

// Of each rule something can be seen where nobody is: who is in a segment, sits at a shared
// device or is in a group elsewhere is made up, too.
func TestMadeUp(t *testing.T) {
	const text = `{
		"groups": {"group:n": ["scim:Nurses"], "group:empty": []},
		"tagOwners": {"tag:ehr": [], "tag:ws": [], "tag:pacs": [], "tag:gw": []},
		"assets": [{"tag": "tag:pump", "behind": "tag:gw", "match": {"vlan": 220}, "bind": "mac"}],
		"segments": {"seg:ehr": {"members": ["tag:ehr"], "class": "phi", "impact": "clinical", "owner": "group:n"}},
		"grants": [
			{"id": "a", "src": ["group:n"], "dst": ["seg:ehr"], "ip": ["tcp:443"]},
			{"id": "b", "src": ["group:n"], "srcDevice": ["tag:ws"], "dst": ["tag:pacs"], "ip": ["tcp:443"]},
			{"id": "c", "src": ["tag:ehr"], "dst": ["tag:pump"], "ip": ["tcp:443"], "via": ["tag:gw"]},
			{"id": "d", "src": ["tag:pacs"], "dst": ["tag:pacs"], "ip": ["tcp:443"]},
			{"id": "e", "src": ["group:empty"], "dst": ["tag:pacs"], "ip": ["tcp:443"]},
		],
		"forbid": [{"id": "f", "src": ["seg:ehr"], "dst": ["autogroup:internet"]}],
	}`
	for _, c := range []struct{ was, is, want string }{
		{`"seg:ehr"], "ip": ["tcp:443"]`, `"seg:ehr"], "ip": ["tcp:22"]`, "+ people in group:n gain tcp/22 at nodes with tag:ehr\n- people in group:n lose tcp/443 at nodes with tag:ehr\n"},
		{`"srcDevice": ["tag:ws"]`, `"srcDevice": ["tag:ws", "tag:gw"]`, "+ nodes with tag:gw gain tcp/443 with person:group:n at nodes with tag:pacs\n"},
		{`"tag:pump"], "ip": ["tcp:443"]`, `"tag:pump"], "ip": ["tcp:22"]`, "…tcp/22"},
		{`"tag:pacs"], "dst": ["tag:pacs"], "ip": ["tcp:443"]`, `"tag:pacs"], "dst": ["tag:pacs"], "ip": ["tcp:22"]`, "…tcp/22"},
		{`{"id": "f", "src": ["seg:ehr"], "dst": ["autogroup:internet"]}`, ``, "…(gone)"},
		{`"dst": ["tag:pump"]`, `"dst": ["tag:ehr"]`, "~ nothing is made up for rule c\n"},
	} {
		got := told(imagined(t, parse(t, text), parse(t, strings.Replace(text, c.was, c.is, 1))))
		part, isPart := strings.CutPrefix(c.want, "…")
		if !strings.Contains(text, c.was) || isPart && !strings.Contains(got, part) || !isPart && got != c.want {
			t.Errorf("%s: told is\n%swant\n%s", c.is, got, c.want)
		}
	}
}
