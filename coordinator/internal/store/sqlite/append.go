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

const selectHead = "SELECT revision, sequence, hash FROM head"

func readHead(row *sql.Row) (h head, err error) {
	var hash []byte
	err = row.Scan(&h.revision, &h.chain.Sequence, &hash)
	if err == nil && len(hash) != audit.Size {
		err = fmt.Errorf("%w: head with a hash of %d bytes", ErrDamaged, len(hash))
	}
	copy(h.chain.Hash[:], hash)
	return h, err
}

// Append fulfils registry.Journal.
func (j *Journal) Append(ctx context.Context, expected uint64, entries []registry.Entry, records []audit.Draft) error {
	return j.transact(ctx, "append", func(w *writer) error {
		h, err := readHead(w.row(ctx, selectHead))
		if err != nil {
			return err
		}
		if h.revision != expected {
			return fmt.Errorf("%w: it is at revision %d, not %d", registry.ErrConflict, h.revision, expected)
		}
		for _, e := range entries {
			if err := insertEntry(ctx, w, &h, e); err != nil {
				return err
			}
		}
		for _, d := range records {
			if err := insertRecord(ctx, w, &h, d); err != nil {
				return err
			}
		}
		w.end = h.revision
		return w.do(ctx, "UPDATE head SET revision = ?, sequence = ?, hash = ?", h.revision, h.chain.Sequence, h.chain.Hash[:])
	})
}

func insertEntry(ctx context.Context, w *writer, h *head, e registry.Entry) error {
	if e.Revision != h.revision+1 {
		return fmt.Errorf("entry %d does not follow revision %d", e.Revision, h.revision)
	}
	payload, err := registry.EncodeEntry(e)
	if err != nil {
		return err
	}
	h.revision = e.Revision
	return w.do(ctx, "INSERT INTO entry VALUES (?, ?, ?)", e.Revision, payload, sum("entry", e.Revision, payload))
}

func insertRecord(ctx context.Context, w *writer, h *head, d audit.Draft) error {
	var r audit.Record
	r, h.chain = audit.Seal(h.chain, d)
	return w.do(ctx, "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.Sequence, r.Time.UnixMilli(), r.Actor, r.Action, r.Object, r.Detail, r.Revision, r.Previous[:], r.Hash[:])
}

// Checkpoint fulfils registry.Journal. Entries up to the checkpoint before go,
// so that a registry that is a little behind still finds what it lacks.
func (j *Journal) Checkpoint(ctx context.Context, c registry.Checkpoint) error {
	return j.transact(ctx, "checkpoint", func(w *writer) error {
		h, err := readHead(w.row(ctx, selectHead))
		if err != nil {
			return err
		}
		w.end = h.revision
		if c.Revision > h.revision {
			return fmt.Errorf("checkpoint %d of a journal at revision %d", c.Revision, h.revision)
		}
		var old uint64
		if err := w.row(ctx, "SELECT coalesce(max(revision), 0) FROM checkpoint").Scan(&old); err != nil {
			return err
		}
		if c.Revision <= old {
			return nil
		}
		if err := w.do(ctx, "DELETE FROM entry WHERE revision <= ?", old); err != nil {
			return err
		}
		return w.do(ctx, "INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?)",
			c.Revision, c.Data, sum("checkpoint", c.Revision, c.Data))
	})
}
