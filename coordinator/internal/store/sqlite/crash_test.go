package sqlite_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"
)

// crashPath names the store to a second process of this test binary, which
// writes to it until it is killed.
const crashPath = "CORDON_TEST_CRASH_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashPath); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver appends three entries and two records at a time, takes
// checkpoints, and says every revision that was acknowledged.
func writeForEver(path string) error {
	j, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	c, entries, err := j.Load(ctx)
	if err != nil {
		return err
	}
	at := int(c.Revision) + len(entries)
	for {
		next := []registry.Entry{entry(at + 1), entry(at + 2), entry(at + 3)}
		if err := j.Append(ctx, uint64(at), next, []audit.Draft{{Actor: "a"}, {Actor: "b"}}); err != nil {
			return err
		}
		at += 3
		fmt.Println(at)
		if at%60 == 0 {
			if err := j.Checkpoint(ctx, registry.Checkpoint{Revision: uint64(at), Data: []byte(strconv.Itoa(at))}); err != nil {
				return err
			}
		}
	}
}

// After kill -9 at a random point, everything acknowledged is there, and what
// was not is there whole or not at all.
func TestKilledWriterLosesNothing(t *testing.T) {
	path := written(t, 0)
	for range 25 {
		acknowledged := runAndKill(t, path)
		j, err := sqlite.Open(ctx, path, sqlite.Options{})
		must(t, err)
		c, entries, err := j.Load(ctx)
		must(t, err)
		at := c.Revision + uint64(len(entries))
		if at < acknowledged || at%3 != 0 {
			t.Errorf("revision %d after %d was acknowledged", at, acknowledged)
		}
		if c.Revision > 0 && string(c.Data) != fmt.Sprint(c.Revision) {
			t.Errorf("checkpoint %d holds %q", c.Revision, c.Data)
		}
		head, err := j.AuditHead(ctx)
		must(t, err)
		if head.Sequence != at/3*2 {
			t.Errorf("%d audit records at revision %d: entries and records did not go together", head.Sequence, at)
		}
		must(t, j.Close())
	}
	j, err := sqlite.Open(ctx, path, sqlite.Options{})
	must(t, err)
	defer j.Close()
	head, err := j.AuditHead(ctx)
	must(t, err)
	all, err := j.AuditRange(ctx, 0, 10_000)
	must(t, err)
	if uint64(len(all)) < head.Sequence {
		return // longer than one page; the contract reads in pages
	}
	_, err = audit.VerifyTo(head, func(yield func(audit.Record, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	})
	must(t, err)
}

// runAndKill gives the last revision that the process said before it was killed.
func runAndKill(t *testing.T, path string) (last uint64) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	var timer *time.Timer
	for lines.Scan() {
		if timer == nil { // counted from its first word, so that every run has written
			timer = time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, func() { cmd.Process.Kill() })
		}
		if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
			last = n
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return last
}

// A crash in Create leaves nothing that looks like a store.
func TestCrashedCreateIsNoStore(t *testing.T) {
	path := filepath.Join(folder(t), "cordon.db")
	must(t, os.WriteFile(path+".new", nil, 0o600))
	if _, err := sqlite.Open(ctx, path, sqlite.Options{}); !errors.Is(err, sqlite.ErrMissing) {
		t.Errorf("open gives %v", err)
	}
}
