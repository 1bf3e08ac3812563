package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"

	"github.com/cordonmesh/cordon/coordinator/internal/store"
)

// Copy writes the store as it is at one moment to a new file, which Open can
// open. Writers go on meanwhile.
func (j *Journal) Copy(ctx context.Context, path string) error {
	// SQLite takes an empty file for a new one; made here, it is private from its
	// first byte.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return &store.Error{Op: "copy " + j.path, Path: path, Err: err, Hint: "choose a name that is free"}
	}
	defer f.Close()
	err = j.vacuum(ctx, path)
	if err == nil {
		err = errors.Join(f.Sync(), store.SyncFolder(filepath.Dir(path)))
	}
	if err != nil {
		return &store.Error{Op: "copy " + j.path, Path: path, Err: errors.Join(err, os.Remove(path))}
	}
	return nil
}

// vacuum has a connection of its own: those for reading may write nothing, and
// the one for writing has other things to do.
func (j *Journal) vacuum(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", DSN(j.path, ""))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	return errors.Join(err, db.Close())
}
