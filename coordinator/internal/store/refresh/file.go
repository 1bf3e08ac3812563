package refresh

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cordonmesh/cordon/coordinator/internal/store"
	"github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"
)

const (
	application = 0x43524652 // "CRFR", by which the file is told from other programs' and from the journal
	version     = 1
)

// schema is of one table. A row says no more in clear than whose it is and whether a
// question is under way.
const schema = `
PRAGMA application_id = %d;
CREATE TABLE token (
	session TEXT PRIMARY KEY,
	asked   INTEGER NOT NULL,
	sealed  BLOB NOT NULL
) STRICT;
PRAGMA user_version = %d;
`

// What is written, ever again. A row keeps its place: one that was taken out and put in
// anew would change its old place, its new one and the index.
const (
	putRow    = "INSERT INTO token VALUES (?, ?, ?) ON CONFLICT (session) DO UPDATE SET asked = excluded.asked, sealed = excluded.sealed"
	deleteRow = "DELETE FROM token WHERE session = ?"
)

// Remove takes a file away that nobody has open, if it is there.
func Remove(path string) error {
	var errs []error
	found := false
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		err := os.Remove(path + suffix)
		found = found || err == nil
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if found {
		errs = append(errs, store.SyncFolder(filepath.Dir(path)))
	}
	return errors.Join(errs...)
}

// open gives what stands in the file that is there, or makes one.
func (f *File) open() ([]Row, error) {
	if _, err := os.Lstat(f.Path); errors.Is(err, fs.ErrNotExist) {
		return nil, f.build()
	}
	if err := os.Chmod(f.Path, 0o600); err != nil {
		return nil, err
	}
	if err := f.connect(); err != nil {
		return nil, err
	}
	var app, schema int
	if err := errors.Join(f.db.QueryRow("PRAGMA application_id").Scan(&app), f.db.QueryRow("PRAGMA user_version").Scan(&schema)); err != nil {
		return nil, err
	}
	if app != application || schema != version {
		return nil, fmt.Errorf("it is of another program, or of another version of this one (%#x, schema %d)", app, schema)
	}
	if err := f.prepare(); err != nil {
		return nil, err
	}
	return f.read()
}

func (f *File) read() (all []Row, err error) {
	found, err := f.db.Query("SELECT session, asked, sealed FROM token")
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var r Row
		if err := found.Scan(&r.Session, &r.Asked, &r.Sealed); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, found.Err()
}

// build makes an empty file. What is there is of no use, or a crash left it.
func (f *File) build() error {
	if err := Remove(f.Path); err != nil {
		return err
	}
	// SQLite takes an empty file for a new one; made here, it is private from its first byte.
	empty, err := os.OpenFile(f.Path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := empty.Close(); err != nil {
		return err
	}
	if err := f.connect(); err != nil {
		return err
	}
	if _, err := f.db.Exec(fmt.Sprintf("BEGIN;"+schema+"COMMIT;", application, version)); err != nil {
		return err
	}
	if err := f.prepare(); err != nil {
		return err
	}
	return store.SyncFolder(filepath.Dir(f.Path))
}

func (f *File) connect() (err error) {
	if f.db, err = sql.Open("sqlite", sqlite.DSN(f.Path, "&_pragma=secure_delete(1)")); err != nil {
		return err
	}
	f.db.SetMaxOpenConns(1)
	return nil
}

// prepare has what is written read by SQLite once.
func (f *File) prepare() (err error) {
	if f.put, err = f.db.Prepare(putRow); err != nil {
		return err
	}
	f.del, err = f.db.Prepare(deleteRow)
	return err
}

// abandon removes the file, whose rows are worth nothing any more. That this fails too
// is of a disk on which no journal can be written either, and then the coordinator ends.
func (f *File) abandon() {
	var closed error
	if f.db != nil {
		closed = f.db.Close()
		f.db = nil
	}
	f.mu.Lock()
	clear(f.stored)
	f.mu.Unlock()
	if err := Remove(f.Path); err != nil {
		f.Log.Error("the file of refresh tokens, which holds what is no longer true, cannot be removed: remove it before the next start, or people may have to sign in again", "path", f.Path, "error", errors.Join(err, closed))
	}
}
