package portmap

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// lifetime is what a gateway is asked for. A gateway that restarts forgets
	// its mappings without a word; the next renewal, after half of this, mends it.
	lifetime = 20 * time.Minute
	// minRenew and maxLife bound what a gateway may make of it.
	minRenew = 30 * time.Second
	maxLife  = 24 * time.Hour
	// probeFor is how long to wait for a gateway that may speak nothing, stepFor
	// how long one that speaks may take to map, and releaseFor to delete.
	probeFor   = 3 * time.Second
	stepFor    = 5 * time.Second
	releaseFor = time.Second
	// grace is how long a better protocol is waited for once one has answered.
	grace = 200 * time.Millisecond
	// minBackoff grows fourfold to maxBackoff from one search in vain to the
	// next. A change of network starts anew.
	minBackoff = 30 * time.Second
	maxBackoff = 30 * time.Minute
	// minGap is the least time between two turns, however often the network
	// changes.
	minGap = time.Second
)

const (
	whyNoGateway = "this machine has no default gateway to ask"
	whyAsking    = "the gateway is being asked"
)

// door is one protocol towards one gateway. Its methods return soon after ctx
// ends, and are called by one goroutine at a time.
type door interface {
	protocol() Protocol
	// probe tells whether the gateway speaks the protocol, and changes nothing.
	probe(ctx context.Context) error
	// open makes or renews the mapping, at external port want if that is free;
	// 0: any.
	open(ctx context.Context, want uint16) (grant, error)
	// shut deletes the mapping that open made.
	shut(ctx context.Context, g grant) error
}

// grant is what a gateway gave.
type grant struct {
	external netip.AddrPort
	life     time.Duration
}

// keeper keeps one mapping in one network. One goroutine has it.
type keeper struct {
	network Network
	doors   []door // the most preferred first
	again   <-chan struct{}
	tell    func(Status)

	by      door // that made the mapping; nil: there is none
	held    grant
	until   time.Time
	backoff time.Duration
}

// run keeps the mapping until ctx ends.
func (k *keeper) run(ctx context.Context) {
	if len(k.doors) == 0 {
		k.tell(Status{Why: whyNoGateway})
		<-ctx.Done()
		return
	}
	k.tell(Status{Why: whyAsking})
	for ctx.Err() == nil {
		wait := k.turn(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(minGap):
		}
		select {
		case <-ctx.Done():
		case <-k.again:
			k.backoff = 0
		case <-time.After(wait - minGap):
		}
	}
}

// turn makes or renews the mapping, and says how long to leave it in peace.
func (k *keeper) turn(ctx context.Context) time.Duration {
	err := k.renew(ctx)
	if err != nil {
		err = k.find(ctx)
	}
	switch left := time.Until(k.until); {
	case err == nil:
		k.backoff = 0
		k.tell(k.status())
		return max(k.held.life/2, minRenew)
	case ctx.Err() != nil:
		return 0
	case k.by != nil && left > 0:
		return max(left/2, minRenew) // the gateway may hold it still
	default:
		k.by = nil
		k.tell(Status{Why: err.Error()})
		k.backoff = min(max(4*k.backoff, minBackoff), maxBackoff)
		return k.backoff
	}
}

func (k *keeper) status() Status {
	return Status{Protocol: k.by.protocol(), External: k.held.external, Until: k.until, DoubleNAT: !global(k.held.external.Addr())}
}

// renew asks the door that made the mapping for the same again.
func (k *keeper) renew(ctx context.Context) error {
	if k.by == nil {
		return errSilent
	}
	return k.enter(ctx, k.by)
}

// enter asks one door for the mapping.
func (k *keeper) enter(ctx context.Context, d door) error {
	ctx, cancel := context.WithTimeout(ctx, stepFor)
	defer cancel()
	want := k.network.Port
	if k.held.external.IsValid() {
		want = k.held.external.Port()
	}
	g, err := d.open(ctx, want)
	if err == nil {
		err = check(g, k.network)
	}
	if err != nil {
		return err
	}
	g.life = min(g.life, maxLife)
	k.by, k.held, k.until = d, g, time.Now().Add(g.life)
	return nil
}

// find asks all doors at once which of them exist, and enters the most preferred
// one that opens.
func (k *keeper) find(ctx context.Context) error {
	probing, cancel := context.WithTimeout(ctx, probeFor)
	var doors sync.WaitGroup
	defer doors.Wait()
	defer cancel()
	heard := make(chan answer, len(k.doors))
	for i, d := range k.doors {
		doors.Go(func() { heard <- answer{i, d.probe(probing)} })
	}
	s := search{why: make([]error, len(k.doors)), ready: make([]bool, len(k.doors)), pending: len(k.doors)}
	var late <-chan time.Time
	for s.more() {
		select {
		case a := <-heard:
			s.take(a)
			if a.err == nil && late == nil {
				late = time.After(grace)
			}
			if s.waits() {
				continue
			}
		case <-late:
		}
		if i := s.best(); i >= 0 {
			if s.why[i] = k.enter(ctx, k.doors[i]); s.why[i] == nil {
				return nil
			}
		}
	}
	return k.explain(s.why)
}

// explain puts into words why no door opened.
func (k *keeper) explain(why []error) error {
	var said []string
	for i, d := range k.doors {
		said = append(said, fmt.Sprintf("%v: %v", d.protocol(), why[i]))
	}
	return fmt.Errorf("the gateway %v maps no port (%s)", k.network.Gateway, strings.Join(said, "; "))
}

// release deletes the mapping, if there is one. What cannot be deleted ends by
// itself.
func (k *keeper) release(ctx context.Context) {
	if k.by == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseFor)
	defer cancel()
	if err := k.by.shut(ctx, k.held); err != nil {
		k.tell(Status{Why: fmt.Sprintf("stopped; the mapping %v ends at %v: %v", k.held.external, k.until.Format(time.TimeOnly), err)})
		return
	}
	k.tell(Status{Why: "stopped"})
}

// answer is what one door's probe said.
type answer struct {
	door int
	err  error
}

// search is how far find has come.
type search struct {
	why     []error // of each door: why it does not open
	ready   []bool  // doors that exist and were not entered yet
	pending int     // doors that may still answer
}

func (s *search) take(a answer) {
	s.pending--
	s.why[a.door], s.ready[a.door] = a.err, a.err == nil
}

// more tells whether a door is left.
func (s *search) more() bool { return s.pending > 0 || s.first() >= 0 }

// waits tells whether a better door than those that exist may still show.
func (s *search) waits() bool { return s.pending > 0 && s.first() != 0 }

func (s *search) first() int {
	for i, ready := range s.ready {
		if ready {
			return i
		}
	}
	return -1
}

// best takes the most preferred door that exists; -1: none.
func (s *search) best() int {
	i := s.first()
	if i >= 0 {
		s.ready[i] = false
	}
	return i
}
