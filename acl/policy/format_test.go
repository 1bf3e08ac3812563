package policy_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

func TestFormat(t *testing.T) {
	long := `"` + strings.Repeat("a", 50) + `@h.example"`
	for _, c := range []struct{ what, src, want string }{
		{"nothing", " { } ", "{}\n"},
		{"what is short stands on one line", "{\"hosts\":{\"a\":\"10.0.0.1\",\n\n\"b\":\"10.0.0.2\"}}", "{\n\t\"hosts\": {\"a\": \"10.0.0.1\", \"b\": \"10.0.0.2\"},\n}\n"},
		{"each rule begins a line", `{"grants":[{"src":["*"],"dst":[ ]}]}`, "{\n\t\"grants\": [\n\t\t{\"src\": [\"*\"], \"dst\": []},\n\t],\n}\n"},
		{"so does each definition", `{"schedules":{"a":{"tz":"UTC"}}}`, "{\n\t\"schedules\": {\n\t\t\"a\": {\"tz\": \"UTC\"},\n\t},\n}\n"},
		{"what is long stands on several", `{"groups":{"group:a":[` + long + "," + long + `]}}`, "{\n\t\"groups\": {\n\t\t\"group:a\": [\n\t\t\t" + long + ",\n\t\t\t" + long + ",\n\t\t],\n\t},\n}\n"},
		{"120 columns are not too long, a tab has four", `{"hosts":["` + strings.Repeat("é", 102) + `"]}`, "{\n\t\"hosts\": [\"" + strings.Repeat("é", 102) + "\"],\n}\n"},
		{"121 columns are", `{"hosts":["` + strings.Repeat("é", 103) + `"]}`, "{\n\t\"hosts\": [\n\t\t\"" + strings.Repeat("é", 103) + "\",\n\t],\n}\n"},
		{"120 columns of several parts", `{"hosts":{"a":[1,2],"b":["` + strings.Repeat("a", 82) + `"]}}`, "{\n\t\"hosts\": {\"a\": [1, 2], \"b\": [\"" + strings.Repeat("a", 82) + "\"]},\n}\n"},
		{"and 121", `{"hosts":{"a":[1,2],"b":["` + strings.Repeat("a", 83) + `"]}}`, "{\n\t\"hosts\": {\n\t\t\"a\": [1, 2],\n\t\t\"b\": [\"" + strings.Repeat("a", 83) + "\"],\n\t},\n}\n"},
		{"sections of several lines stand apart", `{"hosts":{},"groups":{},"tests":[{}],"acls":[]}`, "{\n\t\"hosts\": {},\n\t\"groups\": {},\n\n\t\"tests\": [\n\t\t{},\n\t],\n\n\t\"acls\": [],\n}\n"},
		{"comments stay where they are", "// why\n{\"acls\":[ // all of it\n{\"action\":\"accept\",\n\n\"dst\":[\"*:22\"] /* ssh */ }]\n// end\n} // last\n/* after */",
			"// why\n{\n\t\"acls\": [ // all of it\n\t\t{\n\t\t\t\"action\": \"accept\",\n\t\t\t\"dst\": [\"*:22\"], /* ssh */\n\t\t},\n\t],\n\t// end\n} // last\n/* after */\n"},
		{"behind the comma is behind what is before it", "{\"hosts\": {\"a\": \"::1\", // one\n\"b\": \"::2\" // two\n, /* of c */ \"c\": \"::3\"}}",
			"{\n\t\"hosts\": {\n\t\t\"a\": \"::1\", // one\n\t\t\"b\": \"::2\", // two\n\t\t/* of c */\n\t\t\"c\": \"::3\",\n\t},\n}\n"},
		{"comments within a member come before it", "{\"hosts\" /* a */ : // b\n// c\n {}}", "{\n\t/* a */\n\t// b\n\t// c\n\t\"hosts\": {},\n}\n"},
		{"and those of an empty list stay in it", "{\"acls\": [ // a\n/* b */ ]}", "{\n\t\"acls\": [ // a\n\t\t/* b */\n\t],\n}\n"},
		{"lines end as on Unix", "// a \t\r\n{/* b\r\n c */}", "// a\n{ /* b\n c */\n}\n"},
	} {
		if got, err := policy.Format("p", []byte(c.src)); err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.what, err, got, c.want)
		}
	}
}

func TestFormatRefusesWhatItCannotRead(t *testing.T) {
	for _, src := range []string{`{`, `{"acls": [], "acls": []}`, "\xff", `{"a": 1} trailing`} {
		if got, err := policy.Format("p", []byte(src)); err == nil || got != nil {
			t.Errorf("%q became %q", src, got)
		}
	}
}

// A file has one form, however it was laid out.
func TestFormatIsCanonical(t *testing.T) {
	for _, name := range []string{"testdata/hospital.hujson", "starter.hujson", "../../integration/demo/policy.hujson"} {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(100) {
			isCanonical(t, src, seed)
		}
	}
}

// FuzzFormat: what was formatted is in canonical form, means what it meant, and has the
// comments that it had.
func FuzzFormat(f *testing.F) {
	f.Add([]byte("{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"] /* a */, \"dst\": [\"*:22\"],}, // b\n]}"), uint64(1))
	f.Add([]byte("/*a*/{/*b*/}//c\n"), uint64(2))
	f.Add([]byte("{\"grants\":[{\"id\":\"x\",\n\n\n\"src\":[\"a@h\"],\"dst\":[\"*\"],\"ip\":[\"22\"]}],\r\n//z\r\n}"), uint64(3))
	f.Add([]byte("{\"a\" /*1*/ : /*2*/ [ /*3*/\n/*4*/ 1 /*5*/ , /*6*/\n , ] //7\n ,/*8*/ \"b\":{}}"), uint64(4))
	f.Fuzz(func(t *testing.T, src []byte, seed uint64) {
		once, err := policy.Format("p", src)
		if err != nil {
			return
		}
		isCanonical(t, src, seed)
		before, _, errBefore := policy.Parse("p", src)
		after, _, errAfter := policy.Parse("p", once)
		same := func(a, b policy.Rule) bool { return a.ID == b.ID && a.Text == b.Text }
		if (errBefore == nil) != (errAfter == nil) || !slices.EqualFunc(before.Rules(), after.Rules(), same) {
			t.Fatalf("%v, then %v\n%q\n%q", errBefore, errAfter, src, once)
		}
	})
}

// isCanonical checks that a file's form is that of the form itself and of the file laid
// out in another way, with the same words and comments.
func isCanonical(t *testing.T, src []byte, seed uint64) {
	t.Helper()
	once, err := policy.Format("p", src)
	if err != nil {
		t.Fatal(err)
	}
	other := scrambled(tokens(string(src)), rand.New(rand.NewPCG(seed, 0)))
	for what, text := range map[string][]byte{"the form": once, "another layout": []byte(other)} {
		again, err := policy.Format("p", text)
		if err != nil || !bytes.Equal(once, again) {
			t.Fatalf("%v: the file\n%q\nhas the form\n%q\nand %s,\n%q\nhas\n%q", err, src, once, what, text, again)
		}
	}
	if was, is := said(tokens(string(src))), said(tokens(string(once))); !slices.Equal(was, is) {
		t.Fatalf("formatting %q\nto %q\nmakes %q\nof %q", src, once, is, was)
	}
}

// token is a word, a bracket or a comment, and whether a line ends between it and what
// is before that is no comma and no comment.
type token struct {
	text  string
	below bool
}

func (t token) isComment() bool {
	return strings.HasPrefix(t.text, "//") || strings.HasPrefix(t.text, "/*")
}

// tokens cuts a file that can be read, by a pattern: a reading of its own.
func tokens(src string) (all []token) {
	below := false
	for _, text := range regexp.MustCompile(`(?s)//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|[][{}:,]|\n|[^][{}:,\s/"]+`).FindAllString(src, -1) {
		switch one := (token{text, below}); {
		case text == "\n":
			below = true
		case one.isComment() || text == "," || text == ":":
			all = append(all, one)
		default:
			all = append(all, one)
			below = false
		}
		if text == ":" {
			below = false
		}
	}
	return all
}

// scrambled lays tokens out at random. What it keeps is whether a comment is on the line
// of what is before.
func scrambled(all []token, random *rand.Rand) string {
	var b strings.Builder
	blanks := func(one token, newline bool) {
		for range random.IntN(3) {
			b.WriteByte(" \t\r"[random.IntN(3)])
		}
		if newline && (!one.isComment() || one.below) && random.IntN(2) == 0 {
			b.WriteByte('\n')
		}
	}
	newline := false // is there one since what is before
	for i, one := range all {
		if one.text == "," && random.IntN(2) == 0 && closes(all[i+1:]) {
			continue
		}
		if one.isComment() && one.below && !newline {
			b.WriteByte('\n')
			newline = true
		}
		// A line may end anywhere that no comment of this line follows.
		blanks(one, newline || one.below || !besideFollows(all[i:]))
		b.WriteString(one.text)
		if strings.HasPrefix(one.text, "//") {
			b.WriteByte('\n')
			newline = true
		}
		if !one.isComment() && one.text != "," {
			newline = false
		}
	}
	return b.String() + "\n"
}

// besideFollows tells whether, before the next word, a comment stands on the line of
// what is before.
func besideFollows(rest []token) bool {
	for _, one := range rest {
		switch {
		case one.isComment():
			if !one.below {
				return true
			}
		case one.text != ",":
			return false
		}
	}
	return false
}

// closes tells whether the next word is a bracket that closes.
func closes(rest []token) bool {
	for _, one := range rest {
		if !one.isComment() {
			return one.text == "]" || one.text == "}"
		}
	}
	return false
}

// said gives the words of a file in their order, then its comments sorted: one may move
// out of a member, before it.
func said(all []token) []string {
	var words, comments []string
	for i, one := range all {
		switch {
		case one.isComment():
			text := strings.ReplaceAll(one.text, "\r\n", "\n")
			comments = append(comments, strings.TrimRight(text, " \t\r"))
		case one.text != "," || !closes(all[i+1:]):
			words = append(words, one.text)
		}
	}
	slices.Sort(comments)
	return append(words, comments...)
}
