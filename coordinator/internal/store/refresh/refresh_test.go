package refresh_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/internal/store/refresh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is one under test.
type file struct {
	t *testing.T
	*refresh.File
	rows map[string]refresh.Row // that stood in it when it was opened
	path string
	now  time.Time
	log  *bytes.Buffer // of the writer: read it after a Put was acknowledged
}

func open(t *testing.T, path string) *file {
	t.Helper()
	f := &file{t: t, path: path, now: time.Now(), log: &bytes.Buffer{}, rows: map[string]refresh.Row{}}
	opened, rows := refresh.Open(refresh.Config{Path: path, Log: slog.New(slog.NewTextHandler(f.log, nil)), Now: func() time.Time { return f.now }})
	f.File = opened
	t.Cleanup(f.Close)
	for _, r := range rows {
		f.rows[r.Session] = r
	}
	return f
}

func fresh(t *testing.T) *file { return open(t, filepath.Join(t.TempDir(), "refresh.db")) }

// has compares what stood in the file when it was opened.
func (f *file) has(want ...refresh.Row) {
	f.t.Helper()
	all := map[string]refresh.Row{}
	for _, r := range want {
		all[r.Session] = r
	}
	same := func(a, b refresh.Row) bool { return a.Asked == b.Asked && bytes.Equal(a.Sealed, b.Sealed) }
	if !maps.EqualFunc(f.rows, all, same) || f.Kept() != len(want) {
		f.t.Errorf("%v stand there, and %d by its count; want %v", f.rows, f.Kept(), all)
	}
}

// copied opens what a crash at this moment would leave.
func (f *file) copied() *file {
	f.t.Helper()
	to := filepath.Join(f.t.TempDir(), "refresh.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(f.path + suffix)
		if err != nil {
			f.t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	return open(f.t, to)
}

// What was acknowledged is on the disk, and the last word on each session counts.
func TestWhatIsPutStays(t *testing.T) {
	f := fresh(t)
	f.has()
	f.Put("s-1", false, []byte("one"))
	f.Put("s-2", true, []byte("two"))
	f.Put("s-3", false, []byte("three"))
	f.Delete("s-3")
	<-f.Put("s-1", true, []byte("one anew"))
	want := []refresh.Row{{Session: "s-1", Asked: true, Sealed: []byte("one anew")}, {Session: "s-2", Asked: true, Sealed: []byte("two")}}
	f.copied().has(want...)
	f.Delete("s-2")
	f.Close()
	f.Close()
	<-f.Put("s-4", false, []byte("late"))
	open(t, f.path).has(want[0])
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it keeps rights elsewhere
	}
	f := fresh(t)
	<-f.Put("s", false, []byte("sealed"))
	private := func() {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if info, err := os.Stat(f.path + suffix); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", suffix, info, err)
			}
		}
	}
	private()
	f.Close()
	if err := os.Chmod(f.path, 0o644); err != nil {
		t.Fatal(err)
	}
	f = open(t, f.path)
	f.has(refresh.Row{Session: "s", Sealed: []byte("sealed")})
	<-f.Put("s", false, []byte("sealed"))
	private()
}

// A file that is no such file is begun anew, and the log says it once.
func TestFileThatCannotBeReadIsBegunAnew(t *testing.T) {
	whole := fresh(t)
	<-whole.Put("s", false, bytes.Repeat([]byte("sealed"), 4000))
	whole.Close()
	good, err := os.ReadFile(whole.path)
	if err != nil {
		t.Fatal(err)
	}
	foreign := bytes.Clone(good)
	copy(foreign[68:], "other") // application_id
	newer := bytes.Clone(good)
	newer[63] = 9 // user_version
	for name, content := range map[string][]byte{"empty": {}, "text": []byte(strings.Repeat("no database\n", 100)), "cut": good[:len(good)/2],
		"another program's": foreign, "a newer program's": newer} {
		path := filepath.Join(t.TempDir(), "refresh.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		f := open(t, path)
		f.has()
		<-f.Put("t", false, []byte("x"))
		f.Close()
		if said := f.log.String(); strings.Count(said, "begun anew") != 1 || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: the log says %q", name, said)
		}
		f = open(t, path)
		f.has(refresh.Row{Session: "t", Sealed: []byte("x")})
		f.Close()
	}
}

// Where no file can be, nothing fails and nobody waits; where it can be again, it is.
func TestPlaceThatTakesNoFile(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "away")
	f := open(t, filepath.Join(folder, "refresh.db"))
	for range 3 {
		<-f.Put("s-1", false, []byte("one"))
	}
	if f.Kept() != 0 || strings.Count(f.log.String(), "cannot be kept on the disk") != 1 {
		t.Errorf("%d kept, the log says %q", f.Kept(), f.log)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	<-f.Put("s-1", false, []byte("one"))
	if f.Kept() != 0 {
		t.Error("it is tried again at once")
	}
	f.now = f.now.Add(time.Minute)
	<-f.Put("s-1", false, []byte("one"))
	if f.Kept() != 1 || !strings.Contains(f.log.String(), "on the disk again") {
		t.Errorf("%d kept, the log says %q", f.Kept(), f.log)
	}
	f.copied().has(refresh.Row{Session: "s-1", Sealed: []byte("one")})
}

// Many at once are a few writes, each of them acknowledged.
func TestManyShareAWrite(t *testing.T) {
	f := fresh(t)
	var all []<-chan struct{}
	for i := range 500 {
		all = append(all, f.Put(fmt.Sprint(i), i%2 == 0, fmt.Appendf(nil, "sealed %d", i)))
	}
	for _, written := range all {
		<-written
	}
	if f.Kept() != 500 {
		t.Errorf("%d are kept", f.Kept())
	}
	// A write of its own would have a page of 4 KiB for each in the log.
	if log, err := os.Stat(f.path + "-wal"); err != nil || log.Size() > 1<<20 {
		t.Errorf("the log of writes has %d bytes, %v", log.Size(), err)
	}
	if err := refresh.Remove(f.path + ".none"); err != nil {
		t.Errorf("to remove what is not there: %v", err)
	}
	f.Close()
	if err := refresh.Remove(f.path); err != nil {
		t.Error(err)
	}
	open(t, f.path).has()
}

// A row that is written again costs one page of the log: it keeps its place, and its place
// in the index.
func TestRowKeepsItsPlace(t *testing.T) {
	f := fresh(t)
	var last <-chan struct{}
	for i := range 300 {
		last = f.Put(fmt.Sprintf("s-%03d", i), false, bytes.Repeat([]byte{byte(i)}, 400))
	}
	<-last
	size := func() int64 {
		log, err := os.Stat(f.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return log.Size()
	}
	before := size()
	<-f.Put("s-123", true, bytes.Repeat([]byte("x"), 400))
	if grown, page := size()-before, int64(4096+24); grown != page {
		t.Errorf("the log of writes grew by %d bytes, and a page there has %d", grown, page)
	}
	f.Close()
}

// Changes within a tenth of a second share one write, and nobody waits for it to pass
// when the file is closed.
func TestChangesWaitForEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "refresh.db")
	synctest.Test(t, func(t *testing.T) {
		f := open(t, path)
		first := f.Put("s-1", false, []byte("one"))
		time.Sleep(99 * time.Millisecond)
		if f.Put("s-2", false, []byte("two")) != first {
			t.Error("the second has a write of its own")
		}
		<-first
		began := time.Now()
		f.Put("s-3", false, []byte("three"))
		if f.Close(); time.Since(began) > 0 || f.Kept() != 3 {
			t.Errorf("closed after %v, with %d", time.Since(began), f.Kept())
		}
	})
}
