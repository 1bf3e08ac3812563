// Package away knows since when each node is away, over restarts of the coordinator.
//
// A node that hears nothing from the coordinator goes on alone, for as long as its rules
// hold and no longer. Whoever is to be warned before that must know since when it has been
// alone, and a hold is longer than most runs of a coordinator: so a file keeps it. What is
// kept is no truth of the mesh but help for whoever cares for it: it is in no backup, and
// where it is missing or damaged, an absence counts from then on.
//
// Its promises:
//
//   - An absence never counts from later than it began, give or take a moment between two
//     looks at one run: of what it does not know, it takes the moment at which it last
//     knew that a node was there.
//   - Just after a start, when nobody can have come back yet, nobody is away who was not
//     away before it.
//
// It leaves to others: what nodes there are, who of them is there, and whether it matters.
package away

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	settle   = 10 * time.Minute // after a start: nodes come back within it, a whole mesh too
	maxKept  = 8 << 20          // bytes of the file: a hundred thousand nodes that are away
	keptMode = 0o600
)

// Node is a node as it stands now.
type Node struct {
	ID    string
	Since time.Time // that the mesh has it
	There bool
	Seen  time.Time // when it was last there, in this run of the coordinator; zero: never
}

// Config of a Book. Every field is needed.
type Config struct {
	File  string
	Nodes func(context.Context) ([]Node, error)
	Now   func() time.Time
	Log   *slog.Logger
}

// Book keeps since when nodes are away. Its methods may be called by several goroutines.
type Book struct {
	cfg   Config
	began time.Time

	mu    sync.Mutex
	kept  kept // of the runs before
	fresh bool // nothing was kept before
	last  map[string]time.Time
}

// kept is what the file says: who was not there at a moment, and since when. Whoever else
// was known then, was there.
type kept struct {
	At   int64            `json:"at"` // Unix seconds
	Away map[string]int64 `json:"away"`
}

// New reads what was kept. A file that cannot be read stops no start.
func New(c Config) *Book {
	b := &Book{cfg: c, began: c.Now()}
	text, err := os.ReadFile(c.File)
	if err == nil && len(text) > maxKept {
		err = fmt.Errorf("%d bytes, at most %d", len(text), maxKept)
	}
	if err == nil {
		err = json.Unmarshal(text, &b.kept)
	}
	if err == nil {
		return b
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.Log.Warn("since when nodes are away cannot be read: it counts from now", "file", c.File, "error", err)
	}
	b.kept, b.fresh = kept{At: b.began.Unix()}, true
	return b
}

// Away gives since when each node is away that is. Where nobody can say who is there, it
// gives what it gave before.
func (b *Book) Away(ctx context.Context) map[string]time.Time {
	nodes, err := b.cfg.Nodes(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		return b.last
	}
	b.last = make(map[string]time.Time)
	for _, n := range nodes {
		if since := b.since(n); !n.There && !since.IsZero() {
			b.last[n.ID] = since
		}
	}
	return b.last
}

// since gives the moment from which an absence counts; zero: nobody knows yet whether it is one.
func (b *Book) since(n Node) time.Time {
	before, wasAway := b.kept.Away[n.ID]
	switch {
	case !n.Seen.IsZero():
		return n.Seen.Truncate(time.Second) // as it is kept
	case wasAway:
		return time.Unix(before, 0)
	case !b.settled():
		return time.Time{}
	case n.Since.Unix() > b.kept.At:
		return n.Since.Truncate(time.Second)
	}
	return time.Unix(b.kept.At, 0)
}

func (b *Book) settled() bool { return b.cfg.Now().Sub(b.began) >= settle }

// Keep writes down what there is. Before it is settled, the file of the run before knows
// better who was there. The file is written whole before it takes the old one's place.
func (b *Book) Keep(ctx context.Context) {
	if !b.fresh && !b.settled() {
		return
	}
	all := kept{At: b.cfg.Now().Unix(), Away: map[string]int64{}}
	for id, since := range b.Away(ctx) {
		all.Away[id] = since.Unix()
	}
	if ctx.Err() != nil {
		return
	}
	fresh := b.cfg.File + ".new"
	text, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(fresh, text, keptMode)
	}
	if err == nil {
		err = os.Rename(fresh, b.cfg.File)
	}
	if err != nil {
		b.cfg.Log.Warn("since when nodes are away cannot be kept: after a restart it counts from an earlier moment", "error", err)
	}
}
