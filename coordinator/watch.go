package coordinator

import (
	"context"
	"path/filepath"
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
)

// watch does what time brings, until ctx ends. At another policy it looks at once.
func (a *assembly) watch(ctx context.Context) error {
	seen := rosters.New(filepath.Join(a.StateDir, folderRosters), a.Log)
	looking, renewing := time.NewTicker(lookEvery), time.NewTicker(renewEvery)
	defer looking.Stop()
	defer renewing.Stop()
	a.keepDevices(ctx)
	var of uint64 // revision of the policy that was looked at
	for {
		changed := a.registry.Changed()
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
		}
	}
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
