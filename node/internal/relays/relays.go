// Package relays keeps this node's connections to relays: one to its home, where
// its peers send to, and one to each relay at which a peer is at home, while there
// is something to say.
//
// What it keeps to:
//
//   - A home is told to others only once this node is connected to it, so that
//     nobody is sent to where it is not. The old one stays open for a while after
//     a move, for those who have not heard of it.
//   - Send never waits. A relay to which there is no connection gets one, and what
//     was to be sent is lost, as on any network.
//   - One goroutine, Run's, owns all choices; Send reads a snapshot.
//
// Which way a datagram takes is package path's to say, what a connection is
// package relay's.
package relays

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

const (
	// measureEvery is how often relays are measured, to notice a nearer one.
	measureEvery = time.Minute
	// retryAfter is when they are measured again while none has answered.
	retryAfter = 5 * time.Second
	// patience is how long the first choice waits for relays that are slow to answer.
	patience = time.Second
	// goneAfter is how long a home may be without a connection before it is left: a
	// relay that starts again, or another network, costs less.
	goneAfter = 2 * time.Second
	// lingers is how long a connection that nobody uses is kept.
	lingers = 2 * time.Minute
)

// Offer is a relay that the coordinator names.
type Offer struct {
	Name string
	URL  string
	Pin  string // as package relay writes it; or as whoever reaches it understands it
}

// Reach is how one relay is reached. A *relay.Dialer is one.
type Reach interface {
	Open(context.Context) (*relay.Stream, error)
	Measure(context.Context) (relay.Measured, error)
}

// Config of a Set. Node, Reach and Receive are needed.
type Config struct {
	Node  *key.NodePrivate
	Reach func(Offer) (Reach, error)
	// Receive is given what comes. It must not block, and may use the bytes until
	// it returns. Connections call it each from a goroutine of its own.
	Receive func(relay string, from key.NodePublic, datagram []byte)
	// OnHome is told where this node is at home from now on. It must return soon.
	OnHome func(relay string)
	// OnLink is told that datagrams reach a relay from now on, or do not, in the
	// order in which that came to be. It must return soon, and may not call the Set.
	OnLink func(relay string, up bool)
	// OnAway is told of each attempt to reach a relay that failed. It must return
	// soon, and may not call the Set.
	OnAway func(relay string)
	Log    *slog.Logger
}

// Status is how this node stands with one relay.
type Status struct {
	Offer
	Home      bool
	Connected bool
	RTT       time.Duration // 0: it was not measured, or did not answer
	Why       string        // it is not connected, or does not answer; for people
}

// Set is the relays that this node knows. Its methods may be called from any
// goroutine.
type Set struct {
	cfg      Config
	instance relay.Instance
	open     atomic.Pointer[map[string]*link] // for Send

	mu     sync.Mutex
	offers []Offer
	ticket []byte
	states map[string]relay.State
	looks  map[string]relay.Measurement
	wants  map[string]bool // relays to which something was to be sent
	home   string          // as told
	moved  bool            // the network is another
	news   chan struct{}   // wakes Run

	// Run's.
	links    map[string]*link
	chooser  relay.Home
	looked   time.Time // when relays were last measured
	looking  map[string]bool
	heard    map[string]time.Time // when relays answered a measurement last
	broke    time.Time            // when the connection to the home ended; zero: it stands
	answered chan relay.Measurement
	running  sync.WaitGroup
}

// link is one connection, or the attempt at one.
type link struct {
	offer  Offer
	client *relay.Client
	busy   atomic.Bool // something was sent since the last turn
	ticket []byte
	used   time.Time
	stop   context.CancelFunc
}

// New makes a Set without relays.
func New(cfg Config) *Set {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.OnHome == nil {
		cfg.OnHome = func(string) {}
	}
	if cfg.OnAway == nil {
		cfg.OnAway = func(string) {}
	}
	if cfg.OnLink == nil {
		cfg.OnLink = func(string, bool) {}
	}
	s := &Set{cfg: cfg, instance: relay.NewInstance(), states: map[string]relay.State{}, looks: map[string]relay.Measurement{},
		wants: map[string]bool{}, news: make(chan struct{}, 1), links: map[string]*link{}, looking: map[string]bool{}, heard: map[string]time.Time{},
		answered: make(chan relay.Measurement)}
	s.open.Store(new(map[string]*link))
	return s
}

// Offer says which relays there are now, and with which ticket to use them.
func (s *Set) Offer(offers []Offer, ticket []byte) {
	s.mu.Lock()
	s.offers, s.ticket = slices.Clone(offers), slices.Clone(ticket)
	s.mu.Unlock()
	s.wake()
}

// NetworkChanged says that this machine has other addresses or routes: what is
// connected connects anew, and all is measured again.
func (s *Set) NetworkChanged() {
	s.mu.Lock()
	s.moved = true
	s.mu.Unlock()
	s.wake()
}

// Send hands a datagram for a node to a relay, and tells whether it could.
func (s *Set) Send(name string, to key.NodePublic, datagram []byte) bool {
	l := (*s.open.Load())[name]
	if l == nil {
		s.want(name)
		return false
	}
	if !l.busy.Load() {
		l.busy.Store(true)
	}
	return l.client.Send(to, datagram)
}

// want notes that a connection to a relay is wanted.
func (s *Set) want(name string) {
	s.mu.Lock()
	first := !s.wants[name]
	s.wants[name] = true
	s.mu.Unlock()
	if first {
		s.wake()
	}
}

// Home is the relay at which this node can be reached; empty: none.
func (s *Set) Home() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home
}

// Status lists the relays by name.
func (s *Set) Status() (all []Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.offers {
		state, look := s.states[o.Name], s.looks[o.Name]
		st := Status{Offer: o, Home: o.Name == s.home, Connected: state.Connected, RTT: look.RTT}
		switch {
		case st.Connected:
		case state.Err != nil:
			st.Why = state.Err.Error()
		case look.Err != nil:
			st.Why = look.Err.Error()
		}
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Looked is how one relay answers at this moment.
type Looked struct {
	Status
	relay.Measured
	Err error
}

// Look measures all relays, for a person who waits.
func (s *Set) Look(ctx context.Context) []Looked {
	all := s.Status()
	out := make([]Looked, len(all))
	var looks sync.WaitGroup
	for i, st := range all {
		out[i].Status = st
		looks.Go(func() {
			reach, err := s.cfg.Reach(st.Offer)
			if err == nil {
				out[i].Measured, err = reach.Measure(ctx)
			}
			out[i].Err = err
		})
	}
	looks.Wait()
	return out
}

func (s *Set) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// names lists what is offered.
func names(offers map[string]Offer) []string { return slices.Sorted(maps.Keys(offers)) }
