//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for what happens at once on a quiet machine.
const patience = 30 * time.Second

// group is goroutines with an owner that waits for them. All of this program's
// are started here.
type group struct{ running sync.WaitGroup }

func (g *group) start(f func()) { g.running.Go(f) }

func (g *group) wait() { g.running.Wait() }

// cpuOf gives the processor time that a process has used so far, all threads,
// user and kernel. The kernel's clock counts in nanoseconds where /proc counts
// in hundredths of a second (linux/posix-timers.h, MAKE_PROCESS_CPUCLOCK).
func cpuOf(pid int) (time.Duration, error) {
	const schedClock = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0, fmt.Errorf("read the processor clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// rssOf gives a process's resident memory in megabytes of 10^6 bytes.
func rssOf(pid int) (float64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			return kib * 1024 / 1e6, nil
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS: is the process still there?", path)
}

// used is what a process takes at one moment.
type used struct {
	megabytes float64
	cpu       time.Duration
}

func measureProcess(pid int) (u used, err error) {
	if u.megabytes, err = rssOf(pid); err != nil {
		return u, err
	}
	u.cpu, err = cpuOf(pid)
	return u, err
}

// child is a program on this machine's loopback.
type child struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// launch starts a program whose outputs go to a log file of that name.
func (b *bench) launch(g *group, name, program string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...), log: filepath.Join(b.dir, name+".log"), done: make(chan struct{})}
	f, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the child has its own
	c.cmd.Stdout, c.cmd.Stderr = f, f
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	g.start(func() { _ = c.cmd.Wait(); close(c.done) })
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// end stops a program that this run started, and waits for it.
func (c *child) end() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// lastWords is the end of what the program wrote.
func (c *child) lastWords() string {
	if c == nil {
		return "it was never started"
	}
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// until tries f every few milliseconds until it succeeds.
func until(ctx context.Context, what string, f func() error) error {
	return within(ctx, patience, what, f)
}

func within(ctx context.Context, limit time.Duration, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, limit, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// tool runs a program to its end and gives its standard output.
func tool(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(problem.String()+out.String()))
	}
	return out.String(), nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), errors.Join(l.Close())
}
