package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cordonmesh/cordon/coordinator/internal/store"
)

// magic begins every SQLite file. SQLite itself takes an empty file for a new
// database, so we look before it does.
const magic = "SQLite format 3\x00"

// guard looks at the file before SQLite touches it.
func guard(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &store.Error{Op: "open", Path: path, Err: ErrMissing,
			Hint: "none is made anew, for it would have forgotten every revocation; " + hintRestore +
				", or begin a new mesh in an empty folder with: cordon-coordinator init"}
	}
	if err != nil {
		return &store.Error{Op: "open", Path: path, Err: err}
	}
	if !info.Mode().IsRegular() {
		return &store.Error{Op: "open", Path: path, Err: fmt.Errorf("%w: not a regular file", ErrDamaged), Hint: hintRestore}
	}
	if err := private(path, info); err != nil {
		return err
	}
	return checkMagic(path)
}

// private refuses files that others can read. Windows keeps its rights elsewhere.
func private(path string, file fs.FileInfo) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return &store.Error{Op: "open", Path: path, Err: err}
	}
	if file.Mode().Perm()&0o077 != 0 {
		return &store.Error{Op: "open", Path: path, Err: ErrExposed, Hint: "run: chmod 0600 " + path}
	}
	if folder.Mode().Perm()&0o077 != 0 {
		return &store.Error{Op: "open", Path: filepath.Dir(path), Err: ErrExposed, Hint: "run: chmod 0700 " + filepath.Dir(path)}
	}
	return nil
}

func checkMagic(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return &store.Error{Op: "open", Path: path, Err: err}
	}
	defer f.Close()
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); err != nil || string(head) != magic {
		return &store.Error{Op: "open", Path: path, Err: fmt.Errorf("%w: it does not begin as a SQLite file does", ErrDamaged), Hint: hintRestore}
	}
	return nil
}

// inspect checks that the file is ours, of a version that we know, and whole.
func (j *Journal) inspect(ctx context.Context) error {
	var app, schema int
	if err := j.write.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return j.fault("open", err)
	}
	if app != application {
		return j.damaged("open", "another program's database")
	}
	if err := j.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&schema); err != nil {
		return j.fault("open", err)
	}
	if schema > version {
		return &store.Error{Op: "open", Path: j.path, Err: fmt.Errorf("%w: schema %d, this program knows %d", ErrNewer, schema, version),
			Hint: "use the program that wrote it; to go back, restore a backup made by this one"}
	}
	if schema != version {
		return j.damaged("open", fmt.Sprintf("schema %d never was", schema))
	}
	var verdict string
	if err := j.write.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return j.fault("open", err)
	}
	if verdict != "ok" {
		return j.damaged("open", verdict)
	}
	return j.checkHead(ctx)
}

// checkHead compares the remembered end of the audit chain with its last record. The
// only handle of a file knows from then on where the journal ends.
func (j *Journal) checkHead(ctx context.Context) error {
	h, err := readHead(j.read.QueryRowContext(ctx, selectHead))
	if err != nil {
		return j.fault("open", err)
	}
	var last uint64
	if err := j.read.QueryRowContext(ctx, "SELECT coalesce(max(sequence), 0) FROM audit").Scan(&last); err != nil {
		return j.fault("open", err)
	}
	if last != h.chain.Sequence {
		return j.damaged("open", fmt.Sprintf("the audit ends at record %d, and should at %d", last, h.chain.Sequence))
	}
	if !j.shared {
		j.end.Store(h.revision)
	}
	return nil
}
