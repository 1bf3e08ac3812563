package compile_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
)

const aloneKey = "CORDON_COMPILE_ALONE"

// BenchmarkAlone is a process that reads a policy of 5,000 rules, compiles it for
// 10,000 nodes, makes every node's rule set, and does nothing else: how long that takes,
// and how much memory the process ever had. Then it takes over an edit of the policy,
// for which there are two meshes for a while.
func BenchmarkAlone(b *testing.B) {
	if os.Getenv(aloneKey) != "" {
		alone(b)
		return
	}
	var seconds, peak, edited float64
	for b.Loop() {
		child := exec.Command(os.Args[0], "-test.run", "^$", "-test.bench", "^BenchmarkAlone$", "-test.benchtime", "1x")
		child.Env = append(os.Environ(), aloneKey+"=1")
		out, err := child.CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		_, told, _ := strings.Cut(string(out), "alone: ")
		var took, after, edit float64
		if _, err := fmt.Sscanf(told, "%g s %g MB %g MB", &took, &after, &edit); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		seconds, peak, edited = max(seconds, took), max(peak, after), max(edited, edit)
	}
	b.ReportMetric(seconds, "s/compile")
	b.ReportMetric(peak, "MB/peak")
	b.ReportMetric(edited, "MB/edit")
}

// alone compiles once. The text, and the directory of nodes that the coordinator has
// anyway, are part of what the process holds.
func alone(b *testing.B) {
	text, nodes := hospitalOf(10_000, 600, 1200, 5000)
	began := time.Now()
	pol := mustParse(b, text)
	m := compile.New(pol, ranges())
	m.Load(nodes)
	rules := func() (n int) {
		for i := range nodes {
			n += len(m.Rules(nodes[i].ID).In)
		}
		return n
	}
	before := rules()
	took, peak := time.Since(began).Seconds(), peakRSS(b)
	edit := m.SetPolicy(mustParse(b, strings.Replace(text, `"r7"`, `"r7b"`, 1)))
	if before == 0 || rules() != before || edit.Empty() {
		b.Fatalf("%d rules, after the edit %d, seen by anybody: %t", before, rules(), !edit.Empty())
	}
	fmt.Printf("alone: %.3f s %.1f MB %.1f MB\n", took, peak, peakRSS(b))
}

// peakRSS gives the most memory that this process ever had, in MB.
func peakRSS(b *testing.B) float64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return float64(used.Maxrss) * 1024 / 1e6
}
