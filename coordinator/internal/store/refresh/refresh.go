// Package refresh keeps in a SQLite file of its own what an OpenID Connect provider is
// asked with about those who are signed in, so that it is asked also after the
// coordinator started again. What a row holds is sealed before it comes here.
//
// Its promises:
//
//   - Nothing is lost by losing the file but that people are asked for later. One that
//     is damaged or another's is removed and made anew; none stops a coordinator, ends
//     a session or holds up a sign-in.
//   - What Put acknowledged survives kill -9 and loss of power, or the file is gone: a
//     row that is behind the truth would have the right person refused, for a provider
//     takes a token that was used before for a thief's. So a file that cannot be
//     written, as on a full disk, is removed, and made anew when there is room.
//   - Writers that come while a write is under way share the next one: a provider is
//     asked as fast on a slow disk, and a row costs no write of its own.
//   - Nobody but its owner can read it. It is in no backup: a restored coordinator would
//     ask with tokens that were used since.
//
// It leaves to its caller what rows mean and who may open them (auth/oidc), and to the
// journal's lock that one process uses the state directory.
package refresh

import (
	"database/sql"
	"log/slog"
	"sync"
	"time"
)

// Row is what a provider is asked with about a session.
type Row struct {
	Session string
	Asked   bool   // a question is under way, or its answer was lost
	Sealed  []byte // nil: the row is to go
}

// Config of a file.
type Config struct {
	Path string // in a folder that others cannot read
	Now  func() time.Time
	Log  *slog.Logger
}

// File is an open file. Its methods may be called at once.
type File struct {
	Config
	closing chan struct{} // closed by Close
	ended   chan struct{} // the writer did

	mu     sync.Mutex
	next   *batch        // what the writer takes when it is done with the one before
	wake   chan struct{} // of one: there is something in next
	closed bool
	stored map[string]struct{} // sessions with a row on the disk

	// Of the writer alone, once it runs.
	db       *sql.DB   // nil: there is no file
	put, del *sql.Stmt // of db
	retry    time.Time // when to make one again
	sick     bool      // the log said that it cannot be written
}

// batch is what is written at once: the last word on each session.
type batch struct {
	rows map[string]Row
	done chan struct{} // it is on the disk, or cannot be
}

func newBatch() *batch { return &batch{rows: map[string]Row{}, done: make(chan struct{})} }

// Open opens the file, or makes it, and gives what stands in it, in no order. It never
// fails: what cannot be read is removed, and what cannot be written is told in the log.
func Open(c Config) (*File, []Row) {
	f := &File{Config: c, ended: make(chan struct{}), closing: make(chan struct{}), next: newBatch(), wake: make(chan struct{}, 1), stored: map[string]struct{}{}}
	rows, err := f.open()
	if err != nil {
		f.Log.Warn("the file of refresh tokens cannot be used and is begun anew: people are asked for again from their next sign-in", "path", f.Path, "error", err)
		f.abandon()
	}
	for _, r := range rows {
		f.stored[r.Session] = struct{}{}
	}
	go f.run()
	return f, rows
}

// Put writes a row, in the place of the one before. The channel is closed when it is
// on the disk, or when it is known that it cannot be: nobody need wait for it.
func (f *File) Put(session string, asked bool, sealed []byte) (written <-chan struct{}) {
	return f.enqueue(Row{session, asked, sealed})
}

// Delete takes a session's row away, soon.
func (f *File) Delete(session string) { f.enqueue(Row{Session: session}) }

// Kept gives how many sessions have a row on the disk.
func (f *File) Kept() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.stored)
}

// Close writes what waits, and lets go of the file. What is put later is not written.
func (f *File) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.wake)
		close(f.closing)
	}
	f.mu.Unlock()
	<-f.ended
}

func (f *File) enqueue(r Row) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		gone := make(chan struct{})
		close(gone)
		return gone
	}
	f.next.rows[r.Session] = r
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return f.next.done
}
