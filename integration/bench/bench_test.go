//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBenchmarkLinesAreRead(t *testing.T) {
	found := parseBench(`goos: linux
BenchmarkVerdict/new/rules=10-2         	  500000	       223.1 ns/op	       0 B/op	       1 allocs/op
BenchmarkVerdict/new/rules=10-2         	  500000	       221 ns/op	       0 B/op	       0 allocs/op
BenchmarkPut/nodes=100    	      10	 12.5 ns/op	  3.0 views/op
BenchmarkBroken-2   	no number ns/op
PASS
`)
	got := found["Verdict/new/rules=10"]
	if len(found) != 2 || got["ns/op"].median() != 222.05 || got["allocs/op"].at(1) != 1 || len(got["ns/op"]) != 2 {
		t.Errorf("read %v", found)
	}
	if got := found["Put/nodes=100"]["views/op"]; len(got) != 1 || got[0] != 3 {
		t.Errorf("without a processor count in its name: %v", got)
	}
}

func TestSharesAreOfTheSamplesThemselves(t *testing.T) {
	var s samples
	if !math.IsNaN(s.median()) || s.summary() != nil {
		t.Error("no samples have a median")
	}
	for i := 100; i > 0; i-- {
		s.addMillis(time.Duration(i) * time.Millisecond)
	}
	if got := *s.summary(); got != (summary{N: 100, P50: 50.5, P99: 99, Min: 1, Max: 100}) {
		t.Errorf("summary %+v", got)
	}
	if s[0] != 100 {
		t.Error("the order of the samples was changed; ratios are pairwise")
	}
	if r := ratios(samples{4, 9, 1}, samples{2, 3}); len(r) != 2 || r[0] != 2 || r[1] != 3 {
		t.Errorf("ratios %v", r)
	}
	if r := s.least("x", "ms", atMost(1)); r.Value != 1 || r.Samples.P50 != 50.5 {
		t.Errorf("least %+v", r)
	}
}

func TestGatesAreHeldOnBothSides(t *testing.T) {
	r := new(results)
	r.add(
		row{What: "at the limit", Value: 5, Gate: atMost(5)}, row{What: "over", Value: 5.1, Gate: atMost(5)},
		row{What: "enough", Value: 0.97, Gate: atLeast(0.97)}, row{What: "too little", Value: 0.96, Gate: atLeast(0.97)},
		row{What: "no gate", Value: 9}, samples(nil).middle("without samples", "ms", atMost(5)),
	)
	missed := strings.Join(r.missed(), "\n")
	for _, what := range []string{"over", "too little"} {
		if !strings.Contains(missed, what) {
			t.Errorf("%q is not among the missed: %s", what, missed)
		}
	}
	if len(r.missed()) != 2 || r.Rows[4].Met != nil {
		t.Errorf("missed: %s", missed)
	}
	if len(r.Rows) != 5 || len(r.NotMeasured) != 1 || !strings.Contains(r.NotMeasured[0], "without samples") {
		t.Errorf("a row without samples: %d rows, not measured %v", len(r.Rows), r.NotMeasured)
	}
	var out bytes.Buffer
	printRows(&out, r.Rows[:2])
	if lines := strings.Split(out.String(), "\n"); !strings.Contains(lines[1], "<= 5") || !strings.Contains(lines[1], "met") || !strings.Contains(lines[2], "MISSED") {
		t.Errorf("printed:\n%s", &out)
	}
}

func TestResultsAreWrittenWhole(t *testing.T) {
	r := &results{Rows: []row{{Measurement: "m", What: "w", Value: 1, Unit: "ms"}}, NotMeasured: []string{"x: why"}}
	path := filepath.Join(t.TempDir(), "new", "results.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back results
	if err := json.Unmarshal(text, &back); err != nil || len(back.Rows) != 1 || back.NotMeasured[0] != "x: why" || back.Machine.LoadAfter == "" {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestOnlyChoosesByNameAndRefusesOthers(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(measurements()) {
		t.Errorf("all: %d, %v", len(all), err)
	}
	if two, err := choose("swarm,verdict"); err != nil || len(two) != 2 || two[0].name != "swarm" {
		t.Errorf("two: %v, %v", two, err)
	}
	if _, err := choose("verdict,vedict"); err == nil || !strings.Contains(err.Error(), "vedict") || !strings.Contains(err.Error(), "throughput") {
		t.Errorf("a name that is not there: %v", err)
	}
}

// What a process takes is read of the process that is meant.
func TestAProcessIsMeasured(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ballast := make([]byte, 64<<20)
	for i := range ballast {
		ballast[i] = byte(i)
	}
	now, err := measureProcess(os.Getpid())
	if err != nil || now.cpu <= before || now.megabytes < 64 {
		t.Errorf("after 64 MiB were written: %+v, %s before, %v", now, before, err)
	}
	if ballast[1] == 0 {
		t.Error("kept until here")
	}
	if _, err := measureProcess(1 << 30); err == nil {
		t.Error("a process that is not there has been measured")
	}
}

func TestBareStreamsAreHeldAndCounted(t *testing.T) {
	var g group
	defer g.wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	g.start(func() {
		if err := playStreams(ctx, address); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	if err := until(ctx, "streams", func() error { return holdStreams(ctx, &g, "https://"+address, 20) }); err != nil {
		t.Error(err)
	}
}
