//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is a program that runs on a host until it is stopped. Both its
// outputs go to a log file, which a failed test prints the end of.
type Process struct {
	Name string // what the drawing calls it
	Host *Host

	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // valid once done is closed
}

// Start runs a program in the background under the given name, or fails the test.
func (h *Host) Start(name, program string, args ...string) *Process {
	h.lab.t.Helper()
	p := &Process{Name: name, Host: h, done: make(chan struct{})}
	// Not the test's context: that ends before the lab draws its picture, and
	// the processes must still be there to be asked.
	argv := h.argv(program, args)
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Env = append(os.Environ(), h.machine.Env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.start(); err != nil {
		h.lab.t.Fatalf("start %s on %s: %v", name, h.Name, err)
	}
	return p
}

func (p *Process) start() error {
	l := p.Host.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	file := fmt.Sprintf("%s-%s-%d.log", p.Host.Name, strings.ReplaceAll(p.Name, "/", "-"), len(l.processes))
	p.log = filepath.Join(l.dir, file)
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // the child has its own
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := p.cmd.Start(); err != nil {
		return err
	}
	l.processes = append(l.processes, p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// Pid is the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited tells whether the program has ended, and how: nil, or what
// exec.Cmd.Wait said.
func (p *Process) Exited() (bool, error) {
	select {
	case <-p.done:
		return true, p.err
	default:
		return false, nil
	}
}

// Signal sends a signal, such as SIGHUP, or SIGSTOP for a machine that sleeps.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the program with SIGKILL, and waits until it is gone.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the program to end with SIGTERM and waits; after the given time it
// is killed, and that is the error.
func (p *Process) Stop(patience time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		<-p.done
		return p.err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("%s on %s did not end within %s of SIGTERM", p.Name, p.Host.Name, patience)
	}
}

// Log is all that the program wrote so far.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// state is one line for the drawing.
func (p *Process) state() string {
	if ended, err := p.Exited(); ended {
		return fmt.Sprintf("ended: %v", err)
	}
	return fmt.Sprintf("running, pid %d", p.Pid())
}
