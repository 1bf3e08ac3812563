//go:build linux

package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// T is what a lab needs of a test. *testing.T and *testing.B have it, and so
// has a program that uses a lab, by [Main].
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
	Context() context.Context
}

// NotRunFile names the environment variable that holds the path of a file to
// which tests that need root, and find none, append a line each.
const NotRunFile = "CORDON_NOT_RUN"

// Require tells whether a lab can be built here. Without root it is false, and
// the test's name goes to its log and to the file that [NotRunFile] names, so
// that `make test` can end with a list of what did not run. With CI=true a
// missing root fails the test: nobody would read the list.
func Require(t T) bool {
	t.Helper()
	return require(t, os.Geteuid(), os.Getenv("CI"), os.Getenv(NotRunFile))
}

func require(t T, uid int, ci, list string) bool {
	t.Helper()
	if uid == 0 {
		return true
	}
	line := t.Name() + ": needs root for its network namespaces"
	if ci == "true" {
		t.Fatalf("%s, and with CI=true every test must run: run as root", line)
		return false
	}
	t.Logf("NOT RUN %s", line)
	if list == "" {
		return false
	}
	f, err := os.OpenFile(list, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprintln(f, line)
		f.Close()
	}
	if err != nil {
		t.Errorf("name %s among the tests that did not run: %v", t.Name(), err)
	}
	return false
}

// keepVariable is an environment variable: with a value, a lab leaves its logs
// and state directories where they are, and says where.
const keepVariable = "CORDON_KEEP"

// Lab is one running topology. Its methods may be called from any goroutine of
// the test until the test ends.
type Lab struct {
	t      T
	prefix string // of its namespaces' names: "cordon-PID-RANDOM-"
	dir    string // logs and state directories; short, for the unix sockets in it
	top    Topology
	core   *namespace // holds the bridges
	hosts  map[string]*Host

	mu        sync.Mutex
	processes []*Process
	closers   []func()
	reporters []func() string // lines about the mesh, for the drawing
}

// Up builds the topology, or fails the test. The lab goes down with the test.
func Up(t T, top Topology) *Lab {
	t.Helper()
	if err := top.validate(); err != nil {
		t.Fatalf("build the lab: %v", err)
	}
	sweep()
	l := &Lab{t: t, prefix: newPrefix(), top: top, hosts: map[string]*Host{}}
	l.dir = filepath.Join(os.TempDir(), l.prefix+"lab")
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		t.Fatalf("build the lab: %v", err)
	}
	t.Cleanup(l.down)
	if err := l.writeNames(); err != nil {
		t.Fatalf("build the lab: %v", err)
	}
	if err := l.build(); err != nil {
		t.Fatalf("build the lab: %v", err)
	}
	return l
}

func newPrefix() string {
	var b [3]byte
	rand.Read(b[:])
	return fmt.Sprintf("%s%d-%s-", namePrefix, os.Getpid(), hex.EncodeToString(b[:]))
}

// Host gives the machine of that name. A name that the topology lacks fails the test.
func (l *Lab) Host(name string) *Host {
	l.t.Helper()
	h, ok := l.hosts[name]
	if !ok {
		l.t.Fatalf("the lab has no machine %q", name)
	}
	return h
}

// Dir makes and gives a directory of the lab's own, which goes with it.
func (l *Lab) Dir(name string) string {
	l.t.Helper()
	dir := filepath.Join(l.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.t.Fatalf("make a directory for %s: %v", name, err)
	}
	return dir
}

// Report adds a source of lines to the drawing that a failed test leaves, such
// as what each node says of its paths.
func (l *Lab) Report(f func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reporters = append(l.reporters, f)
}

// atEnd runs f when the lab goes down, last come first, before the namespaces go.
func (l *Lab) atEnd(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, f)
}

func (l *Lab) down() {
	if l.t.Failed() {
		l.t.Logf("%s", l.Draw())
	}
	l.mu.Lock()
	closers, processes := l.closers, l.processes
	l.closers, l.processes = nil, nil
	l.mu.Unlock()
	for i := len(processes) - 1; i >= 0; i-- {
		processes[i].Kill()
	}
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	for _, h := range l.hosts {
		h.ns.delete()
	}
	if l.core != nil {
		l.core.delete()
	}
	if os.Getenv(keepVariable) != "" {
		l.t.Logf("%s is set: logs and state stay in %s until the next lab starts", keepVariable, l.dir)
		return
	}
	os.RemoveAll(l.dir)
}
