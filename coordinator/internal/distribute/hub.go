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
//   - What narrows rights is handed out at once, and before what only widens them.
//     A newcomer is told of with its endpoints, or half a second after it enrolled.
//   - A node that says where it stands, with the right digest, is told Current;
//     any doubt is a Full.
//   - No lease goes to a node whose map could not be brought up to date.
//   - What waits in memory for sockets is bounded, whatever is sent to however many.
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
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Source is where the mesh's history comes from.
type Source interface {
	Snapshot() *registry.State
	Changed() <-chan struct{} // closed at the next change
	Since(revision uint64) ([]registry.Entry, bool)
}

// Config of a Hub. Every field but the last two is needed.
type Config struct {
	Source Source
	Sign   func(payloads [][]byte) []*wire.Signed
	Keys   func() []*wire.MapKeyCertificate // of the keys that Sign uses; told to every stream, and again when they change
	Now    func() time.Time
	Log    *slog.Logger
	Alarm  func() // somebody should look at once; it returns at once

	Relays func() []wire.RelayRecord                           // by ascending name; told to every stream, and again when they change; nil: none
	Ticket func(node key.NodePublic) (b []byte, end time.Time) // for relays; called by several goroutines; needed if there are relays
}

const (
	// beatEvery is how often every stream hears something: a heartbeat and a lease in
	// turn. With thousands of nodes it is what a coordinator at rest works for.
	beatEvery = 30 * time.Second

	// gatherFor is how long what narrows nothing may wait for more of its kind.
	gatherFor = 5 * time.Millisecond

	// comeWithin is how long peers need not hear of a node that enrolled and did
	// not say yet where it is: a record and no endpoint help nobody, and two
	// messages to each peer cost twice.
	comeWithin = 500 * time.Millisecond
)

// Why a stream ends, or does not begin.
var (
	// ErrClosed: the coordinator stops.
	ErrClosed = errors.New("the coordinator is stopping")
	// ErrReplaced: the node connected again.
	ErrReplaced = errors.New("this node connected again from elsewhere")
	// ErrGone: the node was removed.
	ErrGone = errors.New("this node was removed from the mesh")
	// ErrSurrender: the node has heard of revocations that this coordinator lost.
	ErrSurrender = errors.New("this coordinator was restored and lacks revocations: surrender yours, then follow again")
	// ErrTooLarge: the node's map is larger than any node takes.
	ErrTooLarge = errors.New("this node's map is too large to be sent: the policy must let it see fewer peers")
)

// Hub distributes. Its methods may be called by several goroutines while Run runs.
type Hub struct {
	cfg    Config
	asks   chan func()
	landed *landed
	done   chan struct{} // closed when Run has returned

	// Owned by Run.
	state    *registry.State
	mesh     *compile.Mesh
	idle     time.Duration // the shortest that the policy asks for; 0: none
	subjects map[string]*subject
	bits     bits
	rules    map[*compile.Set]*rules
	streams  map[string]*stream
	queue    []*stream // those that may owe something
	waiting  []*stream // those whose megabytes wait for flight to have room
	urgent   bool      // one of the queue loses a right
	flight   flight
	largest  int              // bytes of the largest message that a node takes
	coming   []newcomer       // in the order in which they enrolled
	come     <-chan time.Time // when the first of them is waited for no longer; set while there is one
	presence map[string]*Presence
	lost     map[string]struct{} // nodes that handed over their revocations
	keys     []*wire.MapKeyCertificate
	keyRound int // raised when keys change

	relays     []wire.RelayRecord
	offered    []*wire.Relay // relays in wire form
	relayRound int           // raised when relays change
}

// New makes a Hub of the source's present state.
func New(c Config) *Hub {
	return &Hub{
		cfg: c, asks: make(chan func()), landed: newLanded(), done: make(chan struct{}),
		subjects: map[string]*subject{}, rules: map[*compile.Set]*rules{}, streams: map[string]*stream{},
		presence: map[string]*Presence{}, lost: map[string]struct{}{},
		largest: wire.MaxMessage, flight: flight{most: maxFlight}, relayRound: 1,
	}
}

// Run distributes until ctx is done. Every stream has ended when it returns.
func (h *Hub) Run(ctx context.Context) error {
	defer close(h.done)
	defer func() { h.endAll(ErrClosed) }()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	lease := false // at the next beat
	changed := h.cfg.Source.Changed()
	h.rebuild(h.cfg.Source.Snapshot())
	var gather <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			changed = h.cfg.Source.Changed()
			h.catchUp()
			if gather == nil && len(h.queue) > 0 {
				gather = time.After(gatherFor)
			}
		case <-gather:
			gather = nil
		case f := <-h.asks:
			f()
		case <-h.landed.bell:
			h.taken()
		case <-h.come:
			h.waitNoLonger()
		case <-h.flight.lapse:
			h.flight.forget()
		case <-beat.C:
			h.beat(lease)
			lease = !lease
			h.sweep()
		}
		h.drain()
		if gather == nil || h.urgent {
			gather = nil
			h.flush()
		}
	}
}

// drain takes what is waiting already, so that changes of one moment are sent
// together and signed once.
func (h *Hub) drain() {
	for range 1024 {
		select {
		case f := <-h.asks:
			f()
		case <-h.landed.bell:
			h.taken()
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
// f must be quick, for all distribution waits for it, and must not keep the mesh.
func (h *Hub) Ask(ctx context.Context, f func(*compile.Mesh, *registry.State)) error {
	return h.do(ctx, func() {
		h.catchUp()
		h.mesh.At(h.cfg.Now())
		f(h.mesh, h.state)
	})
}

// touch notes that a stream may owe something.
func (h *Hub) touch(s *stream) {
	if !s.queued {
		s.queued = true
		h.queue = append(h.queue, s)
	}
}

// beat gives every stream a sign of life, or more: that the coordinator stands behind
// its map.
func (h *Hub) beat(lease bool) {
	for _, s := range h.streams {
		s.beat, s.lease = true, s.lease || lease
		h.touch(s)
	}
}

func (h *Hub) endAll(err error) {
	for _, s := range h.streams {
		h.end(s, err)
	}
}
