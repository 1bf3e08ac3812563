package warn_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func lapse(name string, lived, left time.Duration) warn.Lapse {
	return warn.Lapse{Kind: "key", Name: name, Since: noon.Add(-lived), Until: noon.Add(left), Advice: "renew it"}
}

// Each threshold is told of once, however often it is weighed and by whichever start;
// what did not live for it is not told of, and another end is another thing.
func TestEachThresholdOnce(t *testing.T) {
	told, heard := warn.Told{}, []string{}
	at := func(left time.Duration, all ...warn.Lapse) {
		t.Helper()
		var due []warn.Warning
		due, told = warn.Weigh(all, told, noon.Add(100*day-left))
		for _, w := range due {
			heard = append(heard, fmt.Sprintf("%s %d", w.Name, w.Left/time.Hour))
		}
	}
	ca := lapse("ca", 0, 100*day)
	for _, left := range []time.Duration{90 * day, 30*day + time.Second, 30 * day, 29 * day, 7 * day, 3 * day, day, time.Hour, 0, -day} {
		at(left, ca)
		at(left, ca)
	}
	if got := strings.Join(heard, ", "); got != "ca 720, ca 168, ca 24, ca 0" {
		t.Errorf("told: %s", got)
	}
	heard, told = nil, warn.Told{}
	short := warn.Lapse{Kind: "token", Name: "short", Since: noon.Add(100*day - time.Hour), Until: noon.Add(100 * day)}
	week := warn.Lapse{Kind: "token", Name: "week", Since: noon.Add(100*day - 6*day), Until: noon.Add(100 * day)}
	at(30*time.Minute, short, week, ca)
	if got := strings.Join(heard, ", "); got != "ca 0, week 0" {
		t.Errorf("told: %s", got)
	}
	heard = nil
	ca.Until = ca.Until.Add(20 * day)
	at(day, ca)
	if got := strings.Join(heard, ", "); got != "ca 504" || len(told) != 1 {
		t.Errorf("told of another end: %s, kept %v", got, told)
	}
}

// What is amiss has no end: it is told of once, as it is, and stands until it is mended.
func TestWhatIsAmissIsToldOnce(t *testing.T) {
	amiss := warn.Lapse{Kind: "policy", Name: "of revision 7", Since: noon, Advice: "mend it"}
	due, told := warn.Weigh([]warn.Lapse{lapse("ca", 90*day, day), amiss}, warn.Told{}, noon)
	if len(due) != 2 || due[0].Text() != "policy of revision 7: mend it" {
		t.Errorf("told of %v", due)
	}
	if due, _ = warn.Weigh([]warn.Lapse{amiss}, told, noon.Add(90*day)); len(due) != 0 {
		t.Errorf("told again: %v", due)
	}
	if standing := warn.Standing([]warn.Lapse{amiss}, noon.Add(90*day)); len(standing) != 1 {
		t.Errorf("it does not stand: %v", standing)
	}
}

func TestTextIsOneLine_A12(t *testing.T) {
	l := lapse("a\x1b[2J\nb\u202e", 90*day, 36*time.Hour)
	l.Advice = strings.Repeat("x", 10_000)
	text := warn.Standing([]warn.Lapse{l}, noon)[0].Text()
	if strings.ContainsAny(text, "\x1b\n\u202e") || len(text) > 1000 || !strings.Contains(text, "ends in 36 hours") {
		t.Errorf("%.200q", text)
	}
}

// sink is one that fails as often as it is told to.
type sink struct {
	mu    sync.Mutex
	fails int
	err   error
	got   []string
	at    []time.Time
}

func (s *sink) Name() string { return "test" }

func (s *sink) Send(_ context.Context, w warn.Warning) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Now())
	if s.fails != 0 {
		s.fails--
		return s.err
	}
	s.got = append(s.got, w.Name)
	return nil
}

// warning runs a Warner for a while in virtual time.
func warning(t *testing.T, file string, lapses func(context.Context) []warn.Lapse, span time.Duration, sinks ...warn.Sink) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), span)
	defer stop()
	w := warn.New(warn.Config{Lapses: lapses, File: file, Sinks: sinks, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
}

// A sink that is away is asked again, later each time, and holds up no other; a
// restart tells nothing twice; what is refused is not asked again.
func TestSinksAreToldOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "warned.json")
	synctest.Test(t, func(t *testing.T) {
		lapses := func(context.Context) []warn.Lapse {
			begun := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			return []warn.Lapse{{Kind: "key", Name: "a", Since: begun.Add(-90 * day), Until: begun.Add(6 * day)}}
		}
		away, well, deaf := &sink{fails: 4, err: errors.New("away")}, &sink{}, &sink{fails: -1, err: fmt.Errorf("%w: no", warn.ErrRefused)}
		warning(t, file, lapses, 3*time.Hour, away, well, deaf)
		if len(well.got) != 1 || len(away.got) != 1 || len(deaf.at) != 1 || !well.at[0].Before(away.at[1]) {
			t.Errorf("well %v, away %v after %d, deaf %d", well.got, away.got, len(away.at), len(deaf.at))
		}
		for i := 2; i < len(away.at); i++ {
			if away.at[i].Sub(away.at[i-1]) <= away.at[i-1].Sub(away.at[i-2]) {
				t.Error("a sink that is away is asked again no later each time")
			}
		}
		warning(t, file, lapses, 5*day, well)
		if len(well.got) != 2 {
			t.Errorf("after a restart %v, want the next threshold alone", well.got)
		}
		if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if warning(t, file, lapses, time.Minute, well); len(well.got) != 3 {
			t.Errorf("what was told is damaged, and nothing is told: %v", well.got)
		}
	})
}

// What comes up between two hours is told within moments, with what else comes up then;
// and one more each second, for ever, puts nothing off.
func TestLookTellsSoon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "warned.json")
	synctest.Test(t, func(t *testing.T) {
		var amiss atomic.Int64
		lapses := func(context.Context) (all []warn.Lapse) {
			for i := range amiss.Load() {
				all = append(all, warn.Lapse{Kind: "lock-out", Name: fmt.Sprint(i), Advice: "look"})
			}
			return all
		}
		s, begun := &sink{}, time.Now()
		w := warn.New(warn.Config{Lapses: lapses, File: file, Sinks: []warn.Sink{s}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		go func() {
			for range 20 {
				time.Sleep(time.Second)
				amiss.Add(1)
				w.Look()
			}
		}()
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
		if len(s.at) == 0 || s.at[0].Sub(begun) > 10*time.Second || len(s.at) > 5 || s.got[0] == "0" {
			t.Errorf("told %v at %v", s.got, s.at)
		}
		if last := s.at[len(s.at)-1].Sub(begun); last < 20*time.Second || last > 30*time.Second {
			t.Errorf("the last, of second 20, is told after %v", last)
		}
	})
}

// Warnings that a sink does not take are bounded in number and in time.
func TestQueueOfASinkIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "warned.json")
	synctest.Test(t, func(t *testing.T) {
		lapses := func(context.Context) (all []warn.Lapse) {
			for i := range 1000 {
				all = append(all, warn.Lapse{Kind: fmt.Sprint("kind", i), Name: "a", Since: time.Now().Add(-90 * day), Until: time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC)})
			}
			return all
		}
		away := &sink{fails: -1, err: errors.New("away")}
		warning(t, file, lapses, time.Hour, away)
		away.fails = 0
		begun := len(away.at)
		warning(t, file, lapses, time.Hour, away)
		if begun == 0 || len(away.got) != 0 {
			t.Errorf("%d attempts, then %d warnings that had been told", begun, len(away.got))
		}
	})
}
