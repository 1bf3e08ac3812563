package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// What is given in a hurry in place of a policy file says what it is.
func TestWhatIsNoPolicyFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxPolicy+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                      dir + " is a directory: name the policy file in it",
		large:                    "large is larger than 4194304 bytes",
		filepath.Join(dir, "no"): "no such file or directory",
	} {
		if _, _, err := readPolicy(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// A problem repeats no more of a file than shows what is meant.
func TestProblemsAreShort(t *testing.T) {
	text := strings.Repeat("x", 1<<20)
	got := problemsText([]*admin.Problem{{File: "p", Line: 1, Column: 2, Text: text, Message: "unknown host", Hint: "define it"}}, `["`+text+`"]`)
	if !strings.HasPrefix(got, `p:1:2: error: unknown host ("xxx`) || !strings.Contains(got, `x"); define it`+"\n") || len(got) > 400 {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
}
