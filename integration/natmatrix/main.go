//go:build linux

// Command natmatrix has nodes meet through every pair of kinds of networks, with
// real kernels' NATs and walls between the built programs. It prints a table: how
// long the first datagram took, which way it went, when the way was direct, and
// whether theory allows that. Two nodes in one LAN must meet there, and pairs behind NATs that
// forget must speak at once after a silence. It fails if a pair does not connect, is slower than
// we promise, or is relayed where theory allows a direct way; and if one inner
// packet was to be read on a link between sites. Run it as root.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/cordonmesh/cordon/integration/lab"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the built programs")
	only := flag.String("only", ".", "regular expression for the pairs to run, as the table names them")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "natmatrix:", err)
		os.Exit(2)
	}
	abs, err := filepath.Abs(*bin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "natmatrix:", err)
		os.Exit(2)
	}
	os.Setenv(lab.BinVariable, abs)
	os.Exit(lab.Main("natmatrix", os.Stdout, func(t lab.T) { run(t, pattern) }))
}

func run(t lab.T, pattern *regexp.Regexp) {
	if !lab.Require(t) {
		t.Fatalf("natmatrix needs root")
	}
	programs := lab.Build(t)
	runForgetful(t, programs, pattern)
	pairs, sites := plan(pattern)
	if len(pairs) == 0 {
		return
	}
	t.Logf("%d pairs of %d sites", len(pairs), len(sites))
	m := lab.RaiseMesh(t, programs, sites...)
	check := watch(m)
	t.Logf("%s", heading)
	var failures int
	for _, p := range pairs {
		r := p.meet(m)
		t.Logf("%s", r)
		if !r.ok() {
			failures++
		}
	}
	check(t)
	if failures > 0 {
		t.Errorf("%d of %d pairs are not as they must be", failures, len(pairs))
	}
}
