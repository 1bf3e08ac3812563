package standing

import (
	"context"
	"errors"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// look asks for one session that still stands, and does as the answer says.
func (w *Watch) look(ctx context.Context, one Watched) {
	if !w.Live(one.Node, one.Session) {
		w.drop(one)
		return
	}
	who, err := w.Ask(ctx, one.Standing)
	switch {
	case ctx.Err() != nil, !w.current(one): // who signed in anew has another token, and the old one may be refused for that
		return
	case err == nil:
		w.came(func(s *Stats) { s.Stood, s.Problem = s.Stood+1, "" })
		w.unread.note(one.Subject, w.renew(ctx, who), w.Now())
	case errors.Is(err, ErrRefused):
		w.came(func(s *Stats) { s.Refused, s.Problem = s.Refused+1, "" })
		if err := w.end(ctx, one.Subject, ""); err != nil {
			w.Log.Error("who the provider no longer stands by is not signed out yet", "subject", one.Subject, "error", err)
			return // asked for again, and refused again
		}
		w.drop(one)
	case errors.Is(err, ErrDoubtful):
		w.came(func(s *Stats) { s.Failed, s.Problem = s.Failed+1, "" })
		w.Log.Info("the provider's refusal of a person is not clear, and ends no session: they are asked for again from their next sign-in", "subject", one.Subject, "error", err)
		w.drop(one)
	default:
		w.failed(err)
		if errors.Is(err, ErrUnreadable) {
			w.unread.note(one.Subject, err, w.Now())
		}
	}
}

// failed notes that the provider gave no answer. Nobody is signed out for it; the
// log says it once, until there is an answer again.
func (w *Watch) failed(err error) {
	first := false
	w.came(func(s *Stats) { first, s.Failed, s.Problem = s.Problem == "", s.Failed+1, err.Error() })
	if first {
		w.Log.Warn("the provider cannot be asked whether it stands by those who are signed in: nobody is signed out for that", "error", err)
	}
}

func (w *Watch) renew(ctx context.Context, who registry.Identity) error {
	if who.Subject == "" {
		return nil
	}
	r, err := w.Do(ctx, registry.Renew{Who: who})
	if err == nil && len(r.Warnings) > 0 {
		err = errors.New(r.Warnings[0])
	}
	if err != nil && ctx.Err() == nil {
		w.Log.Warn("what the provider says anew of a person is not taken", "subject", who.Subject, "error", err)
	}
	return err
}

func (w *Watch) came(change func(*Stats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.stats)
}

func (w *Watch) current(one Watched) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.sessions[one.Session]
	return e != nil && e.Standing == one.Standing
}
