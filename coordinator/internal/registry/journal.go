package registry

import (
	"context"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
)

// Checkpoint is a State as EncodeState wrote it. Revision 0 is none.
type Checkpoint struct {
	Revision uint64
	Data     []byte
}

// Journal keeps what happened. The store packages fulfil it, and storetest says
// in tests what each method must do.
//
// Errors wrap ErrConflict, ErrPruned, ErrFull or ErrFailed where these apply.
// All methods may be called from several goroutines.
type Journal interface {
	// Load gives the latest checkpoint and every entry after it. Anything that
	// does not read back exactly as it was written is an error.
	Load(ctx context.Context) (Checkpoint, []Entry, error)

	// Append writes entries and seals records into the audit chain, in one
	// transaction that is durable when it returns. The journal must stand at the
	// expected revision, else ErrConflict; entries have the revisions that follow
	// it without gaps. Either may be empty.
	Append(ctx context.Context, expected uint64, entries []Entry, records []audit.Draft) error

	// Tail gives the entries after a revision, or ErrPruned.
	Tail(ctx context.Context, since uint64) ([]Entry, error)

	// Checkpoint writes c. Entries before the checkpoint that was there may go.
	// An older checkpoint than the one that is there changes nothing.
	Checkpoint(ctx context.Context, c Checkpoint) error

	// AuditHead gives the end of the audit chain.
	AuditHead(ctx context.Context) (audit.Head, error)

	// AuditRange gives at most limit records after a sequence, in order.
	AuditRange(ctx context.Context, after uint64, limit int) ([]audit.Record, error)
}
