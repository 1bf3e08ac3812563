package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a registry; stop ends it and gives Run's error.
func serve(t testing.TB, j registry.Journal, c registry.Config) (r *registry.Registry, stop func() error) {
	t.Helper()
	r, err := registry.New(ctx, j, c)
	if err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.Run(running) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return r, stop
}

func do(t testing.TB, r *registry.Registry, c registry.Command) registry.Result {
	t.Helper()
	result, err := r.Do(ctx, ana, c)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return result
}

func initialise(t testing.TB, r *registry.Registry) {
	t.Helper()
	do(t, r, registry.Init{Mesh: wire.MeshID{1}, Domain: "m", IPv4: ipam.DefaultIPv4(), IPv6: netip.MustParsePrefix("fd00:1:2::/48")})
}

func token(id string, uses uint32) registry.CreateToken {
	return registry.CreateToken{ID: id, Secret: registry.HashSecret(id), Kind: registry.EnrolToken, User: "a@b", Uses: uses}
}

func TestDoShowsAndTells(t *testing.T) {
	r, _ := serve(t, storetest.NewMemory(), registry.Config{})
	before, changed := r.Watch()
	initialise(t, r)
	select {
	case <-changed:
	default:
		t.Error("a change was acknowledged before readers were told")
	}
	if before.Revision != 0 || r.Snapshot().Revision != 1 {
		t.Errorf("before: %d, after: %d", before.Revision, r.Snapshot().Revision)
	}
	still := r.Changed()
	do(t, r, registry.Note{Action: "x"})
	if _, err := r.Do(ctx, ana, registry.RemoveNode{Node: "x"}); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	select {
	case <-still:
		t.Error("readers were told of nothing")
	default:
	}
	entries, ok := r.Since(0)
	if !ok || len(entries) != 1 {
		t.Errorf("since 0: %v, %t", entries, ok)
	}
	if entries, ok = r.Since(1); !ok || len(entries) != 0 {
		t.Errorf("since 1: %v, %t", entries, ok)
	}
	if _, ok = r.Since(2); ok {
		t.Error("entries since a revision that is still to come")
	}
}

func TestSinceIsBounded(t *testing.T) {
	r, _ := serve(t, storetest.NewMemory(), registry.Config{})
	initialise(t, r)
	const n = 9000
	var wg sync.WaitGroup
	for w := range 9 {
		wg.Go(func() {
			for i := range n / 9 {
				if _, err := r.Do(ctx, ana, token(fmt.Sprintf("t-%d-%d", w, i), 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	last := r.Snapshot().Revision
	entries, ok := r.Since(last - 4096)
	if !ok || len(entries) != 4096 || entries[0].Revision != last-4095 || entries[4095].Revision != last {
		t.Errorf("the last 4096 entries: %d, %t", len(entries), ok)
	}
	if _, ok := r.Since(0); ok {
		t.Error("the ring has no bound")
	}
}

func TestWaitersShareATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowJournal{Memory: storetest.NewMemory()}
		r, stop := serve(t, slow, registry.Config{})
		initialise(t, r)
		before := slow.Appends()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { do(t, r, token(fmt.Sprint("t-", i), 1)) })
		}
		wg.Wait()
		if n := slow.Appends() - before; n > 3 {
			t.Errorf("100 commands that waited together took %d transactions", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// slowJournal takes a second for every transaction.
type slowJournal struct{ *storetest.Memory }

func (s *slowJournal) Append(ctx context.Context, expected uint64, entries []registry.Entry, records []audit.Draft) error {
	time.Sleep(time.Second)
	return s.Memory.Append(ctx, expected, entries, records)
}

func TestFullDiskChangesNothingAndHeals(t *testing.T) {
	j := storetest.NewMemory()
	r, stop := serve(t, j, registry.Config{})
	initialise(t, r)
	j.Fail(fmt.Errorf("disk: %w", registry.ErrFull))
	if _, err := r.Do(ctx, ana, token("t", 1)); !errors.Is(err, registry.ErrFull) {
		t.Errorf("with a full disk: %v", err)
	}
	if _, err := r.Do(ctx, ana, registry.Note{Action: "x"}); !errors.Is(err, registry.ErrFull) {
		t.Errorf("a note that is not written: %v", err)
	}
	if r.Snapshot().Revision != 1 {
		t.Error("what was not written is shown")
	}
	j.Fail(nil)
	do(t, r, token("t", 1))
	if head, err := r.VerifyAudit(ctx); err != nil || head.Sequence != 2 {
		t.Errorf("the audit: %+v, %v", head, err)
	}
	if err := stop(); err != nil {
		t.Errorf("a full disk ended Run: %v", err)
	}
}

func TestFailedDiskEndsRun(t *testing.T) {
	j := storetest.NewMemory()
	r, stop := serve(t, j, registry.Config{})
	initialise(t, r)
	j.Fail(registry.ErrFailed)
	if _, err := r.Do(ctx, ana, token("t", 1)); !errors.Is(err, registry.ErrFailed) {
		t.Errorf("with a failed disk: %v", err)
	}
	if _, err := r.Do(ctx, ana, token("u", 1)); !errors.Is(err, registry.ErrClosed) {
		t.Errorf("after that: %v", err)
	}
	if err := stop(); !errors.Is(err, registry.ErrFailed) {
		t.Errorf("Run gives %v", err)
	}
}

// replaced is a journal whose store was set back under the registry's feet.
type replaced struct{ *storetest.Memory }

func (replaced) Append(context.Context, uint64, []registry.Entry, []audit.Draft) error {
	return registry.ErrConflict
}

func TestReplacedStoreEndsRun(t *testing.T) {
	r, stop := serve(t, replaced{storetest.NewMemory()}, registry.Config{})
	if _, err := r.Do(ctx, ana, registry.Init{Mesh: wire.MeshID{1}, Domain: "m", IPv4: ipam.DefaultIPv4(), IPv6: ipam.RandomULA()}); !errors.Is(err, registry.ErrFailed) {
		t.Errorf("a conflict with nothing to learn: %v", err)
	}
	if err := stop(); !errors.Is(err, registry.ErrFailed) {
		t.Errorf("Run gives %v", err)
	}
}

func TestContextsAndEnds(t *testing.T) {
	r, stop := serve(t, storetest.NewMemory(), registry.Config{})
	initialise(t, r)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for range 20 {
		if _, err := r.Do(ended, ana, token("t", 1)); !errors.Is(err, context.Canceled) {
			t.Fatalf("with an ended context: %v", err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if r.Snapshot().Revision != 1 {
		t.Error("a command whose caller had left was decided")
	}
	if _, err := r.Do(ctx, ana, token("t", 1)); !errors.Is(err, registry.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestPollLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := storetest.NewMemory()
		a, stopA := serve(t, j, registry.Config{})
		b, stopB := serve(t, j, registry.Config{Poll: time.Second})
		initialise(t, a)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if b.Snapshot().Revision != 1 {
			t.Error("a poll learnt nothing")
		}
		if err := errors.Join(stopA(), stopB()); err != nil {
			t.Error(err)
		}
	})
}

func TestCheckpointsShortenTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := storetest.NewMemory()
		r, stop := serve(t, j, registry.Config{CheckpointEvery: 10})
		initialise(t, r)
		for i := range 24 {
			do(t, r, token(fmt.Sprint("t-", i), 1))
			synctest.Wait()
		}
		c, entries, err := j.Load(ctx)
		if err != nil || c.Revision != 20 || len(entries) != 5 {
			t.Errorf("checkpoint at %d, %d entries since, %v", c.Revision, len(entries), err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestNewRefusesGaps(t *testing.T) {
	if _, err := registry.New(ctx, gappy{storetest.NewMemory()}, registry.Config{}); !errors.Is(err, registry.ErrFailed) {
		t.Errorf("a journal with a gap: %v", err)
	}
}

type gappy struct{ *storetest.Memory }

func (gappy) Load(context.Context) (registry.Checkpoint, []registry.Entry, error) {
	return registry.Checkpoint{}, []registry.Entry{{Revision: 2, Event: registry.TokenRevoked{}}}, nil
}
