package adminapi

import (
	"context"
	"errors"
	"iter"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/audit"
)

// VerifyAudit walks the whole chain up to the head that the journal remembers.
func (a *API) VerifyAudit(ctx context.Context, _ *connect.Request[admin.VerifyAuditRequest]) (*connect.Response[admin.VerifyAuditResponse], error) {
	want, err := a.Journal.AuditHead(ctx)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	head, err := audit.VerifyTo(want, a.chain(ctx, want.Sequence))
	out := &admin.VerifyAuditResponse{Ok: err == nil, Records: head.Sequence, Head: head.Hash[:]}
	if broken := new(audit.BrokenError); errors.As(err, &broken) {
		out.FirstBad, out.Message = broken.Sequence, broken.Error()
	} else if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return connect.NewResponse(out), nil
}

// chain reads the audit up to a sequence, page by page: what is added meanwhile
// is verified the next time.
func (a *API) chain(ctx context.Context, last uint64) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for after := uint64(0); after < last; {
			page, err := a.Journal.AuditRange(ctx, after, auditPage)
			if err != nil {
				yield(audit.Record{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
			for _, r := range page {
				if r.Sequence > last {
					return
				}
				if !yield(r, nil) {
					return
				}
				after = r.Sequence
			}
		}
	}
}
