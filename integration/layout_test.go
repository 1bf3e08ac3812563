package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cordonmesh/cordon"

// loops names the packages that start goroutines in more than maxLoops places,
// each a loop with an owner that waits for it.
const maxLoops = 3

func loops() map[string]int {
	return map[string]int{
		"coordinator":       14, // assembles: one for each part and each door, all awaited by Run
		"node":              24, // likewise
		"node/relay/server": 8,  // a connection's reader and writer, the end of all; a program's listeners, and its certificate's watch
		"node/internal/dns": 4,  // per address: packets and connections; questions that wait for others
		"integration/lab":   12, // servers, proxies, links, streams, captures and processes of a test
		"netstack":          5,  // each door (SOCKS5, forward, expose) and each connection's two directions
	}
}

func tree(t *testing.T) []*source {
	t.Helper()
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	all, err := readTree(top)
	if err != nil {
		t.Fatalf("read the tree: %v", err)
	}
	return all
}

func report(t *testing.T, problems []string) {
	t.Helper()
	slices.Sort(problems)
	for _, p := range slices.Compact(problems) {
		t.Error(p)
	}
}

// byPackage groups files by directory; tests of both kinds are apart.
func byPackage(all []*source) (code, tests map[string][]*source) {
	code, tests = map[string][]*source{}, map[string][]*source{}
	for _, s := range all {
		if s.test {
			tests[s.pkg] = append(tests[s.pkg], s)
		} else {
			code[s.pkg] = append(code[s.pkg], s)
		}
	}
	return code, tests
}

// TestLayoutFiles: import arrows, sizes, format, init, skipped tests, to-dos.
func TestLayoutFiles(t *testing.T) {
	var problems []string
	for _, s := range tree(t) {
		problems = append(problems, s.check()...)
	}
	report(t, problems)
}

// TestLayoutPackages: each is placed, has one package comment, holds no global
// state and starts few goroutines.
func TestLayoutPackages(t *testing.T) {
	code, tests := byPackage(tree(t))
	var problems []string
	for _, pkg := range slices.Sorted(maps.Keys(code)) {
		problems = append(problems, checkPackage(pkg, code[pkg])...)
	}
	for pkg := range tests {
		if code[pkg] == nil {
			problems = append(problems, pkg+" holds tests alone: give it a doc.go that says of what")
		}
	}
	report(t, problems)
}

func checkPackage(pkg string, files []*source) []string {
	var problems []string
	if _, ok := find(arrows(), pkg); !ok {
		problems = append(problems, fmt.Sprintf("%s is a package that nobody placed: give it a row in integration/layout_arrows_test.go, with what it may import and why", pkg))
	}
	problems = append(problems, checkPackageComment(pkg, files)...)
	count, limit := 0, max(maxLoops, loops()[pkg])
	written := slices.DeleteFunc(slices.Clone(files), func(s *source) bool { return s.generated })
	for _, s := range written {
		count += s.goroutines()
	}
	if count > limit && !forTests(pkg) {
		problems = append(problems, fmt.Sprintf("%s starts goroutines in %d places, at most %d: let one loop own the state, or list it in integration/layout_test.go", pkg, count, limit))
	}
	return append(problems, checkGlobals(written)...)
}

func checkPackageComment(pkg string, files []*source) []string {
	var with []string
	for _, s := range files {
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command "
		}
		if text := s.file.Doc.Text(); text != "" && !s.generated {
			with = append(with, s.name)
			if !strings.HasPrefix(text, want) {
				return []string{fmt.Sprintf("%s: the package comment begins with %q", s.name, want)}
			}
		}
	}
	if len(with) != 1 {
		return []string{fmt.Sprintf("%s has %d package comments %v: exactly one, that says its one job, its invariants and what it leaves to others", pkg, len(with), with)}
	}
	return nil
}

// TestLayoutModule: go.mod holds no replace, and its direct requirements and
// tools are those that docs/ARCHITECTURE.md gives the reason for.
func TestLayoutModule(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json", "../go.mod").Output()
	if err != nil {
		t.Fatalf("read go.mod: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []struct{ Old struct{ Path string } }
		Tool    []struct{ Path string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatalf("read go.mod: %v", err)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s: those who import us would get another program than we tested", r.Old.Path)
	}
	var have []string
	for _, r := range mod.Require {
		if !r.Indirect {
			have = append(have, r.Path)
		}
	}
	for _, tool := range mod.Tool {
		have = append(have, "tool "+tool.Path)
	}
	table, err := dependencyTable("../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range have {
		if !slices.Contains(table, m) {
			t.Errorf("go.mod has %s, and docs/ARCHITECTURE.md (Dependencies) gives no reason for it", m)
		}
	}
	for _, m := range table {
		if !slices.Contains(have, m) {
			t.Errorf("docs/ARCHITECTURE.md (Dependencies) explains %s, which go.mod does not have", m)
		}
	}
}

// dependencyTable reads the first column of the table under "## Dependencies".
func dependencyTable(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entry := regexp.MustCompile("^\\| `([^`]+)` \\| *[^ |]")
	var table []string
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "## ") {
			inside = line == "## Dependencies"
		} else if m := entry.FindStringSubmatch(line); m != nil && inside {
			table = append(table, m[1])
		}
	}
	if len(table) == 0 {
		return nil, fmt.Errorf("%s has no table under \"## Dependencies\"", path)
	}
	return table, nil
}

// TestLayoutThreats: every test that a page of docs rests on exists.
func TestLayoutThreats(t *testing.T) {
	have := map[string]bool{}
	for _, s := range tree(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && f.Recv == nil {
				have[f.Name.Name] = true
			}
		}
	}
	test := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	for _, page := range []string{"THREATS.md", "ARCHITECTURE.md"} {
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		named := test.FindAllStringSubmatch(string(text), -1)
		if len(named) == 0 {
			t.Errorf("docs/%s names no test at all", page)
		}
		for _, m := range named {
			if !have[m[1]] {
				t.Errorf("docs/%s rests on %s, and no such test exists", page, m[1])
			}
		}
	}
}
