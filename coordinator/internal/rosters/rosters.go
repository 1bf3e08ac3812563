// Package rosters knows who is on duty. Other systems keep rosters as iCalendar
// files; it reads those that the policy names from one directory, and reads one
// again when it changes.
//
// A file that cannot be read, or not be understood, is reported, and leaves what
// was read before it in force: who is on duty must not be locked out because a
// file is being copied. Until a first good one there is nobody on duty.
package rosters

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/acl/calendar"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Rosters reads the files in one directory. Its methods may be called by several
// goroutines.
type Rosters struct {
	dir string
	log *slog.Logger

	mu    sync.Mutex
	files map[string]*file
}

// file is one roster as it was read last.
type file struct {
	size   int64
	at     time.Time
	wrong  string // what was last reported
	roster calendar.Roster
}

// New gives the rosters in a directory, which need not exist yet.
func New(dir string, log *slog.Logger) *Rosters {
	return &Rosters{dir: dir, log: log, files: make(map[string]*file)}
}

// OnDuty gives, by the policy's name of a roster and by login, until when somebody
// is on duty at a moment.
func (r *Rosters) OnDuty(pol *policy.Policy, now time.Time) map[string]map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]map[string]time.Time)
	for _, name := range pol.OnCalls() {
		o, _ := pol.OnCall(name)
		all[name] = make(map[string]time.Time)
		for _, d := range r.read(o.File).OnDuty(now) {
			who, until := strings.ToLower(d.Who), settled(d.Until, now) // a login has no case
			if until.After(all[name][who]) {
				all[name][who] = until
			}
		}
	}
	return all
}

// settled gives the end of a duty, or of one beyond which a roster is not looked
// through a moment that moves with the day only: what is told anew costs everybody.
func settled(until, now time.Time) time.Time {
	if until.Sub(now) < calendar.Look {
		return until
	}
	return now.UTC().Truncate(24 * time.Hour).Add(calendar.Look)
}

// read gives a file's roster, as it is or as it was last good.
func (r *Rosters) read(name string) calendar.Roster {
	f := r.files[name]
	if f == nil {
		f = &file{}
		r.files[name] = f
	}
	warnings, err := r.refresh(name, f)
	wrong, what := "", ""
	switch {
	case err != nil:
		wrong, what = err.Error(), "a roster cannot be read: who was on duty by what was read before stays so"
	case len(warnings) > 0:
		wrong, what = fmt.Sprint(warnings), "a roster is in force, but some of it puts nobody on duty"
	}
	switch {
	case wrong == f.wrong:
	case wrong != "":
		r.log.Warn(what, "file", name, "error", wrong)
	default:
		r.log.Info("a roster is as it must be again, and in force", "file", name)
	}
	f.wrong = wrong
	return f.roster
}

// refresh reads a file again if it is another than before. A damaged one is read
// again each time: it may have been half written within one tick of the clock.
func (r *Rosters) refresh(name string, f *file) ([]calendar.Warning, error) {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory of rosters: %w", err)
	}
	defer root.Close()
	in, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("look at it: %w", err)
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("is no regular file")}
	case f.wrong == "" && info.Size() == f.size && info.ModTime().Equal(f.at):
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(in, calendar.MostText+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	roster, warnings, err := calendar.ParseRoster(text)
	if err != nil {
		return nil, err
	}
	f.roster, f.size, f.at = roster, info.Size(), info.ModTime()
	return warnings, nil
}
