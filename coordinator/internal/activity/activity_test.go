package activity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/internal/activity"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a Book that writes to a test.
type desk struct {
	*activity.Book
	state   *registry.State
	written []map[registry.Sitting]registry.Activity
	err     error
}

// wrote gives what was written by now.
func (d *desk) wrote() []map[registry.Sitting]registry.Activity {
	synctest.Wait()
	return d.written
}

// play has a Book run in virtual time, on a mesh in which people sit at n0 to n9999
// for an hour; nobody at others.
func play(t *testing.T, idle string, f func(*testing.T, *desk)) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{state: &registry.State{}}
		now := time.Now()
		pol := `{"tagOwners": {"tag:x": []}, "grants": [{"src": ["autogroup:member"], "dst": ["tag:x"], "ip": ["*"], "when": {` + idle + `}}]}`
		entries := []registry.Entry{{Revision: 1, Time: now, Event: registry.PolicySet{File: "p", Text: pol}}}
		for i := range 10_000 {
			s := registry.Session{ID: fmt.Sprint("s", i), Node: fmt.Sprint("n", i), Until: now.Add(time.Hour), Logins: []registry.Login{{At: now}}}
			entries = append(entries, registry.Entry{Revision: uint64(i) + 2, Time: now, Event: registry.SessionPut{Session: s}})
		}
		for _, e := range entries {
			d.state = registry.Apply(d.state, e)
		}
		d.Book = activity.New(activity.Config{State: func() *registry.State { return d.state }, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Write: func(_ context.Context, at map[registry.Sitting]registry.Activity) error {
				if d.err == nil {
					d.written = append(d.written, at)
				}
				return d.err
			}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		defer func() {
			if cancel(); <-done != nil {
				t.Error("ended with an error")
			}
		}()
		f(t, d)
	})
}

// What ten thousand people do in a moment is one entry of the journal, and one person
// who does something all the time no more than one in a moment.
func TestActivityIsWrittenTogether(t *testing.T) {
	play(t, `"idle": "15m"`, func(t *testing.T, d *desk) {
		for i := range 10_000 {
			d.Note(machine(fmt.Sprint("n", i)), time.Duration(i)*time.Millisecond, 0)
		}
		noted := time.Now()
		time.Sleep(11 * time.Second)
		if len(d.wrote()) != 1 || len(d.wrote()[0]) != 10_000 || !d.wrote()[0][machine("n7")].At.Equal(noted.Add(-7*time.Millisecond)) {
			t.Fatalf("%d entries", len(d.wrote()))
		}
		for range 600 {
			d.Note(machine("n1"), 0, 0)
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(d.wrote()) - 1; n < 5 || n > 6 {
			t.Errorf("%d entries in a minute", n)
		}
	})
}

// The later of two counts; what is ahead is not; and short spans are written soon.
func TestLaterActivityCounts(t *testing.T) {
	play(t, `"idle": "2s"`, func(t *testing.T, d *desk) {
		now := time.Now()
		d.Note(machine("n1"), time.Second, 3*time.Second)
		d.Note(machine("n1"), 3*time.Second, 5*time.Second)
		d.Note(machine("n2"), -time.Hour, 0)
		time.Sleep(300 * time.Millisecond)
		if len(d.wrote()) != 1 || !d.wrote()[0][machine("n1")].At.Equal(now.Add(-time.Second)) || !d.wrote()[0][machine("n2")].At.Equal(now) || d.wrote()[0][machine("n1")].Pause != 5*time.Second {
			t.Errorf("written: %v", d.wrote())
		}
		atSeat(t, d)
	})
}

// atSeat sees that a seat's activity is kept by its session: whoever sits at the whole
// machine has none of it, nor the reverse.
func atSeat(t *testing.T, d *desk) {
	seat := registry.Session{ID: "seat", Node: "n1", User: "u", Seat: "1000", Until: time.Now().Add(time.Hour), Logins: []registry.Login{{At: time.Now()}}}
	d.state = registry.Apply(d.state, registry.Entry{Revision: d.state.Revision + 1, Time: time.Now(), Event: registry.SessionPut{Session: seat}})
	now, sits := time.Now(), registry.Sitting{Node: "n1", Session: "seat"}
	d.Note(sits, 0, 0)
	d.Note(machine("n1"), time.Second, 0)
	d.Note(registry.Sitting{Node: "n2", Session: "seat"}, 0, 0)
	time.Sleep(300 * time.Millisecond)
	if w := d.wrote(); len(w) != 2 || len(w[1]) != 2 || !w[1][sits].At.Equal(now) || !w[1][machine("n1")].At.Equal(now.Add(-time.Second)) {
		t.Errorf("written: %v", w)
	}
}

// Where nobody sits, or no rule asks, nothing is kept of anybody.
func TestNothingIsKeptThatNobodyAskedFor(t *testing.T) {
	play(t, `"idle": "15m"`, func(t *testing.T, d *desk) {
		d.Note(machine("n10000"), 0, 0)
		time.Sleep(time.Hour)
		d.Note(machine("n1"), 0, 0) // whose session has ended
		time.Sleep(time.Minute)
		if len(d.wrote()) > 0 {
			t.Errorf("written: %v", d.wrote())
		}
	})
	play(t, `"session": "login"`, func(t *testing.T, d *desk) {
		d.Note(machine("n1"), 0, 0)
		time.Sleep(time.Minute)
		if len(d.wrote()) > 0 {
			t.Errorf("no rule asks, and written: %v", d.wrote())
		}
	})
}

// What could not be written goes with the next, unless that is later.
func TestActivityOutlivesAFullDisk(t *testing.T) {
	play(t, `"idle": "15m"`, func(t *testing.T, d *desk) {
		first := time.Now()
		d.err = errors.New("no space left")
		d.Note(machine("n1"), 0, 0)
		d.Note(machine("n2"), 0, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		d.err = nil
		d.Note(machine("n1"), 0, 0)
		time.Sleep(time.Minute)
		if len(d.wrote()) != 1 || !d.wrote()[0][machine("n2")].At.Equal(first) || !d.wrote()[0][machine("n1")].At.After(first) {
			t.Errorf("written: %v", d.wrote())
		}
	})
}

// machine is whoever sits at the whole of a node.
func machine(node string) registry.Sitting { return registry.Sitting{Node: node} }
