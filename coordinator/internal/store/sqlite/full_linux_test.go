package sqlite_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"
)

// small gives a file system of 4 MiB, or "" if this user may mount none: then
// the registry's own test of a full journal stands alone.
func small(t *testing.T) string {
	dir := filepath.Join(folder(t), "disk")
	must(t, os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		t.Logf("NOT RUN: needs the right to mount a file system: %v", err)
		return ""
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := small(t)
	if dir == "" {
		return
	}
	path := filepath.Join(dir, "cordon.db")
	j, err := sqlite.Create(ctx, path)
	must(t, err)
	must(t, j.Append(ctx, 0, []registry.Entry{entry(1)}, []audit.Draft{{Actor: "a"}}))
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)

	at, refused := uint64(1), 0
	for refused < 3 {
		err := j.Append(ctx, at, []registry.Entry{entry(int(at) + 1)}, []audit.Draft{{Actor: "a", Detail: string(make([]byte, 100_000))}})
		switch {
		case err == nil:
			at++
		case errors.Is(err, registry.ErrFull):
			refused++
		default:
			t.Fatalf("a full disk gives %v, want ErrFull", err)
		}
		if at > 100 {
			t.Fatal("the disk does not fill")
		}
	}
	head, err := j.AuditHead(ctx)
	must(t, err)
	if _, entries, err := j.Load(ctx); err != nil || uint64(len(entries)) != at || head.Sequence != at {
		t.Errorf("on a full disk are %d entries and %d records of %d, %v", len(entries), head.Sequence, at, err)
	}
	must(t, os.Remove(ballast))
	must(t, j.Append(ctx, at, []registry.Entry{entry(int(at) + 1)}, []audit.Draft{{Actor: "a"}}))
	must(t, j.Close())
	j, err = sqlite.Open(ctx, path, sqlite.Options{})
	must(t, err)
	must(t, j.Close())
}

func fill(t *testing.T, path string) {
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for _, size := range []int{1 << 20, 1 << 12} {
		for {
			if _, err := f.Write(bytes.Repeat([]byte{1}, size)); err != nil {
				break
			}
		}
	}
}

func TestWriteErrorIsForGood(t *testing.T) {
	j, err := sqlite.Create(ctx, filepath.Join(folder(t), "cordon.db"))
	must(t, err)
	defer j.Close()
	// A limit on the length of files stands in for a disk that errs: the write
	// gives EFBIG, which is no lack of space. (The runtime ignores SIGXFSZ.)
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4096, Max: old.Max}))
	err = j.Append(ctx, 0, []registry.Entry{entry(1)}, []audit.Draft{{Actor: "a", Detail: string(make([]byte, 100_000))}})
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
	if !errors.Is(err, registry.ErrFailed) {
		t.Fatalf("a write error gives %v, want ErrFailed", err)
	}
	if err := j.Append(ctx, 0, []registry.Entry{entry(1)}, nil); !errors.Is(err, registry.ErrFailed) {
		t.Errorf("after a write error the journal writes on: %v", err)
	}
}
