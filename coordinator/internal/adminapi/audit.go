package adminapi

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const auditPage = 500

// ListAudit gives a page of the audit.
func (a *API) ListAudit(ctx context.Context, req *connect.Request[admin.ListAuditRequest]) (*connect.Response[admin.ListAuditResponse], error) {
	limit := int(req.Msg.Limit)
	if limit <= 0 || limit > auditPage {
		limit = auditPage
	}
	records, err := a.Journal.AuditRange(ctx, req.Msg.After, limit)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	out := new(admin.ListAuditResponse)
	for _, r := range records {
		out.Records = append(out.Records, auditMessage(r))
	}
	return connect.NewResponse(out), nil
}

// ExportAudit streams the audit from a sequence on.
func (a *API) ExportAudit(ctx context.Context, req *connect.Request[admin.ExportAuditRequest], out *connect.ServerStream[admin.AuditRecord]) error {
	for after := req.Msg.After; ; {
		records, err := a.Journal.AuditRange(ctx, after, auditPage)
		if err != nil {
			return connect.NewError(connect.CodeUnavailable, err)
		}
		if len(records) == 0 {
			return nil
		}
		for _, r := range records {
			if err := out.Send(auditMessage(r)); err != nil {
				return err
			}
			after = r.Sequence
		}
	}
}

// Backup streams a sealed copy of the whole state.
func (a *API) Backup(ctx context.Context, _ *connect.Request[admin.BackupRequest], out *connect.ServerStream[admin.BackupChunk]) error {
	if _, err := a.do(ctx, registry.Note{Action: "backup.take", Object: "coordinator"}); err != nil {
		return err
	}
	if err := a.Config.Backup(ctx, chunks{out}); err != nil {
		a.Log.Error("backup failed", "error", err)
		return connect.NewError(connect.CodeInternal, errors.New("the backup failed; the coordinator's log says why"))
	}
	return nil
}

// chunks is an io.Writer that sends what is written.
type chunks struct {
	out *connect.ServerStream[admin.BackupChunk]
}

func (c chunks) Write(p []byte) (int, error) {
	const most = 64 << 10
	for sent := 0; sent < len(p); sent += most {
		if err := c.out.Send(&admin.BackupChunk{Data: p[sent:min(len(p), sent+most)]}); err != nil {
			return sent, err
		}
	}
	return len(p), nil
}

var _ io.Writer = chunks{}

func auditMessage(r audit.Record) *admin.AuditRecord {
	return &admin.AuditRecord{
		Sequence: r.Sequence, Time: r.Time.UnixMilli(), Actor: r.Actor, Action: r.Action, Object: r.Object,
		Detail: r.Detail, Revision: r.Revision, Previous: r.Previous[:], Hash: r.Hash[:],
	}
}
