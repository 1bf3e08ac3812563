package standing

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrUnreadable: the provider stands by somebody, and what it says of them cannot be
// taken. It ends no session: were it the provider's settings that changed, nobody in the
// house could work, nor sign in again.
var ErrUnreadable = errors.New("what the provider says of this person cannot be read")

// unreadAfter is how often in a row somebody cannot be read before anybody hears of it.
const unreadAfter = 2

// Unread is a person of whom nothing new is known, though the provider was asked.
type Unread struct {
	Subject string
	Since   time.Time // the first question of those in a row
	Reason  string    // at the last one
}

// unread are those of whom the last answer was not taken.
type unread struct {
	mu sync.Mutex
	of map[string]*unreadEntry // by subject
}

type unreadEntry struct {
	Unread
	times int
}

// note takes what became of an answer about somebody.
func (u *unread) note(subject string, err error, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		delete(u.of, subject)
		return
	}
	if u.of == nil {
		u.of = map[string]*unreadEntry{}
	}
	e := u.of[subject]
	if e == nil {
		e = &unreadEntry{Unread: Unread{Subject: subject, Since: now}}
		u.of[subject] = e
	}
	e.times++
	e.Reason = err.Error()
}

// Unread gives those who are asked for and of whom the answers are not taken, by
// subject.
func (w *Watch) Unread() (all []Unread) {
	watched := map[string]bool{}
	w.mu.Lock()
	for _, e := range w.sessions {
		watched[e.Subject] = true
	}
	w.mu.Unlock()
	w.unread.mu.Lock()
	defer w.unread.mu.Unlock()
	for subject, e := range w.unread.of {
		switch {
		case !watched[subject]:
			delete(w.unread.of, subject)
		case e.times >= unreadAfter:
			all = append(all, e.Unread)
		}
	}
	slices.SortFunc(all, func(a, b Unread) int { return strings.Compare(a.Subject, b.Subject) })
	return all
}
