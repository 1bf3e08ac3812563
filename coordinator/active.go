package coordinator

import (
	"context"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// noteActive writes down when people were last active.
func (a *assembly) noteActive(ctx context.Context, at map[string]time.Time) error {
	_, err := a.registry.Do(ctx, registry.System, registry.NoteActive{At: at})
	return err
}
