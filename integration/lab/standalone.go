//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
)

// Main runs f as a program would run a test: with a lab that goes down at the
// end, also on Ctrl-C, and messages on w. It gives the program's exit code.
func Main(name string, w io.Writer, f func(T)) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &program{name: name, w: w, ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer p.end(cancel)
		f(p)
	}()
	<-done
	if p.Failed() {
		return 1
	}
	return 0
}

// errFatal ends f from within Fatalf.
var errFatal = errors.New("the program cannot go on")

// program is the T of a program.
type program struct {
	name string
	w    io.Writer
	ctx  context.Context

	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

func (p *program) Helper()                  {}
func (p *program) Name() string             { return p.name }
func (p *program) Context() context.Context { return p.ctx }

func (p *program) Logf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *program) Errorf(format string, args ...any) {
	p.Logf(format, args...)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = true
}

// Fatalf unwinds f; like that of testing it is for the goroutine of f alone.
func (p *program) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	panic(errFatal)
}

func (p *program) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

// end runs what was registered, last come first, whatever way f ended.
func (p *program) end(cancel context.CancelFunc) {
	if r := recover(); r != nil && r != errFatal {
		p.Errorf("panic: %v\n%s", r, debug.Stack())
	}
	cancel()
	for len(p.cleanups) > 0 {
		last := p.cleanups[len(p.cleanups)-1]
		p.cleanups = p.cleanups[:len(p.cleanups)-1]
		last()
	}
}
