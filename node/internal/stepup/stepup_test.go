package stepup_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/node/internal/stepup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is where sign-ins are opened, as a test plays it.
type desk struct {
	seats  []string      // for which one was opened
	opened []bool        // each afresh or not
	slow   time.Duration // that opening takes
	err    error         // of opening
	life   time.Duration // of a sign-in
	levels []string      // of each that was opened
	vain   bool          // the provider does not give them
}

// in runs a test with an Opener in virtual time.
func in(t *testing.T, d *desk, f func(o *stepup.Opener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := stepup.New(stepup.Options{
			Begin: func(ctx context.Context, seat string, proof stepup.Proof) (string, error) {
				d.seats = append(d.seats, seat)
				d.opened, d.levels = append(d.opened, proof.Afresh), append(d.levels, proof.ACR)
				select {
				case <-time.After(d.slow):
				case <-ctx.Done():
					return "", ctx.Err()
				}
				return "l1", d.err
			},
			Await: func(ctx context.Context, id string) bool {
				if id != "l1" {
					t.Errorf("waits for %q", id)
				}
				select {
				case <-time.After(d.life):
				case <-ctx.Done():
				}
				return d.vain
			},
			Now: time.Now,
			Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- o.Run(ctx) }()
		synctest.Wait()
		f(o)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// ask wants a sign-in and tells how long it waited.
func ask(o *stepup.Opener, afresh bool) time.Duration {
	start := time.Now()
	o.Offer(context.Background(), "", stepup.Proof{Afresh: afresh})
	synctest.Wait()
	return time.Since(start)
}

// However often it is asked for, there is one at a time, and the next comes a
// minute after the last has ended.
func TestOneAtATimeAndAMinuteBetween(t *testing.T) {
	d := &desk{life: 10 * time.Minute}
	in(t, d, func(o *stepup.Opener) {
		for range 10*60 + 59 { // seconds
			ask(o, true)
			time.Sleep(time.Second)
		}
		if len(d.opened) != 1 {
			t.Fatalf("%d sign-ins", len(d.opened))
		}
		time.Sleep(time.Second)
		ask(o, false)
		if !slices.Equal(d.opened, []bool{true, false}) {
			t.Fatalf("a minute after the end: %v", d.opened)
		}
	})
}

// A coordinator that refuses is not asked again at once.
func TestARefusalIsRestedUpon(t *testing.T) {
	d := &desk{err: errors.New("nobody can sign in here")}
	in(t, d, func(o *stepup.Opener) {
		for range 119 {
			ask(o, true)
			time.Sleep(time.Second)
		}
		if len(d.opened) != 2 {
			t.Fatalf("asked %d times in two minutes", len(d.opened))
		}
	})
}

// Whoever asks is not kept waiting by a slow coordinator, nor by a sign-in that is
// under way; and one that never answers is given up.
func TestASlowCoordinatorKeepsNobodyWaiting(t *testing.T) {
	d := &desk{slow: time.Hour, life: time.Minute}
	in(t, d, func(o *stepup.Opener) {
		if took := ask(o, true); took != 2*time.Second {
			t.Errorf("waited %s", took)
		}
		if took := ask(o, true); took != 0 || len(d.opened) != 1 {
			t.Errorf("waited %s for another's, %v", took, d.opened)
		}
		time.Sleep(2 * time.Minute)
		d.slow = time.Second
		if took := ask(o, true); took != time.Second || len(d.opened) != 2 {
			t.Errorf("after it was given up: waited %s, %v", took, d.opened)
		}
	})
}

// Of a sign-in of whose end nothing is heard no more is expected after a while.
func TestAnEndThatIsNeverHeard(t *testing.T) {
	d := &desk{life: 24 * time.Hour}
	in(t, d, func(o *stepup.Opener) {
		ask(o, true)
		time.Sleep(16 * time.Minute)
		ask(o, true)
		if len(d.opened) != 2 {
			t.Fatalf("%v", d.opened)
		}
	})
}

// Of several people at a machine each has their own: one that is under way for
// somebody keeps nobody else waiting.
func TestEachAccountHasItsOwn(t *testing.T) {
	d := &desk{life: 10 * time.Minute}
	in(t, d, func(o *stepup.Opener) {
		for range 3 {
			for _, seat := range []string{"1000", "1001"} {
				o.Offer(context.Background(), seat, stepup.Proof{Afresh: true})
			}
			time.Sleep(time.Second)
		}
		if !slices.Equal(d.seats, []string{"1000", "1001"}) {
			t.Fatalf("sign-ins were opened for %q", d.seats)
		}
	})
}

// A level that the provider does not give is asked for once in an hour, so that nobody
// is led there again and again for nothing; what needs none is offered as before, and
// another person's is another matter.
func TestALevelThatIsNotGivenIsNotAskedForAgain(t *testing.T) {
	d := &desk{life: time.Second, vain: true}
	in(t, d, func(o *stepup.Opener) {
		minutes := func(n int, seat, level string) {
			for range n {
				o.Offer(context.Background(), seat, stepup.Proof{Afresh: true, ACR: level})
				time.Sleep(time.Minute + 2*time.Second)
			}
		}
		minutes(57, "1000", "gold")
		minutes(1, "1000", "")
		minutes(1, "1001", "gold")
		synctest.Wait()
		if !slices.Equal(d.levels, []string{"gold", "", "gold"}) {
			t.Fatalf("opened for %q", d.levels)
		}
		d.vain = false
		minutes(3, "1000", "gold")
		synctest.Wait()
		if len(d.levels) < 5 {
			t.Fatalf("an hour later: %q", d.levels)
		}
	})
}
