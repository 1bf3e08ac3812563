package coordinator

import (
	"context"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// noteActive writes down when people were last active.
func (a *assembly) noteActive(ctx context.Context, of map[registry.Sitting]registry.Activity) error {
	_, err := a.registry.Do(ctx, registry.System, registry.NoteActive{Of: of})
	return err
}
