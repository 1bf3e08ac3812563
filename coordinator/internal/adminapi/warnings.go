package adminapi

import (
	"context"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

// ListWarnings lists what lapses within 30 days, the next first, and then what nobody
// stands by.
func (a *API) ListWarnings(context.Context, *connect.Request[admin.ListWarningsRequest]) (*connect.Response[admin.ListWarningsResponse], error) {
	out := new(admin.ListWarningsResponse)
	for _, w := range a.standing() {
		out.Warnings = append(out.Warnings, &admin.Warning{Kind: w.Kind, Name: w.Name, Until: seconds(w.Until), Text: w.Text()})
	}
	out.Warnings = append(out.Warnings, a.notices()...)
	return connect.NewResponse(out), nil
}

func (a *API) standing() []warn.Warning {
	if a.Lapses == nil {
		return nil
	}
	return warn.Standing(a.Lapses(), a.Now())
}
