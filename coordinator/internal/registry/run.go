package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
)

// Run owns the state until ctx ends, which gives nil, or until the journal
// failed in a way that only a new start can mend. It answers every command that
// it took.
func (r *Registry) Run(ctx context.Context) error {
	var saver sync.WaitGroup
	saver.Go(r.save)
	defer saver.Wait()
	defer close(r.checkpoints)
	defer close(r.stopped)
	var poll <-chan time.Time
	if r.config.Poll > 0 {
		ticker := time.NewTicker(r.config.Poll)
		defer ticker.Stop()
		poll = ticker.C
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case first := <-r.requests:
			err = r.serve(ctx, r.gather(first))
		case <-r.wake:
			err = r.tail(ctx)
		case <-poll:
			err = r.tail(ctx)
		case <-r.deadline():
			err = r.expire(ctx)
		}
		if errors.Is(err, ErrFailed) {
			return fmt.Errorf("registry at revision %d stops: %w", r.Snapshot().Revision, err)
		}
		r.checkpoint()
	}
}

// gather gives the first request and those that wait with it.
func (r *Registry) gather(first *request) []*request {
	batch := []*request{first}
	for len(batch) < maxBatch {
		select {
		case next := <-r.requests:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// outcome is a batch decided on one state, before it is written.
type outcome struct {
	state   *State
	entries []Entry
	records []audit.Draft
	answers []answer
}

// serve decides a batch, writes it in one transaction, shows it and answers. If
// another registry was faster it learns what happened and decides all again.
func (r *Registry) serve(ctx context.Context, batch []*request) error {
	for {
		out := r.decide(batch)
		err := r.write(ctx, out)
		if errors.Is(err, ErrConflict) {
			if err = r.catchUp(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			r.config.Log.Error("a change was refused because it could not be written", "error", err)
			out.fail(err)
		} else if len(out.entries) > 0 {
			r.show(out.state, out.entries)
		}
		for i, req := range batch {
			req.answer <- out.answers[i]
		}
		return err
	}
}

func (r *Registry) decide(batch []*request) outcome {
	now := r.config.Clock()
	out := outcome{state: r.Snapshot()}
	for _, req := range batch {
		if err := req.ctx.Err(); err != nil {
			out.answers = append(out.answers, answer{err: err})
			continue
		}
		d, err := r.decider.Decide(out.state, req.command, req.actor, now)
		out.state = d.Next
		out.entries = append(out.entries, d.Entries...)
		out.records = append(out.records, d.Records...)
		out.answers = append(out.answers, answer{d.Result, err})
	}
	return out
}

// write makes an outcome durable. An outcome with nothing to write is a refusal
// or "it is so already", decided on a state that another registry may have left
// behind: it only counts if the journal has nothing later, else ErrConflict.
func (r *Registry) write(ctx context.Context, out outcome) error {
	if len(out.entries)+len(out.records) > 0 {
		// A caller who leaves must not undo what others wait for, and a stop of the
		// process must not cut a transaction short that may be half way to the disk.
		return r.journal.Append(context.WithoutCancel(ctx), r.Snapshot().Revision, out.entries, out.records)
	}
	later, err := r.journal.Tail(ctx, r.Snapshot().Revision)
	if len(later) > 0 || errors.Is(err, ErrPruned) {
		return ErrConflict
	}
	if err != nil {
		return fmt.Errorf("looking whether revision %d is the last: %w", r.Snapshot().Revision, err)
	}
	return nil
}

// fail turns every answer that stood on the write into its error. Commands that
// were refused keep their reason: it is true whether or not it was recorded.
func (out outcome) fail(err error) {
	for i, a := range out.answers {
		if a.err == nil {
			out.answers[i] = answer{err: fmt.Errorf("nothing was changed, for it could not be written: %w", err)}
		}
	}
}

// tail learns what other registries wrote.
func (r *Registry) tail(ctx context.Context) error {
	old := r.Snapshot()
	entries, err := r.journal.Tail(ctx, old.Revision)
	if errors.Is(err, ErrPruned) {
		return r.reload(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading the journal after revision %d: %w", old.Revision, err)
	}
	s, err := follow(old, entries)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		r.show(s, entries)
	}
	return nil
}

// catchUp is tail after a conflict: there must be something to learn. If there
// is not, the journal stands behind this registry, as when somebody put an old
// file in its place; to decide again would go on for ever.
func (r *Registry) catchUp(ctx context.Context) error {
	before := r.Snapshot().Revision
	if err := r.tail(ctx); err != nil {
		return err
	}
	if r.Snapshot().Revision == before {
		return fmt.Errorf("%w: it is not at revision %d, yet has nothing later; was the store replaced under a running coordinator?", ErrFailed, before)
	}
	return nil
}

// reload starts anew from the journal's checkpoint.
func (r *Registry) reload(ctx context.Context) error {
	s, _, err := load(ctx, r.journal)
	if err != nil {
		return err
	}
	old := r.view.Load()
	r.view.Store(&view{state: s, changed: make(chan struct{})})
	close(old.changed)
	return nil
}

// checkpoint has the state written whole when enough happened since the last time.
func (r *Registry) checkpoint() {
	s := r.Snapshot()
	if s.Revision-r.saved < r.config.CheckpointEvery {
		return
	}
	select {
	case r.checkpoints <- s:
		r.saved = s.Revision
	default: // the one before is still being written
	}
}

// save writes checkpoints beside the owner, who need not wait: a state is never
// changed. A failure costs nothing but a longer next start.
func (r *Registry) save() {
	for s := range r.checkpoints {
		data, err := EncodeState(s)
		if err == nil {
			err = r.journal.Checkpoint(context.Background(), Checkpoint{Revision: s.Revision, Data: data})
		}
		if err != nil {
			r.config.Log.Error("checkpoint not written; the next start reads more events", "revision", s.Revision, "error", err)
		}
	}
}
