// Package storetest says in tests what a registry.Journal must do, whatever
// database is under it, and has one in memory for the tests of others.
//
// A store's own test calls Run with a way to open handles on one store. What
// only one kind of store can do (files that are damaged, locks, space that runs
// out) its own tests say.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Run holds a kind of store to the contract. fresh makes an empty store and
// gives a function that opens one more handle on it; several are open at once.
// Run closes nothing: fresh does, with t.Cleanup.
func Run(t *testing.T, fresh func(t *testing.T) (open func() registry.Journal)) {
	for name, test := range map[string]func(*testing.T, func() registry.Journal){
		"an empty store is at revision 0":                    empty,
		"what one handle appends another reads":              appendAndRead,
		"a second writer at the same revision is refused":    conflict,
		"an append with a gap leaves nothing behind":         gap,
		"a cancelled append leaves nothing behind":           cancelled,
		"audit records alone move no revision":               recordsAlone,
		"the audit chain verifies and is read in pages":      chain,
		"a checkpoint replaces what is before it":            checkpoint,
		"a checkpoint that is older or from nowhere is none": strayCheckpoint,
		"one of many writers wins each revision":             race,
		"two registries over one store lose no change":       twoRegistries,
		"a registry that fell behind the checkpoint reloads": behindCheckpoint,
		"a registry reads back exactly the state it had":     readBack,
		"one use of a token is spent once on two registries": oneUse,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// start is the time of every entry and record.
func start() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// entry makes an entry that is valid for a store, if not for a registry.
func entry(revision uint64) registry.Entry {
	return registry.Entry{Revision: revision, Time: start(), Event: registry.TokenRevoked{ID: fmt.Sprintf("t-%d", revision)}}
}

func entriesTo(first, last uint64) (out []registry.Entry) {
	for r := first; r <= last; r++ {
		out = append(out, entry(r))
	}
	return out
}

func draft(detail string) audit.Draft {
	return audit.Draft{Time: start(), Actor: "system", Action: "test", Object: "it", Detail: detail}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expect checks where a journal stands.
func expect(t *testing.T, j registry.Journal, entries []registry.Entry, records uint64) {
	t.Helper()
	_, got, err := j.Load(t.Context())
	must(t, err)
	if !slices.EqualFunc(got, entries, func(a, b registry.Entry) bool {
		return a.Revision == b.Revision && a.Time.Equal(b.Time) && a.Event == b.Event
	}) {
		t.Fatalf("entries are %v, want %v", got, entries)
	}
	head, err := j.AuditHead(t.Context())
	must(t, err)
	if head.Sequence != records {
		t.Fatalf("the audit has %d records, want %d", head.Sequence, records)
	}
}

func empty(t *testing.T, open func() registry.Journal) {
	j := open()
	expect(t, j, nil, 0)
	c, _, err := j.Load(t.Context())
	must(t, err)
	if c.Revision != 0 {
		t.Fatalf("a checkpoint of revision %d in an empty store", c.Revision)
	}
	must(t, j.Append(t.Context(), 0, nil, nil))
	expect(t, j, nil, 0)
}

func appendAndRead(t *testing.T, open func() registry.Journal) {
	j, other := open(), open()
	must(t, j.Append(t.Context(), 0, entriesTo(1, 2), []audit.Draft{draft("a"), draft("b")}))
	must(t, j.Append(t.Context(), 2, entriesTo(3, 3), nil))
	expect(t, other, entriesTo(1, 3), 2)
	tail, err := other.Tail(t.Context(), 1)
	must(t, err)
	if len(tail) != 2 || tail[0].Revision != 2 {
		t.Fatalf("the tail after 1 is %v", tail)
	}
	if tail, err = other.Tail(t.Context(), 3); err != nil || len(tail) != 0 {
		t.Fatalf("the tail after the end is %v, %v", tail, err)
	}
}

func conflict(t *testing.T, open func() registry.Journal) {
	j, other := open(), open()
	must(t, j.Append(t.Context(), 0, entriesTo(1, 1), []audit.Draft{draft("first")}))
	for _, expected := range []uint64{0, 2} {
		err := other.Append(t.Context(), expected, entriesTo(expected+1, expected+1), []audit.Draft{draft("second")})
		if !errors.Is(err, registry.ErrConflict) {
			t.Fatalf("an append at %d of a journal at 1 gives %v, want ErrConflict", expected, err)
		}
	}
	if err := other.Append(t.Context(), 0, nil, []audit.Draft{draft("alone")}); !errors.Is(err, registry.ErrConflict) {
		t.Fatalf("records of a decision on a past state give %v, want ErrConflict", err)
	}
	expect(t, j, entriesTo(1, 1), 1)
}

func gap(t *testing.T, open func() registry.Journal) {
	j := open()
	must(t, j.Append(t.Context(), 0, entriesTo(1, 1), nil))
	if err := j.Append(t.Context(), 1, []registry.Entry{entry(2), entry(4)}, []audit.Draft{draft("x")}); err == nil {
		t.Fatal("entries 2 and 4 were taken")
	}
	expect(t, j, entriesTo(1, 1), 0)
	must(t, j.Append(t.Context(), 1, entriesTo(2, 2), nil)) // and the store still works
}

func cancelled(t *testing.T, open func() registry.Journal) {
	j := open()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Append(ended, 0, entriesTo(1, 1), []audit.Draft{draft("x")}); err == nil {
		t.Fatal("an append with an ended context was acknowledged")
	}
	expect(t, j, nil, 0)
	must(t, j.Append(t.Context(), 0, entriesTo(1, 1), nil))
}

func recordsAlone(t *testing.T, open func() registry.Journal) {
	j := open()
	must(t, j.Append(t.Context(), 0, nil, []audit.Draft{draft("refused")}))
	expect(t, j, nil, 1)
}

func chain(t *testing.T, open func() registry.Journal) {
	j := open()
	for i := range 25 {
		must(t, j.Append(t.Context(), 0, nil, []audit.Draft{draft(fmt.Sprint("ä\x00\n", i)), draft("")}))
	}
	var all []audit.Record
	for len(all) < 50 {
		page, err := j.AuditRange(t.Context(), uint64(len(all)), 7)
		must(t, err)
		if len(page) == 0 || len(page) > 7 {
			t.Fatalf("a page of %d records after %d", len(page), len(all))
		}
		all = append(all, page...)
	}
	head, err := j.AuditHead(t.Context())
	must(t, err)
	_, err = audit.VerifyTo(head, func(yield func(audit.Record, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	})
	must(t, err)
	if rest, err := j.AuditRange(t.Context(), 50, 7); err != nil || len(rest) != 0 {
		t.Fatalf("after the end are %d records, %v", len(rest), err)
	}
}

func checkpoint(t *testing.T, open func() registry.Journal) {
	j, other := open(), open()
	must(t, j.Append(t.Context(), 0, entriesTo(1, 10), nil))
	must(t, j.Checkpoint(t.Context(), registry.Checkpoint{Revision: 4, Data: []byte("four")}))
	c, entries, err := other.Load(t.Context())
	must(t, err)
	if c.Revision != 4 || string(c.Data) != "four" || len(entries) != 6 || entries[0].Revision != 5 {
		t.Fatalf("loaded checkpoint %d %q and %d entries", c.Revision, c.Data, len(entries))
	}
	must(t, j.Checkpoint(t.Context(), registry.Checkpoint{Revision: 10, Data: []byte("ten")}))
	if _, entries, err = other.Load(t.Context()); err != nil || len(entries) != 0 {
		t.Fatalf("after a checkpoint at the end are %d entries, %v", len(entries), err)
	}
	if _, err = other.Tail(t.Context(), 4); err != nil {
		t.Fatalf("a registry at the checkpoint before the last has to reload: %v", err)
	}
	if _, err = other.Tail(t.Context(), 3); !errors.Is(err, registry.ErrPruned) {
		t.Fatalf("the tail after 3 gives %v, want ErrPruned", err)
	}
	must(t, j.Append(t.Context(), 10, entriesTo(11, 11), nil))
}

func strayCheckpoint(t *testing.T, open func() registry.Journal) {
	j := open()
	must(t, j.Append(t.Context(), 0, entriesTo(1, 5), nil))
	if err := j.Checkpoint(t.Context(), registry.Checkpoint{Revision: 6, Data: []byte("six")}); err == nil {
		t.Fatal("a checkpoint beyond the end was taken")
	}
	must(t, j.Checkpoint(t.Context(), registry.Checkpoint{Revision: 5, Data: []byte("five")}))
	must(t, j.Checkpoint(t.Context(), registry.Checkpoint{Revision: 2, Data: []byte("two")}))
	if c, _, err := j.Load(t.Context()); err != nil || string(c.Data) != "five" {
		t.Fatalf("the checkpoint is %q, %v", c.Data, err)
	}
}

func race(t *testing.T, open func() registry.Journal) {
	const writers, rounds = 4, 10
	handles := make([]registry.Journal, writers)
	for i := range handles {
		handles[i] = open()
	}
	for round := range uint64(rounds) {
		var wins, losses int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, j := range handles {
			wg.Go(func() {
				err := j.Append(t.Context(), round, entriesTo(round+1, round+1), []audit.Draft{draft("x")})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					wins++
				case errors.Is(err, registry.ErrConflict):
					losses++
				default:
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		if wins != 1 || losses != writers-1 {
			t.Fatalf("round %d: %d writers won and %d lost", round, wins, losses)
		}
	}
	expect(t, handles[0], entriesTo(1, rounds), rounds)
}

// initCommand begins a mesh.
func initCommand() registry.Init {
	return registry.Init{Mesh: wire.MeshID{1}, Domain: "mesh.example", IPv4: ipam.DefaultIPv4(), IPv6: netip.MustParsePrefix("fd12:3456:789a::/48")}
}
