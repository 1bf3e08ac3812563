//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// goBench runs a package's own benchmarks as a child process, several times,
// and gives what they printed: per benchmark and unit, a sample for each time.
func (b *bench) goBench(pkg, pattern, benchtime string, count int) (map[string]map[string]samples, error) {
	out, err := tool(b.ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchtime", benchtime,
		"-count", strconv.Itoa(count), "-timeout", "5m", "github.com/cordonmesh/cordon/"+pkg)
	if err != nil {
		return nil, err
	}
	found := parseBench(out)
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no benchmark matches %s", pkg, pattern)
	}
	return found, nil
}

// parseBench reads the lines that `go test -bench` prints.
func parseBench(out string) map[string]map[string]samples {
	line := regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.+)$`)
	found := map[string]map[string]samples{}
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if found[m[1]] == nil {
			found[m[1]] = map[string]samples{}
		}
		words := strings.Fields(m[2])
		for i := 0; i+1 < len(words); i += 2 {
			if v, err := strconv.ParseFloat(words[i], 64); err == nil {
				found[m[1]][words[i+1]] = append(found[m[1]][words[i+1]], v)
			}
		}
	}
	return found
}

// scaled gives samples in a unit that is smaller by a factor.
func (s samples) scaled(by float64) samples {
	out := make(samples, len(s))
	for i, v := range s {
		out[i] = v / by
	}
	return out
}

// verdict: the filter's cost for each kind of packet and size of rule set. It
// is the least of many short times: what disturbs arithmetic only adds to it.
func (b *bench) verdict() error {
	found, err := b.goBench("acl/filter", "^BenchmarkVerdict$", "100000x", pick(b, 25, 8))
	if err != nil {
		return err
	}
	for _, kind := range []string{"established", "new", "refused"} {
		allocations := 0.0
		for _, rules := range []int{10, 100, 1000} {
			units, ok := found[fmt.Sprintf("Verdict/%s/rules=%d", kind, rules)]
			if !ok {
				return fmt.Errorf("acl/filter has no benchmark for %s, %d rules", kind, rules)
			}
			var limit *gate
			if kind == "established" {
				limit = atMost(15)
			}
			b.results.add(units["ns/op"].least(fmt.Sprintf("verdict, %s flow, %d rules", kind, rules), "ns", limit))
			allocations = max(allocations, units["allocs/op"].at(1))
		}
		b.results.add(row{What: "allocations of a verdict, " + kind + " flow", Value: allocations, Unit: "allocs", Gate: atMost(0)})
	}
	return nil
}

// compile: the whole policy for meshes of three sizes, and one node's change.
func (b *bench) compile() error {
	count := pick(b, 7, 3)
	whole, err := b.goBench("acl/compile", "^BenchmarkCompile$", "1x", count)
	if err != nil {
		return err
	}
	change, err := b.goBench("acl/compile", "^BenchmarkPut$/(laptop|router)", "20ms", count)
	if err != nil {
		return err
	}
	for _, nodes := range []int{100, 1_000, 10_000} {
		took := whole[fmt.Sprintf("Compile/nodes=%d", nodes)]["ns/op"].scaled(1e6)
		b.results.add(took.least(fmt.Sprintf("compile 500 rules for %d nodes, every node's rule set", nodes), "ms", largest(nodes, 300)))
	}
	for _, kind := range []string{"laptop-leaves-and-joins", "laptop-changes-hands", "router-leaves-and-joins"} {
		for _, nodes := range []int{100, 1_000, 10_000} {
			// Each of them is two changes: there and back.
			took := change[fmt.Sprintf("Put/%s/nodes=%d", kind, nodes)]["ns/op"].scaled(2e6)
			r := took.least(fmt.Sprintf("one change of %d nodes: %s", nodes, strings.ReplaceAll(kind, "-", " ")), "ms", largest(nodes, 1))
			r.Note = "half of both"
			b.results.add(r)
		}
	}
	return b.compileAlone()
}

// compileAlone: a process that compiles a large policy, and takes over an edit of it.
func (b *bench) compileAlone() error {
	found, err := b.goBench("acl/compile", "^BenchmarkAlone$", "1x", pick(b, 5, 3))
	if err != nil {
		return err
	}
	units, what := found["Alone"], "5,000 rules for 10,000 nodes, a process that reads and compiles them"
	if len(units["MB/peak"]) == 0 {
		return errors.New("acl/compile's benchmark tells no MB/peak")
	}
	b.results.add(
		units["s/compile"].least(what, "s", atMost(1)),
		units["MB/peak"].middle(what+": peak memory", "MB", atMost(300)),
		units["MB/edit"].middle("the same, after an edit", "MB", atMost(300)),
	)
	return nil
}

// peers: the daemon whose map names ten thousand peers. Its own benchmark starts it
// as a process; at rest means that nobody speaks, while 50 may.
func (b *bench) peers() error {
	found, err := b.goBench("node", "^BenchmarkDaemonInACrowd$", "1x", 1)
	if err != nil {
		return err
	}
	units := found["DaemonInACrowd"]
	for _, r := range []struct {
		what, unit, of string
		limit          *gate
	}{
		{"rootless node alone", "MB", "MB/alone", nil},
		{"with a map of 10,000 peers", "MB", "MB/map", nil},
		{"after 50 of these have spoken with it", "MB", "MB/active", atMost(60)},
		{"the same, processor at rest", "%", "%CPU", atMost(1)},
		{"the same, each of the 50 asking once in 10 s", "%", "%CPU/asked", nil},
	} {
		if len(units[r.of]) == 0 {
			return fmt.Errorf("node's benchmark tells no %s", r.of)
		}
		b.results.add(units[r.of].middle(r.what, r.unit, r.limit))
	}
	return nil
}

// largest puts a gate on the largest mesh only: that is where it was promised.
func largest(nodes int, limit float64) *gate {
	if nodes < 10_000 {
		return nil
	}
	return atMost(limit)
}
