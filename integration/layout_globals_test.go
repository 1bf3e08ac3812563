package integration

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// A package-level variable that can change is state without an owner. What
// stays: sentinels, compiled patterns, embedded files, proofs that a type has
// an interface, tables that nobody assigns to, and a program's version.

// checkGlobals looks at all non-test files of one package together, because one
// file may assign to what another declares.
func checkGlobals(files []*source) []string {
	var problems []string
	names := map[string]*ast.ValueSpec{}
	for _, s := range files {
		for _, d := range s.file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for _, spec := range decl.Specs {
				v := spec.(*ast.ValueSpec)
				for _, name := range v.Names {
					names[name.Name] = v
				}
				if why := s.variable(decl, v); why != "" {
					problems = append(problems, s.at(v)+": package-level variable "+v.Names[0].Name+" "+why)
				}
			}
		}
	}
	delete(names, "_")
	for _, s := range files {
		problems = append(problems, s.assignments(names)...)
	}
	return problems
}

// variable says why a declaration may not stand, or "".
func (s *source) variable(decl *ast.GenDecl, v *ast.ValueSpec) string {
	if v.Names[0].Name == "_" || embedded(decl.Doc) || embedded(v.Doc) {
		return ""
	}
	if len(v.Values) == 0 {
		return "has no value, so somebody must set it: give it an owner, a struct or a function"
	}
	for _, value := range v.Values {
		if lit, ok := value.(*ast.BasicLit); ok && s.file.Name.Name == "main" && lit.Kind == token.STRING {
			continue // the linker sets a program's version
		}
		if !constantLike(value) {
			return "is neither a sentinel, a pattern, an embedded file nor a table: give it an owner"
		}
	}
	return ""
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

func constantLike(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.UnaryExpr:
		return e.Op == token.AND && constantLike(e.X)
	case *ast.CallExpr:
		return constantCall(e)
	}
	return false
}

// constantCall knows calls whose result does not change: conversions and makers
// of one literal, Must..., sentinels with a cause, and fixed points in time.
func constantCall(call *ast.CallExpr) bool {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
		if x, ok := f.X.(*ast.Ident); ok {
			name = x.Name + "." + name
		}
	}
	short := name[strings.LastIndexByte(name, '.')+1:]
	if strings.HasPrefix(short, "Must") || strings.HasPrefix(short, "must") {
		return true
	}
	if slices.Contains([]string{"fmt.Errorf", "errors.Join", "context.Background", "time.Date", "strings.NewReplacer", "netip.AddrFrom4", "netip.AddrFrom16",
		"netip.IPv4Unspecified", "netip.IPv6Unspecified", "netip.PrefixFrom"}, name) {
		return true
	}
	if len(call.Args) != 1 {
		return false
	}
	_, literal := call.Args[0].(*ast.BasicLit)
	return literal && name != "make" && name != "new"
}

// assignments finds where a package-level variable is changed, or its address
// taken so that it could be.
func (s *source) assignments(names map[string]*ast.ValueSpec) []string {
	var problems []string
	look := func(e ast.Expr, how string) {
		id := root(e)
		if id == nil || names[id.Name] == nil {
			return
		}
		// The parser resolves names within a file: an object with another
		// declaration is a local variable of the same name.
		if id.Obj != nil && id.Obj.Decl != names[id.Name] {
			return
		}
		problems = append(problems, s.at(e)+": package-level variable "+id.Name+" is "+how+": give it an owner")
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if n.Tok != token.DEFINE {
					look(left, "assigned")
				}
			}
		case *ast.IncDecStmt:
			look(n.X, "assigned")
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				look(n.X, "taken by its address")
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
				look(n.Args[0], "emptied")
			}
		}
		return true
	})
	return problems
}

func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}
