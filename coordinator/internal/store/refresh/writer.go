package refresh

import (
	"errors"
	"time"
)

// pause is how long a file that could not be written is left alone.
const pause = time.Minute

var errAway = errors.New("the disk is left alone for a while")

// gathering is for how long changes wait for others that share their write: where 33
// questions begin and end in a second, the writes would else cost as much as all the rest.
const gathering = 100 * time.Millisecond

func (f *File) gather() {
	timer := time.NewTimer(gathering)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.closing:
	}
}

// run writes what was put until Close.
func (f *File) run() {
	defer close(f.ended)
	for range f.wake {
		f.gather()
		f.flush()
	}
	f.flush()
	if f.db != nil {
		if err := f.db.Close(); err != nil {
			f.Log.Warn("the file of refresh tokens is not closed as it should be", "path", f.Path, "error", err)
		}
	}
}

func (f *File) flush() {
	f.mu.Lock()
	b := f.next
	f.next = newBatch()
	f.mu.Unlock()
	defer close(b.done)
	if len(b.rows) == 0 {
		return
	}
	if err := f.commit(b.rows); err != nil {
		f.failed(err)
		return
	}
	if f.sick {
		f.sick = false
		f.Log.Info("refresh tokens are kept on the disk again", "path", f.Path)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for session, r := range b.rows {
		if r.Sealed == nil {
			delete(f.stored, session)
		} else {
			f.stored[session] = struct{}{}
		}
	}
}

// failed gives the file up, for its rows are behind the truth from now on. Each
// session is asked for within a span, and so is in the next file soon.
func (f *File) failed(err error) {
	if errors.Is(err, errAway) {
		return
	}
	if !f.sick {
		f.sick = true
		f.Log.Warn("refresh tokens cannot be kept on the disk: they stay in memory, and after a restart people are asked for from their next sign-in", "path", f.Path, "error", err)
	}
	f.retry = f.Now().Add(pause)
	f.abandon()
}

// commit writes rows in one transaction, to a new file if there is none.
func (f *File) commit(rows map[string]Row) error {
	if f.db == nil {
		if f.Now().Before(f.retry) {
			return errAway
		}
		if err := f.build(); err != nil {
			return err
		}
	}
	tx, err := f.db.Begin()
	if err != nil {
		return err
	}
	put, del := tx.Stmt(f.put), tx.Stmt(f.del)
	for session, r := range rows {
		if r.Sealed == nil {
			_, err = del.Exec(session)
		} else {
			_, err = put.Exec(session, r.Asked, r.Sealed)
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}
