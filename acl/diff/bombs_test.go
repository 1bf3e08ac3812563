// A diff is one goroutine, and the race detector costs ten times the memory.
//go:build !race

package diff_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/acl/policy"
)

// many is n entries of a list.
func many(n int, entry string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, strings.ReplaceAll(entry, "#", "%[1]d")+",", i)
	}
	return b.String()
}

// A few megabytes may ask for gigabytes of words: each of thousands of attributes at a
// list of thousands, each of thousands of capabilities of somebody with a name of a
// megabyte. A coordinator that tells what an edit does takes a bounded amount of memory.
func TestWordsAreBounded_A47(t *testing.T) {
	long := strings.Repeat("a", 900)
	for name, c := range map[string]struct {
		sections string
		lines    int
	}{
		"attributes of many": {`"nodeAttrs": [{"target": [` + many(2_000, `"`+long+`#@h"`) + `], "attr": [` + many(2_000, `"x#"`) + `]}]`, 2_000},
		"long attributes":    {`"nodeAttrs": [` + many(4_000, `{"target": ["p@h"], "attr": ["`+long+`#"]}`) + `]`, 4_000},
		"attributes":         {`"nodeAttrs": [{"target": ["p@h"], "attr": [` + many(60_000, `"x#"`) + `]}]`, 10_001},
		"capabilities":       {`"grants": [{"src": ["` + strings.Repeat(long, 2_000) + `@h"], "dst": ["*"], "app": {` + many(9_000, `"a/b#": []`) + `}}]`, 9_000},
		"values":             {`"grants": [{"src": ["p@h"], "dst": ["*"], "app": {` + many(30, `"a/b#": ["`+long+long+`"]`) + `}}]`, 30},
		"ssh":                {`"ssh": [{"action": "accept", "src": [` + many(3_000, `"`+long+`#@h"`) + `], "dst": ["autogroup:self"], "users": ["u"]}]`, 1},
	} {
		was, is := mesh(parse(t, `{"groups": {}}`), nil), mesh(parse(t, `{`+c.sections+`}`), nil)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := diff.Meshes(was, is)
		runtime.ReadMemStats(&after)
		if n := len(d.Gained) + len(d.Changed); n != c.lines || len(d.Lost) > 0 {
			t.Errorf("%s: %d lines", name, n)
		}
		for _, change := range append(d.Gained, d.Changed...) {
			if len(change.Text) > 2_000 {
				t.Fatalf("%s: a line of %d bytes", name, len(change.Text))
			}
		}
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 100 {
			t.Errorf("%s: %d MB", name, took)
		}
	}
}

// What is cut off a long line still counts.
func TestWhatIsCutOffCounts(t *testing.T) {
	text := `{"nodeAttrs": [{"target": [` + many(200, `"p#@h"`) + `], "attr": ["x"]}]}`
	other := strings.Replace(text, "p199@h", "q199@h", 1)
	d := diff.Meshes(mesh(parse(t, text), nil), mesh(parse(t, other), nil))
	if len(d.Changed) != 2 || d.Changed[0].Text == d.Changed[1].Text {
		t.Error(told(d))
	}
}

// Of a long list is told what differs, and how much does not.
func TestOfLongListsDiffersWhatIsTold(t *testing.T) {
	owners := func(list string) string { return `{"tagOwners": {"tag:ct": [` + list + `]}}` }
	common := many(30, `"p#@h"`)
	for _, c := range []struct{ was, is, want string }{
		{common, common + `"zed@h"`, "+ tag:ct may be put on nodes by zed@h besides 30 as before\n"},
		{common + `"zed@h"`, common, "- tag:ct may be put on nodes by 30 as before without zed@h\n"},
		{common + `"yan@h"`, common + `"abe@h"`, "~ tag:ct may be put on nodes by 30 as before and abe@h instead of yan@h\n"},
		{common, common + many(300, `"q#@h"`), "others besides 30 as before\n"},
		{`"a@h", "b@h", "c@h"`, `"a@h", "b@h", "c@h", "d@h"`, "+ tag:ct may be put on nodes by a@h, b@h, c@h and d@h instead of a@h, b@h and c@h\n"},
		{``, many(30, `"p#@h"`), "and 10 others instead of nothing\n"},
	} {
		d := diff.Meshes(mesh(parse(t, owners(c.was)), nil), mesh(parse(t, owners(c.is)), nil))
		if got := told(d); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// Which of two schedules is wider is looked up in the course of a year. Where thousands of
// hours change at once nobody can tell, and that is said of the rest.
func TestManySchedulesAreNotCompared_A47(t *testing.T) {
	file := func(last string) string {
		spans := ""
		for hour := range 24 {
			for _, day := range []string{"Mon", "Tue", "Wed", "Thu", "Fri"} {
				spans += fmt.Sprintf(`"%s %02d:00-%02d:30",`, day, hour, hour)
			}
		}
		return `{"schedules": {` + many(100, `"s#": {"tz": "UTC", "weekly": [`+spans+`"Sat 07:00-`+last+`"]}`) + `}, "grants": [` +
			many(100, `{"id": "r#", "src": ["p@h"], "dst": ["p@h"], "ip": ["1"], "when": {"schedule": "s#"}}`) + `]}`
	}
	d := diff.Meshes(mesh(parse(t, file("08:00")), nil), mesh(parse(t, file("09:00")), nil))
	if len(d.Gained) != 31 || len(d.Changed) != 69 || len(d.Lost) != 0 {
		t.Errorf("%d wider, %d of which nobody can tell, %d narrower", len(d.Gained), len(d.Changed), len(d.Lost))
	}
}

// Who names a hundred thousand people is told so before anybody is made up: whoever waits
// for an answer at night has one, and learns where to ask.
func TestNoCrowdIsMadeUp_A47(t *testing.T) {
	file := func(people int) *policy.Policy {
		return parse(t, `{"groups": {"group:all": [`+many(people, `"p#@h"`)+`]}, "tagOwners": {"tag:ct": []}, "hosts": {"lab": "10.1.2.3"},
			"grants": [{"src": ["group:all"], "dst": ["tag:ct", "lab"], "ip": ["1"]}]}`)
	}
	few, crowd := file(12_000), file(99_000)
	if nodes, _, err := diff.Imagine(few, few); err != nil || len(nodes) != 24_003 {
		t.Errorf("of 12,000 people, a tag and an address, %d machines: %v", len(nodes), err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	nodes, _, err := diff.Imagine(few, crowd)
	runtime.ReadMemStats(&after)
	var crowded *diff.Crowded
	if !errors.As(err, &crowded) || crowded.Machines != 198_003 || nodes != nil {
		t.Errorf("%d machines and %v", len(nodes), err)
	}
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 50 {
		t.Errorf("%d MB to tell so", took)
	}
}

// A few rules may have each of thousands differ to each in another way. That is not told
// line by line, nor by half, and it is no silence.
func TestTooManyWaysAreNotTold_A47(t *testing.T) {
	const tags = 800
	r := rand.New(rand.NewPCG(1, 1))
	half := func() string {
		var all []string
		for i := range tags {
			if r.IntN(2) == 0 {
				all = append(all, fmt.Sprintf(`"tag:t%d"`, i))
			}
		}
		return strings.Join(all, ",")
	}
	owners := `{"groups": {}, "tagOwners": {` + many(tags, `"tag:t#": []`)
	rules := ""
	for i := range 16 {
		rules += fmt.Sprintf(`{"src": [%s], "dst": [%s], "ip": ["tcp:%d"]},`, half(), half(), 1+i)
	}
	was, is := parse(t, owners+`}}`), parse(t, strings.Replace(owners, `"tag:t0": []`, `"tag:t0": ["p@h"]`, 1)+`}, "grants": [`+rules+`]}`)
	nodes, _, err := diff.Imagine(was, is)
	if err != nil {
		t.Fatal(err)
	}
	before, after := mesh(was, nodes), mesh(is, nodes)
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	d := diff.Options{Imagined: true}.Meshes(before, after)
	runtime.ReadMemStats(&end)
	const want = "~ between nodes too much changes in too many ways to be told (more than 200 million steps of work): nobody is told here who gains or loses reach; make the edit in steps, or use groups and tags, and compare each\n"
	if got := told(d); !d.Untold || d.Empty() || got != "+ tag:t0 may be put on nodes by p@h instead of nothing\n"+want {
		t.Errorf("%t %.2000s", d.Untold, got)
	}
	if took := (end.TotalAlloc - start.TotalAlloc) >> 20; took > 700 { // it came to gigabytes
		t.Errorf("%d MB", took)
	}
	if d := (diff.Options{Imagined: true}).Meshes(before, mesh(parse(t, owners+`}, "grants": [`+rules[:strings.Index(rules, "},")+1]+`]}`), nodes)); d.Untold || len(d.Gained) != 1 {
		t.Errorf("of one such rule is told %.2000s", told(d))
	}
}
