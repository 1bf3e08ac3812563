package away_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/internal/away"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mesh is what a Book is told of who is there.
type mesh struct {
	file  string
	nodes []away.Node
	err   error
}

func (m *mesh) who(context.Context) ([]away.Node, error) { return m.nodes, m.err }

// run has a coordinator run for a while, and gives its Book as it ended.
func (m *mesh) run(t *testing.T, span time.Duration) *away.Book {
	t.Helper()
	for i := range m.nodes {
		m.nodes[i].Seen = time.Time{}
	}
	b := away.New(away.Config{File: m.file, Nodes: m.who, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	keeps(t, b, span)
	return b
}

// keeps has a Book keep what there is for a while, as often as a coordinator does.
func keeps(t *testing.T, b *away.Book, span time.Duration) {
	b.Keep(t.Context())
	for end := time.Now().Add(span); ; b.Keep(t.Context()) {
		time.Sleep(min(10*time.Minute, time.Until(end)))
		if !time.Now().Before(end) {
			return
		}
	}
}

func same(a, b map[string]time.Time) bool { return maps.EqualFunc(a, b, time.Time.Equal) }

// Over restarts an absence counts from when it began; while the coordinator itself was
// away, from when it last knew better; and nobody is away who had no time to come back.
func TestAbsenceCountsOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		m := &mesh{file: filepath.Join(t.TempDir(), "away.json"), nodes: []away.Node{
			{ID: "stays", Since: began, There: true}, {ID: "leaves", Since: began, There: true}, {ID: "never", Since: began}}}
		m.run(t, 3*time.Hour+time.Minute)
		left := time.Now()
		m.nodes[1].There, m.nodes[1].Seen = false, left
		b := away.New(away.Config{File: m.file, Nodes: m.who, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if got := b.Away(t.Context()); !same(got, map[string]time.Time{"leaves": left, "never": began}) {
			t.Errorf("away are %v", got)
		}
		keeps(t, b, time.Hour+time.Minute)
		kept := left.Add(time.Hour)
		time.Sleep(20 * time.Hour) // nobody runs
		m.nodes = append(m.nodes, away.Node{ID: "fresh", Since: time.Now()})
		m.nodes[0].There = false
		was := map[string]time.Time{"leaves": left, "never": began}
		if got := m.run(t, 9*time.Minute).Away(t.Context()); !same(got, was) {
			t.Errorf("just after a start, away are %v", got)
		}
		fresh := m.nodes[3].Since
		was["stays"], was["fresh"] = kept, fresh
		if got := m.run(t, time.Hour).Away(t.Context()); !same(got, was) {
			t.Errorf("an hour after a start, away are %v, want %v", got, was)
		}
		if got := m.run(t, time.Minute).Away(t.Context()); !same(got, was) {
			t.Errorf("after the next start, away are %v, want %v", got, was)
		}
		m.nodes[0].There = true
		delete(was, "stays")
		b = m.run(t, time.Minute)
		if got := b.Away(t.Context()); !same(got, was) {
			t.Errorf("away are %v, and one of them is back", got)
		}
		if m.err = errors.New("the hub has ended"); !same(b.Away(t.Context()), was) {
			t.Error("who was away is not, since nobody can say so")
		}
	})
}

// A file that cannot be read, or is too large, stops nothing: absences count from then on.
func TestDamagedFileCountsFromNow(t *testing.T) {
	for name, text := range map[string][]byte{"no JSON": []byte("{"), "too large": append([]byte(`{"at":1}`), bytes.Repeat([]byte(" "), 9<<20)...)} {
		synctest.Test(t, func(t *testing.T) {
			m := &mesh{file: filepath.Join(t.TempDir(), "away.json"), nodes: []away.Node{{ID: "n", Since: time.Now().Add(-time.Hour)}}}
			if err := os.WriteFile(m.file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			m.run(t, 5*time.Minute) // too short for anybody to be missed, and not to be known
			if got := m.run(t, time.Hour).Away(t.Context()); !same(got, map[string]time.Time{"n": now}) {
				t.Errorf("%s: away are %v", name, got)
			}
		})
	}
}
