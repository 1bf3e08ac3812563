package coordinator

import (
	"context"
	"path/filepath"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/rosters"
)

// observeEvery is how often the coordinator looks whether a day has begun, and who
// is on duty.
const observeEvery = 20 * time.Second

// observe tells the registry what is seen outside of the mesh, at once when the
// policy is another and then ever again, until ctx ends.
func (a *assembly) observe(ctx context.Context) error {
	seen := rosters.New(filepath.Join(a.StateDir, folderRosters), a.Log)
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	var of uint64 // revision of the policy that was looked at
	for {
		changed := a.registry.Changed()
		state := a.registry.Snapshot()
		if v := state.Policy(); v != nil && v.Revision != of {
			of = v.Revision
			a.look(ctx, state, seen)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
			a.look(ctx, state, seen)
		}
	}
}

// look looks once. That it cannot be told, as on a full disk, ends nothing: it is
// told the next time.
func (a *assembly) look(ctx context.Context, state *registry.State, seen *rosters.Rosters) {
	pol, err := state.Policy().Parsed()
	if err != nil || !pol.Timely() {
		return
	}
	now := a.Now()
	if _, err := a.registry.Do(ctx, registry.System, registry.Observe{Duty: seen.OnDuty(pol, now)}); err != nil && ctx.Err() == nil {
		a.Log.Warn("what was seen of schedules and rosters could not be kept", "error", err)
	}
}
