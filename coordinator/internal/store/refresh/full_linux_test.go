package refresh_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/store/refresh"
)

// On a full disk the file goes, for its rows would be behind the truth: a row without
// the mark of a question that was asked would have the right person refused after a
// crash. It comes back when there is room.
func TestFullDiskLeavesNoOldRow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Logf("NOT RUN: needs the right to mount a file system: %v", err)
		return
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	f := open(t, filepath.Join(dir, "refresh.db"))
	defer f.Close()
	<-f.Put("s", false, []byte("a token"))
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the disk does not fill")
	}
	<-f.Put("s", true, bytes.Repeat([]byte("x"), 1<<20))
	if left, err := filepath.Glob(f.path + "*"); err != nil || len(left) > 0 || f.Kept() != 0 {
		t.Errorf("%v is left, %d by its count, %v", left, f.Kept(), err)
	}
	if !strings.Contains(f.log.String(), "they stay in memory") {
		t.Errorf("the log says %q", f.log)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Minute)
	<-f.Put("s", false, []byte("another"))
	f.copied().has(refresh.Row{Session: "s", Sealed: []byte("another")})
}
