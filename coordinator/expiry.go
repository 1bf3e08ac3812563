package coordinator

import (
	"context"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// deviceLife gives how long people's machines stay without a proof; 0: for good.
func (s *SignIn) deviceLife() time.Duration {
	switch {
	case s.DeviceLife < 0:
		return 0
	case s.DeviceLife == 0 && s.people():
		return deviceLife
	}
	return s.DeviceLife
}

// keepDevices gives people's machines an end that have none, and takes those out
// whose end has come: their peers have done so already, by policy time.
func (a *assembly) keepDevices(ctx context.Context) {
	keep := registry.KeepDevices{Life: a.SignIn.deviceLife()}
	for keep.Due(a.registry.Snapshot(), a.Now()) {
		if _, err := a.registry.Do(ctx, registry.System, keep); err != nil {
			if ctx.Err() == nil {
				a.Log.Warn("the end of machines' time could not be kept", "error", err)
			}
			return
		}
	}
}
