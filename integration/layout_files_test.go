package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLayoutFilesOfOperators: each file that a program keeps is in the table that says
// what losing it means.
func TestLayoutFilesOfOperators(t *testing.T) {
	text, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## Files and modes\n")
	table, _, found := strings.Cut(rest, "\n## ")
	if !found {
		t.Fatal("docs/OPERATIONS.md has no table under \"## Files and modes\"")
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(table, -1) {
		documented[filepath.Base(m[1])] = true
	}
	named := regexp.MustCompile(`(?m)^\s*(?:const\s+)?(?:(?:file|folder)[A-Z]\w*|\w+File)\s*=\s*"([^"]+)"`)
	kept := 0
	for _, s := range tree(t) {
		if s.test || !strings.HasPrefix(s.pkg, "coordinator") && !strings.HasPrefix(s.pkg, "node") {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(string(s.text), -1) {
			if kept++; !documented[m[1]] {
				t.Errorf("%s keeps %s, of which docs/OPERATIONS.md says under \"Files and modes\" nothing", s.name, m[1])
			}
		}
	}
	if kept < 20 {
		t.Errorf("only %d files are kept by name: are they named in another way now?", kept)
	}
}
