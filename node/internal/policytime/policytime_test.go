package policytime_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/node/internal/policytime"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// machine is a computer whose clocks the test turns.
type machine struct {
	wall  time.Time
	boot  time.Duration
	stamp time.Time
	fail  error
	saves int
}

func (m *machine) Load() (time.Time, error) { return m.stamp, m.fail }
func (m *machine) Save(t time.Time) error {
	if m.fail != nil {
		return m.fail
	}
	m.stamp, m.saves = t, m.saves+1
	return nil
}

func (m *machine) pass(d time.Duration) { m.wall, m.boot = m.wall.Add(d), m.boot+d }

func (m *machine) start(t *testing.T) *policytime.Clock {
	t.Helper()
	c, err := policytime.New(policytime.Options{
		Store: m,
		Wall:  func() time.Time { return m.wall },
		Boot:  func() time.Duration { return m.boot },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func want(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if !got.Equal(want) {
		t.Errorf("%s is %s, want %s", what, got.Format(time.DateTime), want.Format(time.DateTime))
	}
}

func lease(t *testing.T, c *policytime.Clock, at time.Time) {
	t.Helper()
	if err := c.Lease(at); err != nil {
		t.Fatal(err)
	}
}

// A step of the wall clock moves nothing once a lease was heard; suspend does.
func TestStepsOfAnHour(t *testing.T) {
	m := &machine{wall: noon, boot: time.Hour}
	c := m.start(t)
	lease(t, c, noon)
	for _, step := range []time.Duration{-time.Hour, time.Hour, time.Hour} {
		m.wall = m.wall.Add(step)
		m.pass(time.Minute)
		if _, _, ahead := c.Read(); ahead != 0 {
			t.Fatalf("people %s ahead with a lease heard", ahead)
		}
	}
	want(t, "policy time", c.Now(), noon.Add(3*time.Minute))
	want(t, "human time", c.Human(), noon.Add(3*time.Minute))
}

func TestNeverBack(t *testing.T) {
	m := &machine{wall: noon}
	c := m.start(t)
	lease(t, c, noon)
	lease(t, c, noon.Add(-time.Hour)) // a replica with a slow clock, or an old lease again
	want(t, "policy time after an earlier lease", c.Now(), noon)

	m.pass(10 * time.Minute)
	if err := c.Stamp(); err != nil {
		t.Fatal(err)
	}
	m.boot, m.wall = 0, noon.Add(-24*time.Hour) // reboot with a flat clock battery
	c = m.start(t)
	want(t, "machine time after a restart", c.Now(), noon.Add(10*time.Minute))
	want(t, "human time after a restart", c.Human(), noon.Add(10*time.Minute))
	lease(t, c, noon) // held back by somebody on the way
	want(t, "policy time after a late lease", c.Now(), noon.Add(10*time.Minute))
}

// A cold start in the morning: machine rules go on from the stamp, a login of
// yesterday does not.
func TestColdStart(t *testing.T) {
	m := &machine{wall: noon.Add(12 * time.Hour), stamp: noon}
	c := m.start(t)
	want(t, "machine time", c.Now(), noon)
	want(t, "human time", c.Human(), noon.Add(12*time.Hour))
	if _, on := c.Alarm(); on {
		t.Error("alarm while cold, when policy time is known to be late")
	}
	m.wall = m.wall.Add(-time.Hour) // set by hand, or by NTP
	want(t, "human time after a step", c.Human(), noon.Add(11*time.Hour))
	m.wall = noon.Add(-time.Hour)
	want(t, "human time with the wall clock below the stamp", c.Human(), noon)
	lease(t, c, noon.Add(time.Hour))
	want(t, "human time after the first lease", c.Human(), noon.Add(time.Hour))
	want(t, "machine time after the first lease", c.Now(), noon.Add(time.Hour))
}

func TestAlarm(t *testing.T) {
	m := &machine{wall: noon}
	c := m.start(t)
	lease(t, c, noon)
	for _, step := range []struct {
		by   time.Duration
		want bool
	}{{60 * time.Second, false}, {time.Second, true}, {-61 * time.Second, false}, {-61 * time.Second, true}} {
		m.wall = m.wall.Add(step.by)
		if ahead, on := c.Alarm(); on != step.want {
			t.Errorf("%s ahead: alarm %t, want %t", ahead, on, step.want)
		}
	}
}

func TestUnreadableStampPermitsNothing(t *testing.T) {
	m := &machine{fail: errors.New("disk says no")}
	if _, err := policytime.New(policytime.Options{Store: m}); !errors.Is(err, m.fail) {
		t.Fatalf("New gave %v, want the store's error", err)
	}
}

func TestFailedSaveIsReportedAndTheClockMoves(t *testing.T) {
	m := &machine{wall: noon}
	c := m.start(t)
	m.fail = errors.New("disk says no")
	if err := c.Lease(noon); !errors.Is(err, m.fail) {
		t.Fatalf("Lease gave %v, want the store's error", err)
	}
	want(t, "policy time", c.Now(), noon)
}

func TestNothingKnownLeavesNoStamp(t *testing.T) {
	m := &machine{wall: noon}
	c := m.start(t)
	if err := c.Stamp(); err != nil || m.saves != 0 {
		t.Fatalf("saved %s (%v) before any lease", m.stamp, err)
	}
}

// Before its first lease a machine goes by its wall clock, and the lease counts
// even if that clock was years ahead.
func TestFirstStart(t *testing.T) {
	m := &machine{wall: noon.AddDate(10, 0, 0)}
	c := m.start(t)
	want(t, "policy time", c.Now(), m.wall)
	want(t, "time for people", c.Human(), m.wall)
	if err := c.Lease(noon); err != nil {
		t.Fatal(err)
	}
	want(t, "policy time after the first lease", c.Now(), noon)
	want(t, "stamp", m.stamp, noon)
}

func TestRunStampsEachMinuteAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{stamp: noon}
		begin := time.Now()
		c, err := policytime.New(policytime.Options{Store: m, Boot: func() time.Duration { return time.Since(begin) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(150 * time.Second)
		synctest.Wait()
		want(t, "stamp", m.stamp, noon.Add(2*time.Minute))
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want(t, "stamp at the end", m.stamp, noon.Add(150*time.Second))
	})
}

func TestFile(t *testing.T) {
	f := policytime.File(filepath.Join(t.TempDir(), "stamp"))
	if got, err := f.Load(); err != nil || !got.IsZero() {
		t.Fatalf("no file: %v %v", got, err)
	}
	for _, at := range []time.Time{noon, noon.Add(time.Nanosecond)} {
		if err := f.Save(at); err != nil {
			t.Fatal(err)
		}
		got, err := f.Load()
		if err != nil {
			t.Fatal(err)
		}
		want(t, "stamp", got, at)
	}
}

func FuzzParseStamp(f *testing.F) {
	f.Add([]byte("cordon policy time 2026-11-23T12:00:00Z\n"))
	f.Add([]byte(""))
	f.Add([]byte("cordon policy time 2026-11-23T12:00:00Z"))
	f.Fuzz(func(t *testing.T, in []byte) {
		at, err := policytime.ParseStamp(in)
		if err == nil && string(policytime.FormatStamp(at)) != string(in) {
			t.Fatalf("%q parsed as %s, which is written %q", in, at, policytime.FormatStamp(at))
		}
	})
}

func TestSinceBootRuns(t *testing.T) {
	a := policytime.SinceBoot()
	if b := policytime.SinceBoot(); a <= 0 || b < a {
		t.Fatalf("boot clock gave %s, then %s", a, b)
	}
}

func BenchmarkRead(b *testing.B) {
	m := &machine{stamp: noon}
	c, err := policytime.New(policytime.Options{Store: m})
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Lease(noon); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Read()
	}
}
