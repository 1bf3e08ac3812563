package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// sum is the checksum of a payload in its place: a payload that stands under
// another revision, or in another table, does not fit.
func sum(table string, revision uint64, payload []byte) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "cordon %s v1\n", table)
	h.Write(binary.BigEndian.AppendUint64(nil, revision))
	h.Write(payload)
	return h.Sum(nil)
}

// head is the row that names the end of journal and audit.
type head struct {
	revision uint64
	chain    audit.Head
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readHead(ctx context.Context, q querier) (h head, err error) {
	var hash []byte
	err = q.QueryRowContext(ctx, "SELECT revision, sequence, hash FROM head").Scan(&h.revision, &h.chain.Sequence, &hash)
	if err == nil && len(hash) != audit.Size {
		err = fmt.Errorf("%w: head with a hash of %d bytes", ErrDamaged, len(hash))
	}
	copy(h.chain.Hash[:], hash)
	return h, err
}

// transact runs do in one transaction that has the write lock from its start.
// The statements are sent by hand: after a COMMIT that failed, database/sql
// would give the connection back with its transaction open.
func (j *Journal) transact(ctx context.Context, op string, do func(*sql.Conn) error) error {
	if err := j.broken(); err != nil {
		return err
	}
	conn, err := j.write.Conn(ctx)
	if err != nil {
		return j.condemn(j.fault(op, err))
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return j.condemn(j.fault(op, err))
	}
	err = do(conn)
	if err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// What fails here was rolled back by SQLite itself; ctx may be what ended.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return j.condemn(j.fault(op, err))
	}
	return nil
}

// Append fulfils registry.Journal.
func (j *Journal) Append(ctx context.Context, expected uint64, entries []registry.Entry, records []audit.Draft) error {
	return j.transact(ctx, "append", func(conn *sql.Conn) error {
		h, err := readHead(ctx, conn)
		if err != nil {
			return err
		}
		if h.revision != expected {
			return fmt.Errorf("%w: it is at revision %d, not %d", registry.ErrConflict, h.revision, expected)
		}
		for _, e := range entries {
			if err := insertEntry(ctx, conn, &h, e); err != nil {
				return err
			}
		}
		for _, d := range records {
			if err := insertRecord(ctx, conn, &h, d); err != nil {
				return err
			}
		}
		_, err = conn.ExecContext(ctx, "UPDATE head SET revision = ?, sequence = ?, hash = ?", h.revision, h.chain.Sequence, h.chain.Hash[:])
		return err
	})
}

func insertEntry(ctx context.Context, conn *sql.Conn, h *head, e registry.Entry) error {
	if e.Revision != h.revision+1 {
		return fmt.Errorf("entry %d does not follow revision %d", e.Revision, h.revision)
	}
	payload, err := registry.EncodeEntry(e)
	if err != nil {
		return err
	}
	h.revision = e.Revision
	_, err = conn.ExecContext(ctx, "INSERT INTO entry VALUES (?, ?, ?)", e.Revision, payload, sum("entry", e.Revision, payload))
	return err
}

func insertRecord(ctx context.Context, conn *sql.Conn, h *head, d audit.Draft) error {
	var r audit.Record
	r, h.chain = audit.Seal(h.chain, d)
	_, err := conn.ExecContext(ctx, "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.Sequence, r.Time.UnixMilli(), r.Actor, r.Action, r.Object, r.Detail, r.Revision, r.Previous[:], r.Hash[:])
	return err
}

// Checkpoint fulfils registry.Journal. Entries up to the checkpoint before go,
// so that a registry that is a little behind still finds what it lacks.
func (j *Journal) Checkpoint(ctx context.Context, c registry.Checkpoint) error {
	return j.transact(ctx, "checkpoint", func(conn *sql.Conn) error {
		h, err := readHead(ctx, conn)
		if err != nil {
			return err
		}
		if c.Revision > h.revision {
			return fmt.Errorf("checkpoint %d of a journal at revision %d", c.Revision, h.revision)
		}
		var old uint64
		if err := conn.QueryRowContext(ctx, "SELECT coalesce(max(revision), 0) FROM checkpoint").Scan(&old); err != nil {
			return err
		}
		if c.Revision <= old {
			return nil
		}
		if _, err := conn.ExecContext(ctx, "DELETE FROM entry WHERE revision <= ?", old); err != nil {
			return err
		}
		_, err = conn.ExecContext(ctx, "INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?)",
			c.Revision, c.Data, sum("checkpoint", c.Revision, c.Data))
		return err
	})
}
