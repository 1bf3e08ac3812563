// Package distribute brings to every connected node what it may know, and
// nothing more: it turns the registry's events into a Full or a Delta for each
// node that they touch, signs what goes out at one moment with one signature,
// and keeps leases, heartbeats and hints flowing.
//
// One goroutine owns everything here: the compiled mesh, what each node was
// last sent, and the facts of the minute (who is connected, where it can be
// reached, which revision it enforces). A stream's own goroutine only carries
// messages to its socket. Its promises:
//
//   - Work and bytes follow the change: who is not touched by it is not looked
//     at. A change that changes no node's map sends nothing.
//   - Changes of one moment are sent as one. A node whose socket is slow gets
//     the sum of what it missed, and delays nobody.
//   - What narrows rights is handed out before what only widens them.
//   - A node that says where it stands, with the right digest, is told Current;
//     any doubt is a Full.
//
// It decides nothing about who may do what: acl/compile does, and the registry
// holds what was decided.
package distribute

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Source is where the mesh's history comes from.
type Source interface {
	Snapshot() *registry.State
	Changed() <-chan struct{} // closed at the next change
	Since(revision uint64) ([]registry.Entry, bool)
}

// Config of a Hub.
type Config struct {
	Source Source
	Sign   func(payloads [][]byte) []*wire.Signed
	Now    func() time.Time
	Log    *slog.Logger
}

const (
	leaseEvery     = time.Minute
	heartbeatEvery = 20 * time.Second
)

// Why a stream ends.
var (
	// ErrClosed: the coordinator stops.
	ErrClosed = errors.New("the coordinator is stopping")
	// ErrReplaced: the node connected again.
	ErrReplaced = errors.New("this node connected again from elsewhere")
	// ErrGone: the node was removed.
	ErrGone = errors.New("this node was removed from the mesh")
	// ErrSurrender: the node has heard of revocations that this coordinator lost.
	ErrSurrender = errors.New("this coordinator was restored and lacks revocations: surrender yours, then follow again")
)

// Hub distributes. Its methods may be called by several goroutines while Run runs.
type Hub struct {
	cfg  Config
	asks chan func()
	done chan struct{} // closed when Run has returned

	// Owned by Run.
	state    *registry.State
	mesh     *compile.Mesh
	records  map[string]*record
	numbers  map[string]int // node id -> bit in a stream's set of peers, for life of the process
	streams  map[string]*stream
	touched  map[*stream]struct{} // have something to be sent
	presence map[string]*Presence
	notices  map[uint64][]byte // epoch -> payload of the revocation that began it
}

// New makes a Hub of the source's present state.
func New(c Config) *Hub {
	return &Hub{
		cfg: c, asks: make(chan func()), done: make(chan struct{}),
		records: map[string]*record{}, numbers: map[string]int{}, streams: map[string]*stream{},
		touched: map[*stream]struct{}{}, presence: map[string]*Presence{}, notices: map[uint64][]byte{},
	}
}

// Run distributes until ctx is done.
func (h *Hub) Run(ctx context.Context) error {
	defer close(h.done)
	defer func() { h.endAll(ErrClosed) }()
	lease, heartbeat := time.NewTicker(leaseEvery), time.NewTicker(heartbeatEvery)
	defer lease.Stop()
	defer heartbeat.Stop()
	changed := h.cfg.Source.Changed()
	h.rebuild(h.cfg.Source.Snapshot())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			changed = h.cfg.Source.Changed()
			h.catchUp()
		case f := <-h.asks:
			f()
		case <-lease.C:
			h.lease()
		case <-heartbeat.C:
			h.heartbeat()
		}
		h.drain()
		h.flush()
	}
}

// drain takes what is waiting already, so that changes of one moment are sent
// together and signed once.
func (h *Hub) drain() {
	for range 1024 {
		select {
		case f := <-h.asks:
			f()
		default:
			return
		}
	}
}

// do runs f on the owning goroutine and waits for it.
func (h *Hub) do(ctx context.Context, f func()) error {
	ran := make(chan struct{})
	select {
	case h.asks <- func() { f(); close(ran) }:
	case <-h.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-ran:
		return nil
	case <-h.done:
		return ErrClosed
	}
}

// Ask lets f look at the compiled mesh and the state that it was compiled from.
// f must not keep the mesh.
func (h *Hub) Ask(ctx context.Context, f func(*compile.Mesh, *registry.State)) error {
	return h.do(ctx, func() {
		h.catchUp()
		f(h.mesh, h.state)
	})
}

func (h *Hub) endAll(err error) {
	for _, s := range h.streams {
		h.end(s, err)
	}
}
