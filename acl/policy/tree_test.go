package policy_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/policy"
)

// FuzzTree has two parsers read one text: that of policies takes what the one takes
// that says what is wrong with others, and sees the same in it.
func FuzzTree(f *testing.F) {
	for _, text := range []string{
		`1`, `-0.5e+7`, `-`, `01`, `1.`, `.5`, `1e`, `1e+`, `1e+-5`, `1E-05`, `+1`, `0x1`, `truefalse`, `nul`, `null`, `NaN`, `true`,
		`"a"`, `"a\"`, `"\u00e4\ud800\n\/"`, `"\u12g4"`, `"\x"`, `"\u12`, "\"a\tb\"", "\"\x7f\"", `'a'`, `"`, `"ä"`, "\"\xff\"",
		`[]`, `[,]`, `[1,]`, `[1,,2]`, `[1 2]`, `[1}`, `[`, `]`, `{}`, `{,}`, `{"a":1,}`, `{"a":1,,}`, `{"a" 1}`, `{"a":}`, `{1:2}`, `{"a":[1,{"b":null}],"c":{}}`, `{"a":1]`, `{"a"`,
		`/* a */ [1 /* b */ , /**/ 2 // c` + "\n" + `, ] /***/`, `/*/`, `/* `, `// a`, "// a\n1", "1 // a\u2028\n", "/* \u2028 */ 1", `/ 1`, `1 /`, `[1/]`, "\v1", "1\u00a0", "\x00", "1 // \x00\n", `1 2`, ``,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		src := []byte(`{"grants": [{"src": ["*"], "dst": ["*"], "app": {"h.example/x": [` + text + `]}}]}`)
		p, _, err := policy.Parse("f", src)
		said := ""
		if err != nil {
			said = err.Error()
		}
		if strings.Contains(said, "nested deeper") || strings.Contains(said, "in one file") || !utf8.ValidString(text) {
			return // refused before it is parsed
		}
		_, other := hujson.Parse(src)
		if (other != nil) != strings.Contains(said, ": not HuJSON: ") || strings.Contains(said, "cannot be read") {
			t.Fatalf("%q: %v, and the other parser says %v", text, err, other)
		}
		want, other := hujson.Minimize([]byte(text))
		if err != nil || other != nil {
			return
		}
		if got := p.Rules()[0].Parts[0].App[0].Values; len(got) != 1 || got[0] != string(want) {
			t.Fatalf("%q is read as %q, want %q", text, got, want)
		}
	})
}
