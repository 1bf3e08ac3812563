//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// BinVariable names the environment variable that holds a directory with the
// built programs; without it they are built once per test process.
const BinVariable = "CORDON_BIN"

// Programs is a directory with the built programs.
type Programs struct{ dir string }

// Build gives the programs that [BinVariable] names, or builds them.
func Build(t T) Programs {
	t.Helper()
	dir := os.Getenv(BinVariable)
	if dir == "" {
		var err error
		if dir, err = buildOnce(); err != nil {
			t.Fatalf("build the programs: %v", err)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatalf("find the programs in %s: %v", dir, err)
	}
	return Programs{dir: abs}
}

// Path is where a program is.
func (p Programs) Path(name string) string { return filepath.Join(p.dir, name) }

// buildOnce builds into a directory named after this process, which the next
// process sweeps. The tests of one process take turns by a lock on it, and all
// but the first find the work done.
func buildOnce() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-bin", namePrefix, os.Getpid()))
	if err := os.MkdirAll(dir, 0o711); err != nil { // people of a shared machine run them too
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	done := filepath.Join(dir, ".done")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "github.com/cordonmesh/cordon/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return dir, os.WriteFile(done, nil, 0o600)
}
