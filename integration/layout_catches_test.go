package integration

import (
	"fmt"
	"strings"
	"testing"
)

// What the layout tests must catch, each with the words of the complaint, and
// what they must let pass (no words).
func TestLayoutCatches(t *testing.T) {
	long := "\n" + strings.Repeat("\tf()\n", maxFunc-2)
	for _, c := range []struct{ file, text, want string }{
		{"acl/a.go", `import _ "github.com/cordonmesh/cordon/netstack"`, "acl imports netstack: forbidden"},
		{"acl/filter/a.go", `import _ "github.com/cordonmesh/cordon/acl/packet"`, ""},
		{"acl/filter/a.go", `import _ "github.com/cordonmesh/cordon/acl/policy"`, "the filter obeys rules, and never sees a policy"},
		{"acl/filter/a_test.go", `import _ "github.com/cordonmesh/cordon/acl/policy"`, "forbidden"},
		{"acl/filter/a_test.go", `import _ "github.com/cordonmesh/cordon/acl/packet/packettest"`, ""},
		{"acl/filter/a.go", `import _ "github.com/cordonmesh/cordon/acl/packet/packettest"`, "made for tests"},
		{"coordinator/internal/auth/a.go", `import _ "github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"`, "forbidden"},
		{"coordinator/internal/auth/oidc/a.go", `import _ "github.com/cordonmesh/cordon/coordinator/internal/registry"`, ""},
		{"coordinator/internal/auth/oidc/a.go", `import _ "github.com/cordonmesh/cordon/coordinator/wire/key"`, "decides nothing"},
		{"coordinator/coordinator.go", `import _ "github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"`, ""},
		{"coordinator/coordinator.go", `import _ "github.com/cordonmesh/cordon/node/local"`, "forbidden"},
		{"acl2/a.go", `import _ "github.com/cordonmesh/cordon/acl"`, "nobody placed"},
		{"netstack/a.go", `import _ "gvisor.dev/gvisor/pkg/tcpip/stack"`, ""},
		{"node/a.go", `import _ "gvisor.dev/gvisor/pkg/tcpip/stack"`, "forbidden"},
		{"node/a.go", `import _ "os/exec"`, "forbidden"},
		{"node/a_test.go", `import _ "os/exec"`, ""},
		{"node/internal/engine/a_test.go", `import _ "golang.zx2c4.com/wireguard/device"`, "forbidden"},
		{"acl/a.go", `import "C"`, "cgo"},
		{"acl/a.go", "func f() {" + long + "}", "f has 80 lines"},
		{"acl/a.go", "func f() {\n" + strings.TrimPrefix(long, "\n\tf()\n") + "}", ""},
		{"cmd/cordon/main.go", "func f() {" + long + "}", ""},
		{"acl/a_test.go", "func f() {" + long + "}", ""},
		{"acl/a.go", "func init() {}", "init"},
		{"acl/a.go", "type t struct{}\n\nfunc (t) init() {}", ""},
		{"acl/a.go", strings.Repeat("\n// x\n", maxFile/2), "under 500"},
		{"acl/a.go", "var  x = 1", "gofmt"},
		{"acl/a.go", "// TO" + "DO: more", "do it, or say"},
		{"acl/a_test.go", "func f(t T) { t.Skip() }", "skipped"},
		{"acl/a_test.go", "func f(d D) { d.Skip() }", ""},
		{"acl/a.go", "var x int", "somebody must set it"},
		{"acl/a.go", "var mu sync.Mutex", "somebody must set it"},
		{"acl/a.go", "var x = 1", "give it an owner"},
		{"acl/a.go", "var now = time.Now", "give it an owner"},
		{"acl/a.go", "var m = make(map[string]int)", "give it an owner"},
		{"acl/a.go", `var version = "dev"`, "give it an owner"},
		{"cmd/cordon/main.go", `var version = "dev"`, ""},
		{"acl/a.go", `var errX = errors.New("x")`, ""},
		{"acl/a.go", "var background = context.Background()", ""},
		{"acl/xtest/a.go", "func f() {\n\tgo f()\n\tgo f()\n\tgo f()\n\tgo f()\n}", "nobody placed"},
		{"acl/a.go", "var _ I = T{}", ""},
		{"acl/a.go", "//go:embed x\nvar files embed.FS", ""},
		{"acl/a.go", `var table = map[string]int{"a": 1}`, ""},
		{"acl/a.go", "var table = []int{1}\n\nfunc f() { table[0] = 2 }", "is assigned"},
		{"acl/a.go", "var table = []int{1}\n\nfunc f() { table := []int{2}; table[0] = 2 }", ""},
		{"acl/a.go", "var table = []int{1}\n\nfunc f() { g(&table) }", "address"},
		{"acl/a.go", "var table = map[int]int{1: 1}\n\nfunc f() { delete(table, 1) }", "emptied"},
		{"acl/a.go", "var n = T{}\n\nfunc f() { n.x++ }", "is assigned"},
		{"acl/a.go", "func f() {\n\tgo f()\n\tgo f()\n\tgo f()\n\tw.Go(f)\n}", "4 places"},
		{"acl/a.go", "func f() {\n\tgo f()\n\tgo f()\n\tgo f()\n}", ""},
	} {
		got := strings.Join(complaints(t, c.file, c.text), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q gives %q, want %q", c.file, short(c.text), got, c.want)
		}
	}
}

// complaints checks one file as the only one of its package.
func complaints(t *testing.T, file, body string) []string {
	t.Helper()
	name, comment := "x", "// Package x is made up.\n"
	if strings.HasPrefix(file, "cmd/") {
		name, comment = "main", "// Command x is made up.\n"
	}
	s, err := parse(file, []byte(fmt.Sprintf("%spackage %s\n\n%s\n", comment, name, body)))
	if err != nil {
		t.Fatalf("%q: %v", short(body), err)
	}
	problems := s.check()
	if !s.test {
		problems = append(problems, checkPackage(s.pkg, []*source{s})...)
	}
	return problems
}

func short(s string) string { return s[:min(len(s), 60)] }

func TestLayoutCatchesPackageComments(t *testing.T) {
	for _, c := range []struct {
		first, second string
		want          string
	}{
		{"// Package x does.\npackage x\n", "package x\n", ""},
		{"package x\n", "package x\n", "has 0 package comments"},
		{"// Package x does.\npackage x\n", "// Package x does, too.\npackage x\n", "has 2 package comments"},
		{"// X does.\npackage x\n", "package x\n", "begins with"},
		{"//go:build linux\n\npackage x\n", "// Package x does.\n//\n//go:generate x\npackage x\n", ""},
	} {
		first, err := parse("acl/a.go", []byte(c.first))
		if err != nil {
			t.Fatal(err)
		}
		second, err := parse("acl/b.go", []byte(c.second))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(checkPackageComment("acl", []*source{first, second}), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q and %q: %q, want %q", c.first, c.second, got, c.want)
		}
	}
}
