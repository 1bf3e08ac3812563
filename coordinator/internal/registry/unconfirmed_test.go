package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
)

// tentative is a policy that is put in force for ten minutes, over one that stays.
func tentative(t *testing.T, r *registry.Registry) {
	t.Helper()
	do(t, r, registry.SetPolicy{Text: "{} /* old */", File: "p"})
	if v := do(t, r, registry.SetPolicy{Text: "{} /* new */", File: "p", ConfirmWithin: 10 * time.Minute}).Policy; !v.Until.Equal(time.Now().Add(10 * time.Minute)) {
		t.Fatalf("until %v, now is %v", v.Until, time.Now())
	}
}

func audited(t *testing.T, r *registry.Registry) string {
	t.Helper()
	var all []string
	records, err := r.AuditRange(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if strings.HasPrefix(rec.Action, "policy.") {
			all = append(all, rec.Actor+" "+rec.Action)
		}
	}
	return strings.Join(all, ", ")
}

func TestUnconfirmedPolicyGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := serve(t, storetest.NewMemory(), registry.Config{})
		initialise(t, r)
		tentative(t, r)
		time.Sleep(10*time.Minute - time.Second)
		synctest.Wait()
		if got := r.Snapshot().Policy().Text; got != "{} /* new */" {
			t.Errorf("a second before the end %q is in force", got)
		}
		changed := r.Changed()
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case <-changed:
		default:
			t.Error("readers were not told")
		}
		v := r.Snapshot().Policy()
		if v.Text != "{} /* old */" || v.Author != registry.System || v.Reverts != 3 {
			t.Errorf("in force is %+v", v)
		}
		if v.Awaits() {
			t.Error("what came back awaits confirmation")
		}
		_, err := r.Do(ctx, ana, registry.ConfirmPolicy{})
		if !errors.Is(err, registry.ErrStale) || !strings.Contains(err.Error(), "revision 3 was put back") {
			t.Errorf("a confirmation too late gives %v", err)
		}
		if got := audited(t, r); got != "operator:ana policy.set, operator:ana policy.set, system policy.rollback" {
			t.Errorf("the audit says %s", got)
		}
		stop()
	})
}

func TestConfirmedPolicyStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := serve(t, storetest.NewMemory(), registry.Config{})
		initialise(t, r)
		tentative(t, r)
		if _, err := r.Do(ctx, ana, registry.ConfirmPolicy{Revision: 2}); !errors.Is(err, registry.ErrStale) {
			t.Errorf("confirming another revision gives %v", err)
		}
		time.Sleep(9 * time.Minute)
		do(t, r, registry.ConfirmPolicy{Revision: 3})
		if do(t, r, registry.ConfirmPolicy{Revision: 3}).Changed {
			t.Error("a second confirmation is a change")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if v := r.Snapshot().Policy(); v.Text != "{} /* new */" || v.Confirmed != ana || v.Revision != 3 {
			t.Errorf("in force is %+v", v)
		}
		for _, c := range []registry.Command{registry.ConfirmPolicy{}, registry.RollBackPolicy{}} {
			if _, err := r.Do(ctx, ana, c); !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("%T where nothing awaits confirmation gives %v", c, err)
			}
		}
		if got := audited(t, r); !strings.HasSuffix(got, "operator:ana policy.confirm") {
			t.Errorf("the audit says %s", got)
		}
		do(t, r, registry.SetPolicy{Text: "{} /* next */", File: "p"})
		stop()
	})
}

// Nobody builds on what may go, and what comes back is what was there before.
func TestNothingReplacesAnUnconfirmedPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := serve(t, storetest.NewMemory(), registry.Config{})
		initialise(t, r)
		if _, err := r.Do(ctx, ana, registry.SetPolicy{Text: "{}", File: "p", ConfirmWithin: time.Minute}); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("nothing could come back, and that gives %v", err)
		}
		tentative(t, r)
		for _, within := range []time.Duration{0, time.Hour} {
			_, err := r.Do(ctx, ana, registry.SetPolicy{Text: "{} /* third */", File: "p", ConfirmWithin: within})
			if !errors.Is(err, registry.ErrUnconfirmed) || !strings.Contains(err.Error(), string(ana)) {
				t.Errorf("another policy meanwhile gives %v", err)
			}
		}
		do(t, r, registry.RollBackPolicy{})
		if v := r.Snapshot().Policy(); v.Text != "{} /* old */" || v.Author != ana || v.Reverts != 3 {
			t.Errorf("in force is %+v", v)
		}
		do(t, r, registry.SetPolicy{Text: "{} /* third */", File: "p"})
		for _, within := range []time.Duration{-time.Minute, time.Millisecond, 8 * 24 * time.Hour} {
			if _, err := r.Do(ctx, ana, registry.SetPolicy{Text: "{} /* fourth */", File: "p", ConfirmWithin: within}); !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("%v to confirm gives %v", within, err)
			}
		}
		stop()
	})
}

// The deadline is in the journal: neither a stop nor the checkpoint forgets it.
func TestDeadlineOutlivesTheCoordinator(t *testing.T) {
	for _, every := range []uint64{1, 1000} {
		t.Run(fmt.Sprintf("checkpoint every %d", every), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := storetest.NewMemory()
				r, stop := serve(t, j, registry.Config{CheckpointEvery: every})
				initialise(t, r)
				tentative(t, r)
				synctest.Wait()
				stop()
				time.Sleep(4 * time.Minute)
				r, stop = serve(t, j, registry.Config{CheckpointEvery: every})
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if v := r.Snapshot().Policy(); v.Text != "{} /* new */" {
					t.Errorf("after nine minutes %q is in force", v.Text)
				}
				stop()
				time.Sleep(time.Hour)
				r, stop = serve(t, j, registry.Config{CheckpointEvery: every})
				synctest.Wait()
				if v := r.Snapshot().Policy(); v.Text != "{} /* old */" {
					t.Errorf("a coordinator that starts too late leaves %q in force", v.Text)
				}
				stop()
				r, stop = serve(t, j, registry.Config{CheckpointEvery: every})
				synctest.Wait()
				if v := r.Snapshot().Policy(); v.Reverts != 3 || v.Revision != 4 {
					t.Errorf("the next one has %+v", v)
				}
				stop()
			})
		})
	}
}

// A full disk puts the end off, and no longer than it is full.
func TestRollBackIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := storetest.NewMemory()
		r, stop := serve(t, j, registry.Config{})
		initialise(t, r)
		tentative(t, r)
		j.Fail(fmt.Errorf("disk: %w", registry.ErrFull))
		time.Sleep(11 * time.Minute)
		if v := r.Snapshot().Policy(); v.Text != "{} /* new */" {
			t.Error("what could not be written is shown")
		}
		if _, err := r.Do(ctx, ana, registry.ConfirmPolicy{}); !errors.Is(err, registry.ErrStale) {
			t.Errorf("a confirmation too late gives %v", err)
		}
		j.Fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if v := r.Snapshot().Policy(); v.Text != "{} /* old */" {
			t.Errorf("with room again %q is in force", v.Text)
		}
		stop()
	})
}

// Of two coordinators over one journal one rolls back, and the other hears of it.
func TestTwoCoordinatorsRollBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := storetest.NewMemory()
		one, stopOne := serve(t, j, registry.Config{Poll: time.Second})
		initialise(t, one)
		tentative(t, one)
		two, stopTwo := serve(t, j, registry.Config{Poll: time.Second})
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		for _, r := range []*registry.Registry{one, two} {
			if v := r.Snapshot().Policy(); v.Text != "{} /* old */" || v.Revision != 4 {
				t.Errorf("in force is %+v", v)
			}
		}
		stopOne()
		stopTwo()
	})
}

// The schedules of a policy that comes back on another day hold from then on.
func TestSchedulesComeBackWithTheirPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := serve(t, storetest.NewMemory(), registry.Config{})
		initialise(t, r)
		const timely = `{"schedules": {"day": {"tz": "UTC", "weekly": ["daily 08:00-20:00"]}}, "grants": [{"id": "a", "src": ["a@b"], "dst": ["a@b"], "ip": ["22"], "when": {"schedule": "day"}}]}`
		do(t, r, registry.SetPolicy{Text: timely, File: "p"})
		do(t, r, registry.SetPolicy{Text: "{}", File: "p", ConfirmWithin: 48 * time.Hour})
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if seen := r.Snapshot().Observed().Time; r.Snapshot().Policy().Text != timely || !seen.Equal(time.Now()) {
			t.Errorf("schedules are told from %v on, now is %v", seen, time.Now())
		}
		stop()
	})
}
