package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store"
)

// damaged is content that is not what was written.
func (j *Journal) damaged(op, why string) error {
	return &store.Error{Op: op, Path: j.path, Err: fmt.Errorf("%w: %w: %s", registry.ErrFailed, ErrDamaged, why), Hint: hintRestore}
}

// fault gives an error of SQLite the meaning that callers branch on.
func (j *Journal) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	if known := (*store.Error)(nil); errors.As(err, &known) {
		return err
	}
	e := &store.Error{Op: op, Path: j.path, Err: err}
	var sqlite *driver.Error
	if !errors.As(err, &sqlite) {
		return e
	}
	switch code := sqlite.Code(); {
	case code&0xff == codes.SQLITE_FULL, code == codes.SQLITE_IOERR_SHMSIZE:
		// The second is the write-ahead log's index, which is made anew at each
		// start; no data is in doubt.
		e.Err, e.Hint = fmt.Errorf("%w: %w", registry.ErrFull, err), "free some space; nothing was changed"
	case code&0xff == codes.SQLITE_CORRUPT, code&0xff == codes.SQLITE_NOTADB:
		e.Err, e.Hint = fmt.Errorf("%w: %w: %w", registry.ErrFailed, ErrDamaged, err), hintRestore
	case code&0xff == codes.SQLITE_IOERR, code&0xff == codes.SQLITE_READONLY:
		e.Err, e.Hint = fmt.Errorf("%w: %w", registry.ErrFailed, err), "look at the disk and its mount, then start again"
	}
	return e
}

// condemn keeps an error of a write that leaves in doubt what is on the disk.
// The kernel may have dropped the pages that it could not write, and a second
// fsync would then report success about nothing.
func (j *Journal) condemn(err error) error {
	if errors.Is(err, registry.ErrFailed) {
		j.failed.CompareAndSwap(nil, &err)
	}
	return err
}

// broken gives the error that ended the journal's life, if any.
func (j *Journal) broken() error {
	if err := j.failed.Load(); err != nil {
		return *err
	}
	return nil
}
