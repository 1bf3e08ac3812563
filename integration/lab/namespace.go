//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	namePrefix = "cordon-" // of every namespace and build directory that a lab makes
	coreName   = "core"    // the lab's own namespace
	netnsDir   = "/run/netns"
)

// namespace is a named network namespace, so that ip(8) can look into it too.
type namespace struct {
	name   string
	handle netns.NsHandle
}

func newNamespace(name string) (*namespace, error) {
	ns := &namespace{name: name}
	err := onThread(func() error {
		var err error
		ns.handle, err = netns.NewNamed(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return ns, nil
}

// do runs f with the calling goroutine's thread inside the namespace. What f
// starts on other goroutines runs outside.
func (ns *namespace) do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns.handle); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", ns.name, err)
		}
		return f()
	})
}

// onThread runs f on a locked thread and brings the thread back to the
// namespace that it came from, also when f panics.
func onThread(f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("find the current network namespace: %w", err)
	}
	defer func() {
		defer home.Close()
		if err := netns.Set(home); err != nil {
			// The thread is lost to the scheduler; going on would run other
			// goroutines in a foreign namespace.
			panic(fmt.Sprintf("lab: return from a network namespace: %v", err))
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

func (ns *namespace) delete() {
	ns.handle.Close()
	deleteNamed(ns.name)
}

// deleteNamed kills what still runs in the namespace and removes its name; the
// kernel frees the rest when the last socket in it is closed.
func deleteNamed(name string) {
	path := filepath.Join(netnsDir, name)
	for _, pid := range pidsIn(path) {
		unix.Kill(pid, unix.SIGKILL)
	}
	unix.Unmount(path, unix.MNT_DETACH)
	os.Remove(path)
}

// pidsIn lists the processes, other than this one, whose network is the
// namespace at path.
func pidsIn(path string) []int {
	var want unix.Stat_t
	if unix.Stat(path, &want) != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var got unix.Stat_t
		if unix.Stat(filepath.Join("/proc", e.Name(), "ns/net"), &got) == nil && got.Dev == want.Dev && got.Ino == want.Ino {
			pids = append(pids, pid)
		}
	}
	return pids
}

// sweep removes what test processes that are gone left behind: namespaces with
// the processes in them, and directories of logs, state and built programs with
// the disks mounted there.
func sweep() {
	for _, dir := range []string{netnsDir, netnsEtc, os.TempDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !stale(e.Name()) {
				continue
			}
			if dir == netnsDir {
				deleteNamed(e.Name())
			} else if e.IsDir() {
				unmountBelow(filepath.Join(dir, e.Name()))
				os.RemoveAll(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// stale tells whether a name is of a lab whose process has ended.
func stale(name string) bool {
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return false
	}
	digits, _, ok := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(digits)
	return ok && err == nil && pid > 0 && unix.Kill(pid, 0) == unix.ESRCH
}
