package coordinator

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/rosters"
)

const (
	// lookEvery is how often the coordinator looks whether a day has begun, and who
	// is on duty.
	lookEvery = 20 * time.Second

	// renewEvery is how often it looks whether a key of its own nears its end.
	renewEvery = time.Hour

	// keepEvery is how often it is kept who is away.
	keepEvery = 10 * time.Minute
)

// watch does what time brings, until ctx ends. At another policy it looks at once, and has
// the warner look when somebody who operates is shut out.
func (a *assembly) watch(ctx context.Context) error {
	seen := rosters.New(filepath.Join(a.StateDir, folderRosters), a.Log)
	looking, renewing, keeping := time.NewTicker(lookEvery), time.NewTicker(renewEvery), time.NewTicker(keepEvery)
	defer looking.Stop()
	defer renewing.Stop()
	defer keeping.Stop()
	a.keepDevices(ctx)
	a.away.Keep(ctx)
	var of uint64                             // revision of the policy that was looked at
	out := a.registry.Snapshot().HoldersOut() // of whom the warner knows, as it looks at a start
	for {
		changed := a.registry.Changed()
		out = a.adminsOut(out)
		if v := a.registry.Snapshot().Policy(); v != nil && v.Revision != of {
			of = v.Revision
			a.look(ctx, seen)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-looking.C:
			a.look(ctx, seen)
			a.keepDevices(ctx)
			a.api.EndIdle(ctx)
		case <-renewing.C:
			a.renewKeys()
		case <-keeping.C:
			a.away.Keep(ctx)
		}
	}
}

// adminsOut gives who has a role and is shut out, and has the warner look if that is
// another than before: whoever does it, here or at the directory, they may have been the
// last owner, or have made a way back in.
func (a *assembly) adminsOut(before []string) []string {
	now := a.registry.Snapshot().HoldersOut()
	if !slices.Equal(now, before) {
		a.warner.Look()
	}
	return now
}

// look tells the registry what is seen outside of the mesh. That it cannot be
// told, as on a full disk, ends nothing: it is told the next time.
func (a *assembly) look(ctx context.Context, seen *rosters.Rosters) {
	pol, err := a.registry.Snapshot().Policy().Parsed()
	if err != nil || !pol.Timely() {
		return
	}
	_, err = a.registry.Do(ctx, registry.System, registry.Observe{Duty: seen.OnDuty(pol, a.Now())})
	if err != nil && ctx.Err() == nil {
		a.Log.Warn("what was seen of schedules and rosters could not be kept", "error", err)
	}
}

// renewKeys replaces map key and CA before they end.
func (a *assembly) renewKeys() {
	if renewed, err := a.authority.Renew(a.Now()); err != nil {
		a.Log.Error("a key of the mesh nears its end and cannot be renewed", "error", err)
	} else if renewed {
		a.Log.Info("a key of the mesh was renewed")
	}
}
