package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder gives a private folder.
func folder(t testing.TB) string {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	return dir
}

// written makes a store with n entries and records, and closes it.
func written(t testing.TB, n int) string {
	path := filepath.Join(folder(t), "cordon.db")
	j, err := sqlite.Create(ctx, path)
	must(t, err)
	for i := range n {
		must(t, j.Append(ctx, uint64(i), []registry.Entry{entry(i + 1)}, []audit.Draft{{Time: time.Unix(int64(i), 0), Actor: "system", Action: "test"}}))
	}
	must(t, j.Close())
	return path
}

func entry(revision int) registry.Entry {
	return registry.Entry{Revision: uint64(revision), Time: time.Unix(0, 0), Event: registry.TokenRevoked{ID: fmt.Sprintf("needle-%d", revision)}}
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() registry.Journal {
		path := written(t, 0)
		return func() registry.Journal {
			j, err := sqlite.Open(ctx, path, sqlite.Options{Shared: true})
			must(t, err)
			t.Cleanup(func() { must(t, j.Close()) })
			return j
		}
	})
}

// A coordinator's own handle, which knows by itself what it wrote, is held to the
// same contract with all its users on it.
func TestContractOfTheOnlyHandle(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() registry.Journal {
		j, err := sqlite.Open(ctx, written(t, 0), sqlite.Options{})
		must(t, err)
		t.Cleanup(func() { must(t, j.Close()) })
		return func() registry.Journal { return j }
	})
}

// What changes nothing, as a node's report of what is known already or a provider's word
// on who stands, costs no question to SQLite; also before anything else is written.
func TestTheOnlyHandleKnowsItsEnd(t *testing.T) {
	j, err := sqlite.Open(ctx, written(t, 3), sqlite.Options{})
	must(t, err)
	defer j.Close()
	tail := func(since uint64, want int) {
		t.Helper()
		if entries, err := j.Tail(ctx, since); err != nil || len(entries) != want {
			t.Fatalf("after %d there are %d entries, %v; want %d", since, len(entries), err, want)
		}
	}
	known := func(end uint64) {
		t.Helper()
		if n := testing.AllocsPerRun(10, func() { tail(end, 0) }); n > 0 {
			t.Errorf("looking at the known end %d allocates %v times", end, n)
		}
	}
	known(3)
	tail(2, 1)
	must(t, j.Append(ctx, 3, []registry.Entry{entry(4)}, nil))
	known(4)
	tail(3, 1)
	if err := j.Append(ctx, 3, []registry.Entry{entry(4)}, nil); !errors.Is(err, registry.ErrConflict) {
		t.Fatalf("an append in the past gives %v", err)
	}
	tail(4, 0)
	must(t, j.Append(ctx, 4, []registry.Entry{entry(5)}, nil))
	tail(4, 1)
	must(t, j.Close())
	if _, err := j.Tail(ctx, 5); err == nil {
		t.Error("a closed journal answers")
	}
}

func TestReopenKeepsAll(t *testing.T) {
	j, err := sqlite.Open(ctx, written(t, 5), sqlite.Options{})
	must(t, err)
	defer j.Close()
	_, entries, err := j.Load(ctx)
	must(t, err)
	head, err := j.AuditHead(ctx)
	must(t, err)
	if len(entries) != 5 || head.Sequence != 5 {
		t.Fatalf("%d entries and %d records, want 5", len(entries), head.Sequence)
	}
}

func TestSecondOwnerRefused(t *testing.T) {
	path := written(t, 1)
	j, err := sqlite.Open(ctx, path, sqlite.Options{})
	must(t, err)
	for _, o := range []sqlite.Options{{}, {Shared: true}} {
		if _, err := sqlite.Open(ctx, path, o); !errors.Is(err, sqlite.ErrLocked) {
			t.Fatalf("a second open with %+v gives %v, want ErrLocked", o, err)
		}
	}
	must(t, j.Close())
	j, err = sqlite.Open(ctx, path, sqlite.Options{})
	must(t, err)
	must(t, j.Close())
}

func TestRefusesAtOpen(t *testing.T) {
	other := filepath.Join(folder(t), "other.db")
	db, err := sql.Open("sqlite", other)
	must(t, err)
	_, err = db.Exec("CREATE TABLE x (y)")
	must(t, err)
	must(t, db.Close())
	foreign, err := os.ReadFile(other)
	must(t, err)

	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  error
	}{
		{"missing", func(t *testing.T, path string) { must(t, os.Remove(path)) }, sqlite.ErrMissing},
		{"zero length", func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) }, sqlite.ErrDamaged},
		{"half", func(t *testing.T, path string) { must(t, os.Truncate(path, size(t, path)/2)) }, sqlite.ErrDamaged},
		{"one page short", func(t *testing.T, path string) { must(t, os.Truncate(path, size(t, path)-4096)) }, sqlite.ErrDamaged},
		{"text", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("hello "), 4096), 0o600))
		}, sqlite.ErrDamaged},
		{"another program's", func(t *testing.T, path string) { must(t, os.WriteFile(path, foreign, 0o600)) }, sqlite.ErrDamaged},
		{"another program's, with our version", func(t *testing.T, path string) { execute(t, path, "PRAGMA application_id = 7") }, sqlite.ErrDamaged},
		{"zeroes within", func(t *testing.T, path string) { overwrite(t, path, 4096+100, make([]byte, 8192)) }, sqlite.ErrDamaged},
		{"newer schema", func(t *testing.T, path string) { execute(t, path, "PRAGMA user_version = 99") }, sqlite.ErrNewer},
		{"older than any", func(t *testing.T, path string) { execute(t, path, "PRAGMA user_version = 0") }, sqlite.ErrDamaged},
		{"audit tail cut", func(t *testing.T, path string) {
			execute(t, path, "DROP TRIGGER audit_delete; DELETE FROM audit WHERE sequence > 15")
		}, sqlite.ErrDamaged},
		{"readable by all", func(t *testing.T, path string) { must(t, os.Chmod(path, 0o644)) }, sqlite.ErrExposed},
		{"folder open to all", func(t *testing.T, path string) { must(t, os.Chmod(filepath.Dir(path), 0o755)) }, sqlite.ErrExposed},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := written(t, 20)
			c.spoil(t, path)
			j, err := sqlite.Open(ctx, path, sqlite.Options{})
			if err == nil {
				j.Close()
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("open gives %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), filepath.Dir(path)) {
				t.Errorf("%q does not name the file", err)
			}
			if errors.Is(err, sqlite.ErrDamaged) && !strings.Contains(err.Error(), "cordon-coordinator restore") {
				t.Errorf("%q does not say how to restore", err)
			}
			if c.name == "zero length" && size(t, path) > 0 {
				t.Error("an empty file was made into a store")
			}
			if _, err := os.Stat(path); c.want == sqlite.ErrMissing && err == nil {
				t.Error("a missing store was made anew")
			}
		})
	}
}

func size(t *testing.T, path string) int64 {
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func overwrite(t *testing.T, path string, at int64, with []byte) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(with, at)
	must(t, errors.Join(err, f.Close()))
}

func execute(t *testing.T, path, statement string) {
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec(statement)
	must(t, errors.Join(err, db.Close()))
}

func TestRefusesAtLoad(t *testing.T) {
	for name, statement := range map[string]string{
		"an entry changed":     "UPDATE entry SET payload = CAST(replace(CAST(payload AS TEXT), 'needle-3', 'needle-4') AS BLOB) WHERE revision = 3",
		"two entries swapped":  "UPDATE entry SET revision = -2 WHERE revision = 2; UPDATE entry SET revision = 2 WHERE revision = 3; UPDATE entry SET revision = 3 WHERE revision = -2",
		"an entry missing":     "DELETE FROM entry WHERE revision = 3",
		"the first missing":    "DELETE FROM entry WHERE revision = 1",
		"the last missing":     "DELETE FROM entry WHERE revision = 5",
		"a made-up checkpoint": "INSERT INTO checkpoint VALUES (1, 5, x'00', zeroblob(32))",
	} {
		t.Run(name, func(t *testing.T) {
			path := written(t, 5)
			execute(t, path, statement)
			j, err := sqlite.Open(ctx, path, sqlite.Options{})
			must(t, err)
			defer j.Close()
			if _, _, err := j.Load(ctx); !errors.Is(err, sqlite.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Fatalf("load gives %v, want ErrDamaged with the path", err)
			}
		})
	}
}

func TestCreateTakesNothingsPlace(t *testing.T) {
	path := written(t, 1)
	if _, err := sqlite.Create(ctx, path); !errors.Is(err, sqlite.ErrExists) {
		t.Fatalf("create over a store gives %v, want ErrExists", err)
	}
	fresh := filepath.Join(folder(t), "cordon.db")
	must(t, os.WriteFile(fresh+".new", []byte("left behind by a crash"), 0o600))
	j, err := sqlite.Create(ctx, fresh)
	must(t, err)
	must(t, j.Close())
	for _, f := range []string{fresh, fresh + ".lock"} {
		info, err := os.Stat(f)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", f, info.Mode().Perm())
		}
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"with space.db", "what?mode=memory", "a#b", "100%25.db", "ä.db"} {
		path := filepath.Join(folder(t), name)
		j, err := sqlite.Create(ctx, path)
		must(t, err)
		must(t, j.Append(ctx, 0, []registry.Entry{entry(1)}, nil))
		must(t, j.Close())
		j, err = sqlite.Open(ctx, path, sqlite.Options{})
		must(t, err)
		if _, entries, err := j.Load(ctx); err != nil || len(entries) != 1 {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
		must(t, j.Close())
	}
}

func TestCopyIsAWholeStore(t *testing.T) {
	path := written(t, 20)
	j, err := sqlite.Open(ctx, path, sqlite.Options{})
	must(t, err)
	defer j.Close()
	twin := filepath.Join(folder(t), "copy.db")
	must(t, j.Copy(ctx, twin))
	must(t, j.Append(ctx, 20, []registry.Entry{entry(21)}, nil)) // goes on, and is not in the copy
	if err := j.Copy(ctx, twin); err == nil {
		t.Fatal("a copy overwrote a file")
	}
	info, err := os.Stat(twin)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %o", info.Mode().Perm())
	}
	k, err := sqlite.Open(ctx, twin, sqlite.Options{})
	must(t, err)
	defer k.Close()
	if _, entries, err := k.Load(ctx); err != nil || len(entries) != 20 {
		t.Fatalf("the copy has %d entries, %v", len(entries), err)
	}
}

func TestAuditCannotBeEditedByAccident(t *testing.T) {
	path := written(t, 3)
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	for _, statement := range []string{"DELETE FROM audit", "UPDATE audit SET actor = 'nobody'"} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}

// A DBA who takes the triggers away and edits a row is found by the chain.
func TestEditedAuditIsFound(t *testing.T) {
	path := written(t, 9)
	execute(t, path, "DROP TRIGGER audit_update; UPDATE audit SET actor = 'nobody' WHERE sequence = 4")
	j, err := sqlite.Open(ctx, path, sqlite.Options{})
	must(t, err)
	defer j.Close()
	r, err := registry.New(ctx, j, registry.Config{})
	must(t, err)
	var broken *audit.BrokenError
	if _, err := r.VerifyAudit(ctx); !errors.As(err, &broken) || broken.Sequence != 4 {
		t.Fatalf("verify gives %v, want a break at 4", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	path := written(b, 0)
	j, err := sqlite.Open(ctx, path, sqlite.Options{})
	must(b, err)
	defer j.Close()
	n := 0
	for b.Loop() {
		must(b, j.Append(ctx, uint64(n), []registry.Entry{entry(n + 1)}, []audit.Draft{{Actor: "system"}}))
		n++
	}
}
