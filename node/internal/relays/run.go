package relays

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

// Run keeps connections until ctx ends; then it returns nil, and nothing that it
// started is left. It runs once.
func (s *Set) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.running.Wait()
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s.turn(ctx, time.Now())
		select {
		case <-ctx.Done():
			return nil
		case m := <-s.answered:
			s.measured(time.Now(), m)
		case <-s.news:
		case <-tick.C:
		}
	}
}

// turn makes all as it should be now.
func (s *Set) turn(ctx context.Context, now time.Time) {
	offers, ticket, wants, moved := s.take()
	s.drop(offers)
	s.chooser.Offer(names(offers))
	if moved {
		s.looked = time.Time{}
		for _, l := range s.links {
			l.client.Redial()
		}
	}
	s.doubt(now)
	s.look(ctx, now, offers)
	home := s.choose(now)
	if home != "" {
		wants[home] = true
	}
	if ticket != nil {
		for name := range wants {
			s.use(ctx, now, offers, name, ticket)
		}
	}
	for name, l := range s.links {
		if l.busy.Swap(false) {
			l.used = now
		}
		if now.Sub(l.used) > lingers {
			s.end(name, l)
		}
	}
	s.announce(home)
}

// take gives what others have said since the last turn.
func (s *Set) take() (offers map[string]Offer, ticket []byte, wants map[string]bool, moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	offers = make(map[string]Offer, len(s.offers))
	for _, o := range s.offers {
		offers[o.Name] = o
	}
	wants, moved = s.wants, s.moved
	s.wants, s.moved = map[string]bool{}, false
	for name, state := range s.states {
		if state.Draining {
			s.chooser.Lost(name)
		}
	}
	return offers, s.ticket, wants, moved
}

// drop ends what is offered no more, or elsewhere. What was measured of a relay that
// left says nothing of one that comes under its name.
func (s *Set) drop(offers map[string]Offer) {
	for name, l := range s.links {
		if offers[name] != l.offer {
			s.end(name, l)
		}
	}
	gone := func(name string) bool { _, offered := offers[name]; return !offered }
	maps.DeleteFunc(s.heard, func(name string, _ time.Time) bool { return gone(name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.looks, func(name string, _ relay.Measurement) bool { return gone(name) })
	maps.DeleteFunc(s.states, func(name string, _ relay.State) bool { return gone(name) })
}

// choose gives the home. A node without one, or without a connection to it, waits a
// moment for relays that have not answered yet: else its home would be whichever
// answers first.
func (s *Set) choose(now time.Time) string {
	if !s.settled() && len(s.looking) > 0 && now.Sub(s.looked) < patience {
		return s.Home()
	}
	return s.chooser.Choose(now)
}

// look measures the relays when it is time, all at once: now and then, at once
// when there are others, when the home is in doubt, and soon again while this node
// is at home nowhere.
func (s *Set) look(ctx context.Context, now time.Time, offers map[string]Offer) {
	wait := measureEvery
	switch {
	case s.looked.Before(s.broke):
		wait = patience
	case !s.settled():
		wait = retryAfter
	}
	if now.Sub(s.looked) < wait && !s.unknown(offers) {
		return
	}
	s.looked = now
	for _, name := range names(offers) {
		if s.looking[name] {
			continue
		}
		s.looking[name] = true
		offer := offers[name]
		s.running.Go(func() {
			m := relay.Measurement{Relay: offer.Name}
			reach, err := s.cfg.Reach(offer)
			if err == nil {
				var look relay.Measured
				look, err = reach.Measure(ctx)
				m.RTT = look.RTT
			}
			m.Err = err
			select {
			case s.answered <- m:
			case <-ctx.Done():
			}
		})
	}
}

// settled tells whether this node can be reached at its home.
func (s *Set) settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home != "" && s.states[s.home].Connected
}

// doubt has all relays measured soon after the connection to the home broke, and
// leaves the home when it does not come back though another relay answers: then it
// is not our own network that is down.
func (s *Set) doubt(now time.Time) {
	home := s.Home()
	switch {
	case home == "" || s.settled():
		s.broke = time.Time{}
	case s.broke.IsZero():
		s.broke = now
	case now.Sub(s.broke) >= goneAfter && s.heard[home].Before(s.broke):
		for _, at := range s.heard {
			if !at.Before(s.broke) {
				s.chooser.Lost(home)
				s.cfg.OnAway(home) // an attempt may be under way for long
				return
			}
		}
	}
}

// unknown tells whether a relay was never looked at.
func (s *Set) unknown(offers map[string]Offer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(names(offers), func(name string) bool {
		_, known := s.looks[name]
		return !known && !s.looking[name]
	})
}

func (s *Set) measured(now time.Time, m relay.Measurement) {
	delete(s.looking, m.Relay)
	s.chooser.Measured(now, m)
	if m.Err == nil {
		s.heard[m.Relay] = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks[m.Relay] = m
}

// use sees to it that there is a connection, or an attempt at one.
func (s *Set) use(ctx context.Context, now time.Time, offers map[string]Offer, name string, ticket []byte) {
	offer, known := offers[name]
	if !known {
		return
	}
	l := s.links[name]
	if l == nil {
		if l = s.begin(ctx, offer); l == nil {
			return
		}
	}
	l.used = now
	if !slices.Equal(l.ticket, ticket) {
		l.ticket = ticket
		if err := l.client.SetTicket(ticket); err != nil {
			s.cfg.Log.Error("relay ticket refused", "error", err)
		}
	}
}

func (s *Set) begin(ctx context.Context, offer Offer) *link {
	reach, err := s.cfg.Reach(offer)
	if err != nil {
		s.unreachable(offer.Name, err)
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	l := &link{offer: offer, stop: stop}
	l.client = relay.NewClient(relay.ClientConfig{
		Open: reach.Open, Node: s.cfg.Node, Instance: s.instance, Log: s.cfg.Log.With("relay", offer.Name),
		Receive: func(from key.NodePublic, datagram []byte) { s.cfg.Receive(offer.Name, from, datagram) },
		OnState: func(st relay.State) { s.state(l, st) },
	})
	s.links[offer.Name] = l
	s.publish()
	s.running.Go(func() {
		if err := l.client.Run(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("relay connection ended for good", "relay", offer.Name, "error", err)
		}
	})
	return l
}

func (s *Set) end(name string, l *link) {
	l.stop()
	delete(s.links, name)
	s.publish()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states[name].Connected {
		s.cfg.OnLink(name, false)
	}
	delete(s.states, name)
}

// publish lets Send see what there is.
func (s *Set) publish() {
	links := maps.Clone(s.links)
	s.open.Store(&links)
}

// unreachable notes that there cannot be a connection.
func (s *Set) unreachable(name string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[name] = relay.State{Err: why}
}

// state takes the word of a connection. One that was ended has no say: another
// may have its name by now.
func (s *Set) state(l *link, st relay.State) {
	name := l.offer.Name
	s.mu.Lock()
	if (*s.open.Load())[name] != l {
		s.mu.Unlock()
		return
	}
	before := s.states[name]
	s.states[name] = st
	if st.Connected != before.Connected {
		s.cfg.OnLink(name, st.Connected)
	} else if !st.Connected {
		s.cfg.OnAway(name)
	}
	s.mu.Unlock()
	if st.Connected && !before.Connected {
		s.cfg.Log.Info("connected to relay", "relay", name, "way", st.Way)
	}
	s.wake()
}

// announce tells of a new home, once this node can be reached there.
func (s *Set) announce(home string) {
	s.mu.Lock()
	old := s.home
	told := home == old || home != "" && !s.states[home].Connected
	if !told {
		s.home = home
	}
	s.mu.Unlock()
	if told {
		return
	}
	s.cfg.Log.Info("home relay", "relay", home, "was", old)
	s.cfg.OnHome(home)
}
