package registry

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/audit"
)

// Config is what a Registry needs besides its journal. Every field may be zero.
type Config struct {
	Clock func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: silent

	// AutoApprove is Decider.AutoApprove.
	AutoApprove func(p *policy.Policy, n Node, prefix netip.Prefix) bool

	// RoleScopes is Decider.RoleScopes.
	RoleScopes func(role string) []string

	// Poll is how often the journal is asked for changes of other registries,
	// even if nobody calls Wake. 0: never; this registry is alone.
	Poll time.Duration

	// CheckpointEvery is after how many events the state is written whole.
	// 0: 1,000. A start reads the last one and the events since.
	CheckpointEvery uint64
}

// maxBatch is how many waiting commands share one transaction. It bounds how
// long the first of them waits for its answer.
const maxBatch = 128

// Registry is the one writer of a journal in this process.
type Registry struct {
	// Fixed.
	journal Journal
	decider Decider
	config  Config

	// Between callers and the owner.
	requests chan *request
	wake     chan struct{} // capacity 1
	stopped  chan struct{} // closed when Run ends
	view     atomic.Pointer[view]

	// Run's own.
	saved       uint64 // revision of the last checkpoint that was begun
	tried       uint64 // revision of the policy that was to be rolled back last
	checkpoints chan *State
}

// request is a command on its way. Its answer has room, so that the owner never
// waits for a caller.
type request struct {
	ctx     context.Context
	actor   Actor
	command Command
	answer  chan answer
}

type answer struct {
	result Result
	err    error
}

// New reads a journal back and gives its registry, at the state that the journal
// ends with. Call Run once.
func New(ctx context.Context, journal Journal, c Config) (*Registry, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = 1000
	}
	s, saved, err := load(ctx, journal)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		journal: journal, decider: Decider{AutoApprove: c.AutoApprove, RoleScopes: c.RoleScopes}, config: c,
		requests: make(chan *request), wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		saved: saved, checkpoints: make(chan *State, 1),
	}
	r.view.Store(&view{state: s, changed: make(chan struct{})})
	return r, nil
}

// load gives the state at the journal's end, and the revision of its checkpoint.
func load(ctx context.Context, journal Journal) (*State, uint64, error) {
	c, entries, err := journal.Load(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("loading the registry: %w", err)
	}
	s := &State{}
	if c.Revision > 0 {
		if s, err = DecodeState(c.Data); err != nil {
			return nil, 0, fmt.Errorf("loading the registry: %w", err)
		}
		if s.Revision != c.Revision {
			return nil, 0, fmt.Errorf("loading the registry: %w: checkpoint %d holds revision %d", ErrFailed, c.Revision, s.Revision)
		}
	}
	if s, err = follow(s, entries); err != nil {
		return nil, 0, fmt.Errorf("loading the registry: %w", err)
	}
	if err := s.uniqueAddresses(); err != nil {
		return nil, 0, fmt.Errorf("loading the registry: %w", err)
	}
	return s, c.Revision, nil
}

// Do has a command decided, and returns when its outcome is durable. An error
// that wraps none of the sentinels of a refusal comes from the journal.
//
// If ctx ends first, Do returns its error, and the command may have happened or
// may still happen; commands are safe to repeat.
func (r *Registry) Do(ctx context.Context, actor Actor, c Command) (Result, error) {
	req := &request{ctx: ctx, actor: actor, command: c, answer: make(chan answer, 1)}
	select {
	case r.requests <- req:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	case <-r.stopped:
		return Result{}, ErrClosed
	}
	select {
	case a := <-req.answer:
		return a.result, a.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// Wake has the journal asked for changes of other registries. It returns at once.
func (r *Registry) Wake() {
	select {
	case r.wake <- struct{}{}:
	default: // one is under way
	}
}

// AuditHead gives the end of the audit chain.
func (r *Registry) AuditHead(ctx context.Context) (audit.Head, error) {
	return r.journal.AuditHead(ctx)
}

// AuditRange gives at most limit audit records after a sequence.
func (r *Registry) AuditRange(ctx context.Context, after uint64, limit int) ([]audit.Record, error) {
	return r.journal.AuditRange(ctx, after, limit)
}
