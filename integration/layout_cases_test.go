package integration

import (
	"fmt"
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestLayoutCases: each attack on people, and on what decides about them, has a test
// with its number in the name, or THREATS.md says why there is nothing to attack.
func TestLayoutCases(t *testing.T) {
	text, err := os.ReadFile("../docs/THREATS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## Cases without a surface today\n")
	without, _, _ := strings.Cut(rest, "\n## ")
	if !found {
		t.Fatal("docs/THREATS.md does not list what has no surface")
	}
	named := map[string]bool{}
	number := regexp.MustCompile(`(?:_|^Test)(A[0-9]+)`)
	for _, s := range tree(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && strings.HasPrefix(f.Name.Name, "Test") {
				for _, m := range number.FindAllStringSubmatch(f.Name.Name, -1) {
					named[m[1]] = true
				}
			}
		}
	}
	for _, span := range [][2]int{{1, 24}, {40, 44}, {50, 53}} {
		for n := span[0]; n <= span[1]; n++ {
			if a := fmt.Sprintf("A%02d", n); !named[a] && !strings.Contains(without, a) {
				t.Errorf("no test is named after %s, and docs/THREATS.md does not say why", a)
			}
		}
	}
}
