package integration

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The budget, in lines; generated code is outside of it. A program's main
// function and what builds its commands is a list of flags.
const (
	maxFile     = 500
	maxFunc     = 80
	maxMainFunc = 120
	maxTestFunc = 150
)

// source is one Go file.
type source struct {
	name      string // relative to the top of the tree
	pkg       string // its directory
	text      []byte
	file      *ast.File
	set       *token.FileSet
	test      bool
	generated bool
}

// readTree parses every Go file of the tree, for whatever platform it is.
func readTree(top string) ([]*source, error) {
	var all []*source
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != top && (d.Name()[0] == '.' || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(name), text)
		if err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

func parse(name string, text []byte) (*source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	pkg := ""
	if at := strings.LastIndexByte(name, '/'); at >= 0 {
		pkg = name[:at]
	}
	return &source{
		name: name, pkg: pkg, text: text, file: file, set: set,
		test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(file),
	}, nil
}

func (s *source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.set.Position(n.Pos()).Line)
}

// check gives what is wrong with a file by itself.
func (s *source) check() []string {
	problems := s.checkImports()
	if s.generated {
		return problems
	}
	if lines := bytes.Count(s.text, []byte("\n")); lines >= maxFile {
		problems = append(problems, fmt.Sprintf("%s has %d lines: under %d, split it by concern", s.name, lines, maxFile))
	}
	if formatted, err := format.Source(s.text); err != nil || !bytes.Equal(formatted, s.text) {
		problems = append(problems, s.name+" is not as gofmt writes it")
	}
	problems = append(problems, s.checkFuncs()...)
	problems = append(problems, s.checkComments()...)
	if s.test {
		problems = append(problems, s.checkSkips()...)
	}
	return problems
}

func (s *source) imports() (paths []string) {
	for _, spec := range s.file.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

func (s *source) checkImports() []string {
	var problems []string
	for _, spec := range s.file.Imports {
		if p := checkArrow(s.pkg, strings.Trim(spec.Path.Value, `"`), s.test); p != "" {
			problems = append(problems, s.at(spec)+": "+p)
		}
	}
	return problems
}

func (s *source) checkFuncs() []string {
	limit := maxFunc
	if s.file.Name.Name == "main" {
		limit = maxMainFunc
	}
	if s.test {
		limit = maxTestFunc
	}
	var problems []string
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if f.Name.Name == "init" && f.Recv == nil {
			problems = append(problems, s.at(f)+": an init runs before anybody asked for it: call it from where it is needed")
		}
		if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n >= limit {
			problems = append(problems, fmt.Sprintf("%s: %s has %d lines: under %d", s.at(f), f.Name.Name, n, limit))
		}
	}
	return problems
}

func (s *source) checkComments() []string {
	var problems []string
	for _, group := range s.file.Comments {
		for _, word := range []string{"TO" + "DO", "FIX" + "ME"} {
			if strings.Contains(group.Text(), word) {
				problems = append(problems, s.at(group)+": a "+word+": do it, or say in docs what is not there")
			}
		}
	}
	return problems
}

// checkSkips finds tests that pass without having run.
func (s *source) checkSkips() []string {
	var problems []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) {
			problems = append(problems, s.at(sel)+": a skipped test passes without a word: see lab.Require")
		}
		return true
	})
	return problems
}

// goroutines counts where a file starts some.
func (s *source) goroutines() int {
	count := 0
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			count++
		case *ast.CallExpr: // sync.WaitGroup.Go and errgroup.Group.Go
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && len(n.Args) == 1 {
				count++
			}
		}
		return true
	})
	return count
}
