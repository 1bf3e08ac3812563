//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one measured number.
type row struct {
	Measurement string   `json:"measurement"`
	What        string   `json:"what"`
	Value       float64  `json:"value"`
	Unit        string   `json:"unit"`
	Gate        *gate    `json:"gate,omitempty"`
	Met         *bool    `json:"met,omitempty"`
	Samples     *summary `json:"samples,omitempty"` // of Value, in its unit
	Note        string   `json:"note,omitempty"`
}

// gate is what a value must not go beyond.
type gate struct {
	AtMost  *float64 `json:"atMost,omitempty"`
	AtLeast *float64 `json:"atLeast,omitempty"`
}

func atMost(limit float64) *gate  { return &gate{AtMost: &limit} }
func atLeast(limit float64) *gate { return &gate{AtLeast: &limit} }

func (g *gate) met(v float64) bool {
	return (g.AtMost == nil || v <= *g.AtMost) && (g.AtLeast == nil || v >= *g.AtLeast)
}

func (g *gate) String() string {
	switch {
	case g == nil:
		return ""
	case g.AtMost != nil:
		return "<= " + figure(*g.AtMost)
	}
	return ">= " + figure(*g.AtLeast)
}

// figure writes a number with three or four digits that say something.
func figure(v float64) string {
	switch {
	case v == float64(int64(v)) && v < 1e15:
		return strconv.FormatInt(int64(v), 10)
	case v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// results are what one run gives.
type results struct {
	Date        time.Time `json:"date"`
	Quick       bool      `json:"quick"`
	Version     string    `json:"version"` // of the programs
	Machine     machine   `json:"machine"`
	Rows        []row     `json:"rows"`
	NotMeasured []string  `json:"notMeasured,omitempty"`
}

type machine struct {
	Cores      int    `json:"cores"`
	Processor  string `json:"processor"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	LoadBefore string `json:"loadBefore"` // 1, 5 and 15 minutes: other work disturbs
	LoadAfter  string `json:"loadAfter"`
}

func newResults(ctx context.Context, bin string, quick bool) *results {
	version, err := exec.CommandContext(ctx, filepath.Join(bin, "cordon-coordinator"), "--version").Output()
	if err != nil {
		version = []byte("unknown")
	}
	fields := strings.Fields(string(version))
	return &results{
		Date: time.Now().UTC().Truncate(time.Second), Quick: quick, Version: fields[len(fields)-1],
		Machine: machine{
			Cores: runtime.NumCPU(), Processor: processor(), Kernel: firstWords("/proc/sys/kernel/osrelease", 1),
			Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, LoadBefore: firstWords("/proc/loadavg", 3),
		},
	}
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func firstWords(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	words := strings.Fields(string(text))
	return strings.Join(words[:min(n, len(words))], " ")
}

// add takes rows, and holds them against their gates. One without samples is no
// row: nothing was measured.
func (r *results) add(rows ...row) {
	for _, one := range rows {
		if math.IsNaN(one.Value) || math.IsInf(one.Value, 0) {
			r.NotMeasured = append(r.NotMeasured, one.What+": there is no sample")
			continue
		}
		if one.Gate != nil {
			met := one.Gate.met(one.Value)
			one.Met = &met
		}
		r.Rows = append(r.Rows, one)
	}
}

func (r *results) missed() []string {
	var list []string
	for _, one := range r.Rows {
		if one.Met != nil && !*one.Met {
			list = append(list, fmt.Sprintf("%s, %s: %s %s, want %s", one.Measurement, one.What, figure(one.Value), one.Unit, one.Gate))
		}
	}
	return list
}

func (r *results) write(path string) error {
	r.Machine.LoadAfter = firstWords("/proc/loadavg", 3)
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func printRows(w io.Writer, rows []row) {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "  WHAT\tMEASURED\tGATE\t\tSAMPLES")
	for _, r := range rows {
		verdict := ""
		if r.Met != nil && *r.Met {
			verdict = "met"
		} else if r.Met != nil {
			verdict = "MISSED"
		}
		samples := ""
		if r.Samples != nil {
			samples = r.Samples.String()
		}
		if r.Note != "" {
			samples = strings.TrimSpace(samples + "  " + r.Note)
		}
		fmt.Fprintf(table, "  %s\t%s %s\t%s\t%s\t%s\n", r.What, figure(r.Value), r.Unit, r.Gate, verdict, samples)
	}
	table.Flush()
}
