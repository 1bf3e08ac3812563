package distribute_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// behind is a registry that went on between the hub's two questions: what has
// happened since is more than the state shows.
type behind struct {
	*registry.Registry
	held atomic.Pointer[registry.State] // what Snapshot gives; nil: what there is
}

func (b *behind) Snapshot() *registry.State {
	if s := b.held.Load(); s != nil {
		return s
	}
	return b.Registry.Snapshot()
}

// An entry beyond the state that the hub has seen waits for its own state: else who is
// removed would go by a state that still has them, and be told of with its revision.
func TestEntriesWaitForTheirState(t *testing.T) {
	play(t, fourTags, func(t *testing.T, w *world) {
		rest() // the world's own hub runs
		source, own := &behind{Registry: w.registry}, w.hub
		w.hub = distribute.New(distribute.Config{Source: source, Sign: w.sign, Keys: w.keys, Now: time.Now, Log: slog.New(w.log)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.check(w.hub.Run(ctx)) }()
		defer func() { stop(); <-ended; w.hub = own }()
		all := join(w, "tag:a", "tag:b")
		a, b := all[0], all[1]
		defer leaveAll(all[:1])

		source.held.Store(w.registry.Snapshot())
		w.policy(fourTags + "\n// the same in other words\n")
		edited := w.registry.Snapshot()
		w.do(registry.RemoveNode{Node: b.id})
		rest()
		anew(all...)

		source.held.Store(edited)
		if p, err := w.hub.PresentOne(t.Context(), b.id); err != nil || !p.Connected {
			t.Errorf("removed, by a state that has it: connected %v, %v", p.Connected, err)
		}
		rest()
		a.nothing(t, "does not know of the removal yet")

		source.held.Store(nil)
		if p, err := w.hub.PresentOne(t.Context(), b.id); err != nil || p.Connected {
			t.Errorf("removed: connected %v, %v", p.Connected, err)
		}
		rest()
		if a.got("revocation") != 1 || a.got("delta") != 1 {
			t.Errorf("of the removal its peer was told %v", a.order)
		}
	})
}
