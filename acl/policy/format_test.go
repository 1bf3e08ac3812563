package policy_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

func TestFormatKeepsCommentsAndSense(t *testing.T) {
	src := "// why\n{\"acls\":[ // all of it\n{\"action\":\"accept\",\"src\":[\"*\"],\n\n\"dst\":[\"*:22\"] /* ssh */ }]}"
	want := "// why\n{\"acls\": [ // all of it\n\t{\n\t\t\"action\": \"accept\",\n\t\t\"src\":    [\"*\"],\n\n\t\t\"dst\": [\"*:22\"], /* ssh */\n\t},\n]}\n"
	got, err := policy.Format("p", []byte(src))
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestFormatRefusesWhatItCannotRead(t *testing.T) {
	for _, src := range []string{`{`, `{"acls": [], "acls": []}`, "\xff", `{"a": 1} trailing`} {
		if got, err := policy.Format("p", []byte(src)); err == nil || got != nil {
			t.Errorf("%q became %q", src, got)
		}
	}
}

// FuzzFormat: what was formatted is in canonical form, and means what it meant.
func FuzzFormat(f *testing.F) {
	f.Add([]byte("{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"] /* a */, \"dst\": [\"*:22\"],}, // b\n]}"))
	f.Add([]byte("/*a*/{/*b*/}//c"))
	f.Add([]byte("{\"grants\":[{\"id\":\"x\",\n\n\n\"src\":[\"a@h\"],\"dst\":[\"*\"],\"ip\":[\"22\"]}],\r\n//z\r\n}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		once, err := policy.Format("p", src)
		if err != nil {
			return
		}
		twice, err := policy.Format("p", once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v\nonce\n%q\ntwice\n%q", err, once, twice)
		}
		before, _, errBefore := policy.Parse("p", src)
		after, _, errAfter := policy.Parse("p", once)
		same := func(a, b policy.Rule) bool { return a.ID == b.ID && a.Text == b.Text }
		if (errBefore == nil) != (errAfter == nil) || !slices.EqualFunc(before.Rules(), after.Rules(), same) {
			t.Fatalf("%v, then %v\n%q\n%q", errBefore, errAfter, src, once)
		}
	})
}
