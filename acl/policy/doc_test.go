package policy_test

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/policy"
)

// TestEveryKeyHasAnExample: docs/POLICY.md shows each key of each kind of object in an
// example that loads. (acl/query runs them all.) A key is shown where another word in
// its place would be refused as a key of that object.
func TestEveryKeyHasAnExample(t *testing.T) {
	known := make(map[string]bool)
	for _, text := range examples(t) {
		for what, keys := range policy.Objects([]byte(text)) {
			for _, key := range keys {
				if shown := what + ": " + key; !known[shown] {
					known[shown] = false
				}
			}
		}
		for _, key := range regexp.MustCompile(`"(#?\w+)"\s*:`).FindAllStringSubmatchIndex(text, -1) {
			const nonsense = "qqqqqqqqqqqqqqqqqqqq"
			_, _, err := policy.Parse("p", []byte(text[:key[2]]+nonsense+text[key[3]:]))
			var all policy.Errors
			errors.As(err, &all)
			for _, e := range all {
				if what, ok := strings.CutPrefix(e.Why, "unknown key in "); ok && e.Text == nonsense {
					name := text[key[2]:key[3]]
					if name[0] == '#' { // one for all of them
						name = "#"
					}
					known[what+": "+name] = true
				}
			}
		}
	}
	for shown, is := range known {
		if !is {
			t.Errorf("docs/POLICY.md has no example of the key of %s", shown)
		}
	}
	if len(known) < 150 {
		t.Errorf("only %d keys are known: %v", len(known), known)
	}
}

// examples gives the policies of docs/POLICY.md that load.
func examples(t *testing.T) (all []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	base := ""
	for _, block := range regexp.MustCompile("(?ms)^```hujson ?(\\w*)\n(.*?)^```").FindAllStringSubmatch(string(page), -1) {
		switch text := block[2]; block[1] {
		case "refused":
		case "base":
			base = text
			all = append(all, text)
		case "part":
			all = append(all, joined(t, base, text))
		default:
			all = append(all, text)
		}
	}
	return all
}

// joined gives sections with those of the definitions that they do not have.
func joined(t *testing.T, base, part string) string {
	t.Helper()
	all := make(map[string]json.RawMessage)
	for _, text := range []string{base, "{" + part + "}"} {
		plain, err := hujson.Standardize([]byte(text))
		if err := errors.Join(err, json.Unmarshal(plain, &all)); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
