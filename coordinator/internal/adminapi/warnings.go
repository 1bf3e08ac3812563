package adminapi

import (
	"context"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

// ListWarnings lists what lapses within 30 days, the next first, and then what nobody
// stands by.
func (a *API) ListWarnings(ctx context.Context, _ *connect.Request[admin.ListWarningsRequest]) (*connect.Response[admin.ListWarningsResponse], error) {
	out := new(admin.ListWarningsResponse)
	for _, w := range a.standing(ctx) {
		out.Warnings = append(out.Warnings, &admin.Warning{Kind: w.Kind, Name: w.Name, Until: seconds(w.Until), Text: w.Text()})
	}
	out.Warnings = append(out.Warnings, a.notices()...)
	return connect.NewResponse(out), nil
}

func (a *API) standing(ctx context.Context) []warn.Warning {
	if a.Lapses == nil {
		return nil
	}
	return warn.Standing(a.Lapses(ctx), a.Now())
}
