package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// maxRange bounds one AuditRange.
const maxRange = 10_000

// Load fulfils registry.Journal.
func (j *Journal) Load(ctx context.Context) (c registry.Checkpoint, entries []registry.Entry, err error) {
	err = j.look(ctx, "load", func(tx *sql.Tx) error {
		h, err := readHead(tx.QueryRowContext(ctx, selectHead))
		if err != nil {
			return err
		}
		if c, err = j.readCheckpoint(ctx, tx); err != nil {
			return err
		}
		entries, err = j.readEntries(ctx, tx, c.Revision, h.revision)
		if errors.Is(err, registry.ErrPruned) {
			return j.damaged("load", fmt.Sprintf("entry %d, the first after its checkpoint, is missing", c.Revision+1))
		}
		return err
	})
	return c, entries, err
}

// Tail fulfils registry.Journal. Whether there is something after its own last
// Append, the only handle of a file knows by itself.
func (j *Journal) Tail(ctx context.Context, since uint64) (entries []registry.Entry, err error) {
	if since != 0 && since == j.end.Load() && ctx.Err() == nil && j.broken() == nil {
		return nil, nil
	}
	err = j.look(ctx, "tail", func(tx *sql.Tx) error {
		h, err := readHead(tx.QueryRowContext(ctx, selectHead))
		if err != nil {
			return err
		}
		entries, err = j.readEntries(ctx, tx, since, h.revision)
		return err
	})
	return entries, err
}

// look runs do on one consistent view of the file, which holds up no writer.
func (j *Journal) look(ctx context.Context, op string, do func(*sql.Tx) error) error {
	tx, err := j.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return j.fault(op, err)
	}
	defer tx.Rollback()
	return j.fault(op, do(tx))
}

func (j *Journal) readCheckpoint(ctx context.Context, tx *sql.Tx) (c registry.Checkpoint, err error) {
	var check []byte
	err = tx.QueryRowContext(ctx, "SELECT revision, payload, sum FROM checkpoint").Scan(&c.Revision, &c.Data, &check)
	if errors.Is(err, sql.ErrNoRows) {
		return registry.Checkpoint{}, nil
	}
	if err != nil {
		return c, err
	}
	if !bytes.Equal(check, sum("checkpoint", c.Revision, c.Data)) {
		return c, j.damaged("load", fmt.Sprintf("checkpoint %d is not as it was written", c.Revision))
	}
	return c, nil
}

// readEntries gives the entries after since, which must end at last. An error
// that wraps ErrPruned means that the first ones are gone.
func (j *Journal) readEntries(ctx context.Context, tx *sql.Tx, since, last uint64) ([]registry.Entry, error) {
	rows, err := tx.QueryContext(ctx, "SELECT revision, payload, sum FROM entry WHERE revision > ? ORDER BY revision", since)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []registry.Entry
	next := since + 1
	for ; rows.Next(); next++ {
		e, err := j.scanEntry(rows)
		if err != nil {
			return nil, err
		}
		if e.Revision != next {
			if len(entries) == 0 {
				return nil, fmt.Errorf("%w: entry %d is the first after %d", registry.ErrPruned, e.Revision, since)
			}
			return nil, j.damaged("load", fmt.Sprintf("entry %d is missing", next))
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if since <= last && next != last+1 {
		return nil, j.damaged("load", fmt.Sprintf("it ends at revision %d, and should at %d", next-1, last))
	}
	return entries, nil
}

func (j *Journal) scanEntry(rows *sql.Rows) (registry.Entry, error) {
	var revision uint64
	var payload, check []byte
	if err := rows.Scan(&revision, &payload, &check); err != nil {
		return registry.Entry{}, err
	}
	if !bytes.Equal(check, sum("entry", revision, payload)) {
		return registry.Entry{}, j.damaged("load", fmt.Sprintf("entry %d is not as it was written", revision))
	}
	return registry.DecodeEntry(revision, payload)
}

// AuditHead fulfils registry.Journal.
func (j *Journal) AuditHead(ctx context.Context) (audit.Head, error) {
	h, err := readHead(j.read.QueryRowContext(ctx, selectHead))
	return h.chain, j.fault("read audit", err)
}

// AuditRange fulfils registry.Journal. A limit over 10,000 counts as that.
func (j *Journal) AuditRange(ctx context.Context, after uint64, limit int) ([]audit.Record, error) {
	rows, err := j.read.QueryContext(ctx, `SELECT sequence, time, actor, action, object, detail, revision, previous, hash
		FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?`, after, max(0, min(limit, maxRange)))
	if err != nil {
		return nil, j.fault("read audit", err)
	}
	defer rows.Close()
	var out []audit.Record
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, j.fault("read audit", err)
		}
		out = append(out, r)
	}
	return out, j.fault("read audit", rows.Err())
}

func scanRecord(rows *sql.Rows) (r audit.Record, err error) {
	var ms int64
	var previous, hash []byte
	err = rows.Scan(&r.Sequence, &ms, &r.Actor, &r.Action, &r.Object, &r.Detail, &r.Revision, &previous, &hash)
	if err == nil && (len(previous) != audit.Size || len(hash) != audit.Size) {
		err = fmt.Errorf("%w: audit record %d has hashes of %d and %d bytes", ErrDamaged, r.Sequence, len(previous), len(hash))
	}
	r.Time = time.UnixMilli(ms).UTC()
	copy(r.Previous[:], previous)
	copy(r.Hash[:], hash)
	return r, err
}
