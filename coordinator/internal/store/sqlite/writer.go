package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// writer is the one connection that writes, with its statements: to read the
// same SQL anew for every change cost as much as what it says.
type writer struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt // by their SQL, of which there is a handful
	end      uint64               // revision at which this transaction leaves the file
}

// prepare gives the statement of a text, which must be one of this package's.
func (w *writer) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := w.prepared[query]; st != nil {
		return st, nil
	}
	st, err := w.conn.PrepareContext(ctx, query)
	if err == nil {
		w.prepared[query] = st
	}
	return st, err
}

// do runs a statement that gives no rows.
func (w *writer) do(ctx context.Context, query string, args ...any) error {
	st, err := w.prepare(ctx, query)
	if err == nil {
		_, err = st.ExecContext(ctx, args...)
	}
	return err
}

// row runs a statement that gives one row.
func (w *writer) row(ctx context.Context, query string) *sql.Row {
	st, err := w.prepare(ctx, query)
	if err != nil {
		return w.conn.QueryRowContext(ctx, query) // says the same, to whoever reads the row
	}
	return st.QueryRowContext(ctx)
}

// close gives the connection back. What was prepared on it goes.
func (w *writer) close() error {
	var errs []error
	for _, st := range w.prepared {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// acquire takes the writer, which nobody else then has, and makes one if the last
// one was given up.
func (j *Journal) acquire(ctx context.Context) (*writer, error) {
	select {
	case w := <-j.idle:
		if w != nil {
			return w, nil
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := j.write.Conn(ctx)
	if err != nil {
		j.idle <- nil
		return nil, err
	}
	return &writer{conn: conn, prepared: map[string]*sql.Stmt{}}, nil
}

// release puts the writer back, and notes at which revision it left the file. One
// with which something failed is given up, so that a broken connection is not kept
// for ever, and only the file knows what it holds.
func (j *Journal) release(w *writer, err error) {
	if err == nil && !j.shared {
		j.end.Store(w.end)
	} else {
		j.end.Store(0)
	}
	if err != nil && !errors.Is(err, registry.ErrConflict) {
		_ = w.close() // err is the one to tell
		w = nil
	}
	j.idle <- w
}

// transact runs do in one transaction that has the write lock from its start.
// The statements are sent by hand: after a COMMIT that failed, database/sql
// would give the connection back with its transaction open.
func (j *Journal) transact(ctx context.Context, op string, do func(*writer) error) (err error) {
	if err := j.broken(); err != nil {
		return err
	}
	w, err := j.acquire(ctx)
	if err != nil {
		return j.condemn(j.fault(op, err))
	}
	defer func() { j.release(w, err) }()
	if err := w.do(ctx, "BEGIN IMMEDIATE"); err != nil {
		return j.condemn(j.fault(op, err))
	}
	err = do(w)
	if err == nil {
		err = w.do(ctx, "COMMIT")
	}
	if err != nil {
		// What fails here was rolled back by SQLite itself; ctx may be what ended.
		_ = w.do(context.WithoutCancel(ctx), "ROLLBACK")
		return j.condemn(j.fault(op, err))
	}
	return nil
}
