// Package sqlite keeps the coordinator's journal in one SQLite file: entries,
// the last checkpoint, and the audit chain.
//
// Its promises:
//
//   - What Append acknowledged survives kill -9 and loss of power (write-ahead
//     log, synchronous=FULL). Entries, audit records and the head that names the
//     end of both are in one transaction.
//   - A file that is missing, foreign, truncated or damaged, or that a newer
//     program wrote, is refused with words on how to go on. None is ever made anew
//     by Open: an empty store would forget every revocation.
//   - One process uses a file at a time. Nobody but its owner can read it.
//   - Without space nothing changes, and the next Append may succeed. After an
//     input or output error nothing is written any more: what reached the disk is
//     unknown until somebody opens the file again.
//
// A checksum stands beside every entry and checkpoint, because SQLite does not
// notice a flipped bit within a value.
//
// It leaves to the registry what entries mean, and to auth the sealing of backups.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store"

	_ "modernc.org/sqlite" // the driver, without cgo
)

var (
	// ErrMissing: there is no file to open.
	ErrMissing = errors.New("there is no store")
	// ErrExists: Create found something in its place.
	ErrExists = errors.New("there is something already")
	// ErrLocked: another process uses the file.
	ErrLocked = errors.New("another process uses this store")
	// ErrExposed: others than the owner can read the file or its folder.
	ErrExposed = errors.New("others than its owner can read it")
	// ErrDamaged: the content is not what was written, or not a store at all.
	ErrDamaged = errors.New("the store is damaged or is not one")
	// ErrNewer: a newer program wrote the file.
	ErrNewer = errors.New("a newer program wrote this store")
)

const (
	hintRestore = "restore the last backup with: cordon-coordinator restore"
	readers     = 4 // connections for reading: an export must not hold up a start page
)

// Options of Open. The zero value is what a coordinator wants.
type Options struct {
	// Shared lets several handles of one or more processes that all say Shared
	// open the file together, as several replicas do with a database server.
	Shared bool
}

// Journal is an open file. It fulfils registry.Journal.
type Journal struct {
	path   string
	lock   *os.File
	shared bool
	write  *sql.DB      // one connection
	idle   chan *writer // one slot: the writer while nobody has it; nil: to be made
	read   *sql.DB
	end    atomic.Uint64         // revision of the file, if that is known; 0: look
	failed atomic.Pointer[error] // set for good by the first I/O error of a write
}

var _ registry.Journal = (*Journal)(nil)

// Create makes the file of a new store, whose folder must be there, and opens it.
func Create(ctx context.Context, path string) (*Journal, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, &store.Error{Op: "create", Path: path, Err: ErrExists, Hint: "choose another state folder, or serve this one"}
	}
	// The file gets its name when it is whole. What a crash leaves behind has
	// another name, and the next Create takes it away.
	fresh := path + ".new"
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		os.Remove(fresh + suffix)
	}
	if err := build(ctx, fresh); err != nil {
		return nil, &store.Error{Op: "create", Path: path, Err: err}
	}
	if err := os.Rename(fresh, path); err != nil {
		return nil, &store.Error{Op: "create", Path: path, Err: err}
	}
	if err := store.SyncFolder(filepath.Dir(path)); err != nil {
		return nil, &store.Error{Op: "create", Path: path, Err: err}
	}
	return Open(ctx, path, Options{})
}

// build writes an empty store to a file that is not there.
func build(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", DSN(path, ""))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, schema())
	if err == nil {
		_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return errors.Join(err, db.Close())
}

// Open opens the file of a store and checks that it is whole.
func Open(ctx context.Context, path string, o Options) (*Journal, error) {
	if err := guard(path); err != nil {
		return nil, err
	}
	lock, err := lockFile(path+".lock", o.Shared)
	if err != nil {
		return nil, &store.Error{Op: "lock", Path: path, Err: err, Hint: "stop the other coordinator first"}
	}
	j := &Journal{path: path, lock: lock, shared: o.Shared, idle: make(chan *writer, 1)}
	j.idle <- nil
	if err := j.connect(ctx); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

func (j *Journal) connect(ctx context.Context) (err error) {
	if j.write, err = sql.Open("sqlite", DSN(j.path, "")); err != nil {
		return j.fault("open", err)
	}
	j.write.SetMaxOpenConns(1)
	if j.read, err = sql.Open("sqlite", DSN(j.path, "&_pragma=query_only(1)")); err != nil {
		return j.fault("open", err)
	}
	j.read.SetMaxOpenConns(readers)
	return j.inspect(ctx)
}

// DSN names a file that must exist to the driver, whose writes are on the disk once
// they are acknowledged. Pragmas stand in it because each connection of a pool needs
// them; more are added as "&_pragma=...". An in-path '?' or '#' is data, hence the
// escaping.
func DSN(path, more string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()}
	return u.String() + "?mode=rw&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=fullfsync(1)&_pragma=foreign_keys(1)&_pragma=trusted_schema(0)" + more
}

// Close lets go of the file.
func (j *Journal) Close() error {
	var errs []error
	if w := <-j.idle; w != nil {
		errs = append(errs, w.close())
	}
	j.end.Store(0)
	j.idle <- nil
	for _, db := range []*sql.DB{j.read, j.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	errs = append(errs, j.lock.Close())
	if err := errors.Join(errs...); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("closing the store %s: %w", j.path, err)
	}
	return nil
}
