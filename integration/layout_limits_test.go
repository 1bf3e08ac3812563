package integration

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rests is a package, and what its constants give for the numbers of a row, in order.
type rests struct {
	pkg     string
	numbers []string // expressions of Go, over constants of the package
}

// limits is what the rows under "Limits that you may meet" in docs/OPERATIONS.md rest
// on. A person who meets a limit reads it there, and no compiler does.
func limits() map[string][]rests {
	const (
		registry, signin, local = "coordinator/internal/registry", "coordinator/internal/auth/signin", "coordinator/internal/auth/local"
		day                     = "/ (24 * time.Hour)"
		admin, scim             = "coordinator/internal/adminapi", "coordinator/internal/scim"
	)
	give := func(pkg string, numbers ...string) rests { return rests{pkg, numbers} }
	return map[string][]rests{
		"machines that joined by one person's sign-ins": {give(registry, "MaxJoined")},
		"sign-ins of operators, and again of machines that would join": {give(signin, "maxWaiting", "maxWaitingPerAddress", "maxStrangers", "maxStrangersPerAddress",
			"opensAtOnce", "1 / opensPerSecond", "maxKnownPerPerson")},
		"sign-ins under way": {give(signin, "Life / time.Minute", "maxInAll", "maxPerAddress", "maxPerSeat", "maxGrantsPerSeat", "maxPerNode", "maxGrants",
			"opensAtOnce", "1 / opensPerSecond", "nodeOpensAtOnce", "1 / nodeOpensPerSecond")},
		"one sign-in":                  {give(signin, "maxTries", "maxProofs", "maxGuesses")},
		"a session (`--session-life`)": {give(registry, "MaxSessionLife"+day, "maxLogins")},
		"a person's machine (`--device-life`, `node renew --for`)": {give(registry, "MaxDeviceLife / (365 * 24 * time.Hour)")},
		"an admin session": {give(admin, "AdminLife / time.Hour", "AdminIdle / time.Minute")},
		"a token":          {give(registry, "MaxTokenLifetime"+day, "MaxUses", "maxScopes", "tokenLifetime / time.Hour", "tokenUses")},
		"a person":         {give(registry, "maxGroups", "maxFormer", "maxWord", "maxName")},
		"a local person": {give(registry, "MaxPasskeys"), give(local, "minPassword", "maxPassword"), give(registry, "MaxLinkLife"+day), give(local, "maxTold", "Remembered"+day),
			give(registry, "maxPlaces")},
		"passwords that are checked": {give(local, "Slots", "maxLine", "maxLine - kept", "maxStrangers", "maxSeats")},
		"a node":                     {give(registry, "MaxTags", "MaxAdvertised")},
		"a policy":                   {give("acl/policy", "maxSize >> 20"), give(registry, "maxPolicies", "MaxConfirmWithin"+day)},
		"a directory (SCIM)":         {give(registry, "maxRecords", "maxProvisionedGroups"), give(scim, "maxBody >> 20")},
		"a roster's file":            {give("acl/calendar", "MostText >> 20", "MostEvents")},
		"relays":                     {give("coordinator/wire", "MaxRelays"), give("coordinator", "maxTicketLife"+day)},
		"messages of warnings that wait for webhook or syslog": {give("coordinator/internal/warn", "maxQueue")},
		"people whose provider is asked (`--oidc-check`)":      {give("coordinator/internal/auth/oidc", "maxHeld"), give("coordinator/internal/auth/standing", "maxAsked")},
		"connections of one address to the TLS port":           {give("coordinator", "maxPerAddress")},
	}
}

// TestLayoutLimits: each number in the table of limits is the one that the code has.
func TestLayoutLimits(t *testing.T) {
	rows, err := limitTable("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	want := limits()
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if want[name] == nil {
			t.Errorf("docs/OPERATIONS.md (Limits) has a row %q, of which integration/layout_limits_test.go does not know the constants", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		text, ok := rows[name]
		if !ok {
			t.Errorf("docs/OPERATIONS.md (Limits) has no row %q", name)
			continue
		}
		var numbers []string
		for _, from := range want[name] {
			c, err := constantsOf("../" + from.pkg)
			if err != nil {
				t.Fatal(err)
			}
			for _, expr := range from.numbers {
				n, err := c.number(expr)
				if err != nil {
					t.Errorf("%s: %s of %s: %v", name, expr, from.pkg, err)
				}
				numbers = append(numbers, n)
			}
		}
		if told := numbersOf(text); !slices.Equal(told, numbers) {
			t.Errorf("docs/OPERATIONS.md (Limits) says of %s %v, and the code has %v (%v)", name, told, numbers, want[name])
		}
	}
}

// limitTable gives the second column of the table by its first.
func limitTable(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, section, found := strings.Cut(string(text), "\n## Limits that you may meet\n")
	if !found {
		return nil, fmt.Errorf("%s has no section of limits", path)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (.+?) \| (.+) \|$`).FindAllStringSubmatch(section, -1) {
		if m[1] != "of" {
			rows[m[1]] = m[2]
		}
	}
	return rows, nil
}

// numbersOf gives the numbers of a text, without what parts their thousands.
func numbersOf(text string) (out []string) {
	for _, n := range regexp.MustCompile(`\d+(?:,\d{3})*`).FindAllString(text, -1) {
		out = append(out, strings.ReplaceAll(n, ",", ""))
	}
	return out
}

// constants are those of a package, by name.
type constants map[string]ast.Expr

func constantsOf(dir string) (constants, error) {
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		return nil, err
	}
	all := constants{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if decl, ok := d.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				all.add(decl)
			}
		}
	}
	return all, nil
}

func (c constants) add(decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		v := spec.(*ast.ValueSpec)
		for i, name := range v.Names {
			if i < len(v.Values) {
				c[name.Name] = v.Values[i]
			}
		}
	}
}

// number gives the value of an expression as a text; a fraction as such.
func (c constants) number(text string) (string, error) {
	e, err := parser.ParseExpr(text)
	if err != nil {
		return "", err
	}
	v, err := c.value(e)
	if err != nil {
		return "", err
	}
	return v.ExactString(), nil
}

// value works out what Go's compiler would, for what limits are written in.
func (c constants) value(e ast.Expr) (constant.Value, error) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return c.value(e.X)
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0), nil
	case *ast.Ident:
		if of, ok := c[e.Name]; ok {
			return c.value(of)
		}
		return nil, fmt.Errorf("the package has no constant %s", e.Name)
	case *ast.SelectorExpr:
		spans := map[string]int64{"Second": 1e9, "Minute": 60e9, "Hour": 3600e9}
		if n, ok := spans[e.Sel.Name]; ok {
			return constant.MakeInt64(n), nil
		}
	case *ast.BinaryExpr:
		x, err := c.value(e.X)
		if err != nil {
			return nil, err
		}
		y, err := c.value(e.Y)
		if err != nil {
			return nil, err
		}
		if e.Op == token.SHL || e.Op == token.SHR {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n)), nil
		}
		v := constant.BinaryOp(x, e.Op, y)
		if whole := constant.ToInt(v); whole.Kind() == constant.Int {
			return whole, nil
		}
		return v, nil
	}
	return nil, fmt.Errorf("%T is not understood", e)
}
