package integration

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// programsWords is all that programs and pages may say, in one text.
func programsWords(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, top := range []string{"../coordinator", "../node", "../cmd"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{".go", ".html"}, filepath.Ext(path)) {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(all.String(), "’", "'")
}

// TestLayoutWordsForPeople: what the help for people quotes is what programs and pages
// say, or nobody finds what they see in it; and each picture is there.
func TestLayoutWordsForPeople(t *testing.T) {
	text, err := os.ReadFile("../docs/SIGN-IN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| the page or the machine says | do |\n|---|---|\n")
	if !found {
		t.Fatal("docs/SIGN-IN.md has no table of what is said")
	}
	said, quoted := programsWords(t), regexp.MustCompile("`([^`]+)`|\\*([^*]+)\\*")
	rows := 0
	for row := range strings.Lines(table) {
		for _, m := range quoted.FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			parts := regexp.MustCompile(`\.\.\.|: `).Split(m[1]+m[2], -1)
			words := strings.TrimSpace(slices.MaxFunc(parts, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
			if rows++; !strings.Contains(said, words) {
				t.Errorf("docs/SIGN-IN.md explains %q, which nothing says", words)
			}
		}
	}
	if rows < 15 {
		t.Errorf("docs/SIGN-IN.md explains %d texts", rows)
	}
	for _, m := range regexp.MustCompile(`\]\((pictures/[^)]+)\)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat("../docs/" + m[1]); err != nil {
			t.Error(err)
		}
	}
}
