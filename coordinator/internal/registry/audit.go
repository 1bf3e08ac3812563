package registry

import (
	"context"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
)

// auditPage is how many records are read from the journal at once.
const auditPage = 500

func (r *Registry) pages(ctx context.Context, after, last uint64, yield func(audit.Record, error) bool) {
	for after < last {
		page, err := r.AuditRange(ctx, after, int(min(auditPage, last-after)))
		if err != nil {
			yield(audit.Record{}, err)
			return
		}
		for _, rec := range page {
			if !yield(rec, nil) {
				return
			}
			after = rec.Sequence
		}
		if len(page) == 0 {
			return // the tail is missing: whoever verifies finds it
		}
	}
}

// VerifyAudit checks the whole chain and that it ends at the head that the
// journal remembers. It gives the head that the good part ends at; a chain that
// does not fit gives an *audit.BrokenError.
func (r *Registry) VerifyAudit(ctx context.Context) (audit.Head, error) {
	head, err := r.AuditHead(ctx)
	if err != nil {
		return audit.Head{}, err
	}
	return audit.VerifyTo(head, func(yield func(audit.Record, error) bool) { r.pages(ctx, 0, head.Sequence, yield) })
}
