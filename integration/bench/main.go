//go:build linux

// Command bench measures the numbers that Cordon promises, on the machine that
// it runs on, and says of each whether its gate is met.
//
// Whatever is compared runs in the same run, in turns, and the comparison is
// the median of the turns' ratios, so that a busy machine disturbs both sides.
// What another program's load would spoil is measured in processor time. Each
// row goes to the terminal and, with its samples summed up, to a JSON file.
//
// A missed gate is news, not a failure: the exit status is 1 only if something
// could not be measured, or with -strict. What needs network namespaces is left
// out without root, and named.
//
// Its invariants: all traffic is on loopback or in the lab's namespaces, every
// wait has an end, and nothing is left behind. It sees what an operator and a
// node see (the programs, the admin API, the node API, a relay's client) and no
// inside; for the costs inside it runs the packages' own benchmarks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

func main() {
	bin := flag.String("bin", "bin", "`DIRECTORY` with the built programs")
	out := flag.String("o", "bench/results.json", "`FILE` for the results")
	quick := flag.Bool("quick", false, "fewer samples and smaller meshes: about two minutes")
	only := flag.String("only", "", "comma-separated `NAMES` of what to measure: "+names())
	strict := flag.Bool("strict", false, "a missed gate fails")
	role := flag.String("role", "", "for its own use: what this process plays for another one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *role, *bin, *out, *only, *quick, *strict); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, role, bin, out, only string, quick, strict bool) error {
	switch role {
	case "":
	case roleTunnel:
		return playTunnel(ctx, flag.Arg(0))
	case roleStreams:
		return playStreams(ctx, flag.Arg(0))
	case roleUpgraded:
		return playUpgraded(ctx, flag.Arg(0))
	case roleCrowd:
		return playCrowd(ctx, flag.Arg(0))
	default:
		return fmt.Errorf("role: %q is not allowed: want %s, %s, %s or %s", role, roleTunnel, roleStreams, roleUpgraded, roleCrowd)
	}
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, bin, quick)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	failed := b.measure(chosen)
	if err := b.results.write(out); err != nil {
		return err
	}
	fmt.Printf("\n%d rows in %s\n", len(b.results.Rows), out)
	if failed != nil {
		return failed
	}
	if missed := b.results.missed(); strict && len(missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(missed, "; "))
	}
	return nil
}

// measurement is one thing to measure; it may give several rows.
type measurement struct {
	name, what string
	run        func(*bench) error
}

func measurements() []measurement {
	return []measurement{
		{"verdict", "what one verdict costs", (*bench).verdict},
		{"compile", "what compiling a policy costs", (*bench).compile},
		{"throughput", "the tunnel beside bare wireguard-go", (*bench).throughput},
		{"revocation", "from a narrower policy to the last byte of a live flow", (*bench).revocation},
		{"startup", "from nothing to the first answer through the tunnel", (*bench).startup},
		{"paths", "for how long a flow is silent when its way changes", (*bench).paths},
		{"memory", "what a node takes", (*bench).memory},
		{"peers", "what a node takes whose map names ten thousand peers", (*bench).peers},
		{"swarm", "what many nodes, and a change, cost a coordinator", (*bench).swarm},
		{"logins", "what it costs a coordinator that people sign in, and that sessions end", (*bench).logins},
		{"asked", "what it costs a coordinator to ask whether the provider stands by those who are signed in", (*bench).asked},
		{"day", "what it costs a coordinator when ten thousand are signed in, asked for, and come and go: half an hour", (*bench).day},
		{"relay", "what a relay carries, adds and weighs", (*bench).relay},
	}
}

func names() string {
	var list []string
	for _, m := range measurements() {
		list = append(list, m.name)
	}
	return strings.Join(list, ", ")
}

func choose(only string) ([]measurement, error) {
	all := measurements()
	if only == "" {
		return all, nil
	}
	var chosen []measurement
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(m measurement) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("only: %q is not allowed: want %s", name, names())
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// bench is one run.
type bench struct {
	ctx     context.Context
	bin     string // absolute
	dir     string // for state and logs; goes with the run
	quick   bool
	results *results
}

func newBench(ctx context.Context, bin string, quick bool) (*bench, error) {
	abs, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	for _, program := range []string{"cordon", "cordon-coordinator", "cordon-relay"} {
		if _, err := os.Stat(filepath.Join(abs, program)); err != nil {
			return nil, fmt.Errorf("%w: `make build` makes it", err)
		}
	}
	if err := os.Setenv(lab.BinVariable, abs); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "cordon-bench-")
	if err != nil {
		return nil, err
	}
	return &bench{ctx: ctx, bin: abs, dir: dir, quick: quick, results: newResults(ctx, abs, quick)}, nil
}

// measure runs what was chosen, one after the other. One that fails does not
// keep the others from running.
func (b *bench) measure(chosen []measurement) error {
	var failed error
	for _, m := range chosen {
		if b.ctx.Err() != nil {
			return errors.Join(failed, b.ctx.Err())
		}
		before, missing, begin := len(b.results.Rows), len(b.results.NotMeasured), time.Now()
		fmt.Printf("\n%s: %s\n", m.name, m.what)
		err := m.run(b)
		for i := range b.results.Rows[before:] {
			b.results.Rows[before+i].Measurement = m.name
		}
		printRows(os.Stdout, b.results.Rows[before:])
		took := time.Since(begin)
		fmt.Printf("  (%s)\n", took.Round(100*time.Millisecond))
		if err != nil {
			b.results.NotMeasured = append(b.results.NotMeasured, m.name+": "+err.Error())
		}
		for _, why := range b.results.NotMeasured[missing:] {
			fmt.Printf("  NOT MEASURED: %s\n", why)
			if !errors.Is(err, errNeedsRoot) {
				failed = errors.Join(failed, errors.New(why))
			}
		}
	}
	return failed
}

// pick gives how much of something a run of this kind does.
func pick[T any](b *bench, full, quick T) T {
	if b.quick {
		return quick
	}
	return full
}

var errNeedsRoot = errors.New("needs root for its network namespaces")

// inLab runs f with a lab, which goes down with f's end.
func (b *bench) inLab(name string, f func(lab.T)) error {
	if os.Geteuid() != 0 {
		return errNeedsRoot
	}
	if code := lab.Main(name, os.Stderr, f); code != 0 {
		return errors.New("the lab's messages above say why")
	}
	return nil
}
