package policy_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cordonmesh/cordon/acl/policy"
)

// mistake is what a line of testdata/mistakes.hujson says of itself: where the
// mistake stands, and what must be said of it.
type mistake struct {
	line     int
	at, says string
}

// mistakes reads lines that end in "// BAD text => words", once for each mistake.
func mistakes(source string) (all []mistake) {
	note := regexp.MustCompile(` BAD (\S+) => ([^/]+)`)
	for i, line := range strings.Split(source, "\n") {
		for _, m := range note.FindAllStringSubmatch(line, -1) {
			all = append(all, mistake{i + 1, m[1], strings.TrimSpace(m[2])})
		}
	}
	return all
}

// place gives how far a text stands in a line, in characters from 1, or 0.
func place(line, text string) int {
	line, _, _ = strings.Cut(line, " // BAD")
	if i := strings.Index(line, text); i >= 0 {
		return utf8.RuneCountInString(line[:i]) + 1
	}
	return 0
}

// All that is wrong with a file is told in one run, each thing where it stands, and
// nothing that is not wrong: no mistake hides another, and none is told for another.
func TestEveryMistakeAtOnce(t *testing.T) {
	text, err := os.ReadFile("testdata/mistakes.hujson")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = policy.Parse("mistakes.hujson", text)
	var told policy.Errors
	if !errors.As(err, &told) {
		t.Fatal(err)
	}
	lines, want := strings.Split(string(text), "\n"), mistakes(string(text))
	if len(want) < 30 {
		t.Fatalf("%d mistakes are no test", len(want))
	}
	left := append(policy.Errors(nil), told...)
	for _, w := range want {
		column, found := place(lines[w.line-1], w.at), false
		for i, e := range left {
			if e.Pos.Line == w.line && e.Pos.Column == column && strings.Contains(e.Error(), w.says) {
				left, found = append(left[:i:i], left[i+1:]...), true
				break
			}
		}
		if !found {
			t.Errorf("line %d, column %d: nobody says %q", w.line, column, w.says)
		}
	}
	for _, e := range left {
		t.Errorf("more than is wrong: %v", e)
	}
}
