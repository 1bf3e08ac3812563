// Command demo shows a hospital's mesh at work on one machine, without root:
// a coordinator and five rootless nodes as processes of their own, with real
// HTTP servers behind them. Each step prints what was expected, what happened
// and how long it took; a step that goes otherwise makes the exit status 1.
//
// It lives in a temporary directory and on loopback only, and leaves nothing
// behind, unless KEEP=1 asks for the mesh to stay up until Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A reader that goes away, as in `make demo | head`, must not leave processes.
	signal.Ignore(syscall.SIGPIPE)
	if err := run(ctx, os.Getenv("KEEP") == "1"); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, keep bool) (err error) {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cordon-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h := newHospital(bin, dir)
	defer h.close()

	bounded, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if err := story(bounded, h); err != nil {
		h.showLogs()
		return err
	}
	if !keep {
		return nil
	}
	h.invite()
	<-ctx.Done()
	return nil
}

// errStep says that a step went otherwise than expected.
var errStep = errors.New("a step went otherwise than expected")

// teller prints the steps.
type teller struct {
	number int
	failed bool
}

// step runs one step. The text that f returns is what happened.
func (t *teller) step(what, expected string, f func() (string, error)) {
	t.number++
	fmt.Printf("\n%2d. %s\n    expected  %s\n", t.number, what, expected)
	begin := time.Now()
	happened, err := f()
	took := time.Since(begin)
	mark := "ok"
	if err != nil {
		mark, t.failed = "FAILED", true
		if happened != "" {
			happened += ": "
		}
		happened += err.Error()
	}
	fmt.Printf("    happened  %s\n    %s, %s\n", happened, mark, pretty(took))
}

func pretty(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
