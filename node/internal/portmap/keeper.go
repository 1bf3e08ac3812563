package portmap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	// lifetime is what a gateway is asked for. A gateway that restarts forgets
	// its mappings without a word; the next renewal, after half of this, mends it.
	lifetime = 20 * time.Minute
	// minLife and maxLife bound what a gateway may make of it: a mapping that
	// ends sooner is more traffic than it is worth.
	minLife = 30 * time.Second
	maxLife = 24 * time.Hour
	// minRetry is the least time from one renewal in vain to the next.
	minRetry = 30 * time.Second
	// stepFor is how long a gateway that speaks a protocol may take to map, and
	// releaseFor to delete.
	stepFor    = 5 * time.Second
	releaseFor = time.Second
	// minBackoff grows fourfold to maxBackoff from one search in vain to the
	// next. A change of network starts anew. These are also how long RFC 6887,
	// section 7.4, lets its refusals hold, from short to long.
	minBackoff = 30 * time.Second
	maxBackoff = 30 * time.Minute
	// minGap is the least time between two turns, however often the network
	// changes.
	minGap = time.Second
)

const (
	whyNoGateway = "this machine has no default gateway to ask"
	whyAsking    = "the gateway is being asked"
	whyLapsed    = "the gateway did not renew the mapping; it is being asked again"
	whyStopped   = "stopped"
)

// door is one protocol towards one gateway. Its methods return soon after ctx
// ends, and are called by one goroutine at a time.
type door interface {
	protocol() Protocol
	// probe tells whether the gateway speaks the protocol, and changes nothing.
	probe(ctx context.Context) error
	// open makes or renews the mapping, at the external address and port want if
	// these are free. It is called after probe gave nil.
	open(ctx context.Context, want netip.AddrPort) (grant, error)
	// shut deletes the mapping that open made.
	shut(ctx context.Context, g grant) error
	// forgot tells whether the gateway is known to have lost its mappings since
	// open last gave one.
	forgot() bool
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

	by      door  // that made the mapping; nil: there is none
	held    grant // the last; what it names is asked for again
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
	if k.by != nil && time.Until(k.until) <= 0 { // nobody should be sent there any longer
		k.by = nil
		k.tell(Status{Why: whyLapsed})
	}
	err := k.renew(ctx)
	if err != nil {
		err = k.find(ctx)
	}
	switch left := time.Until(k.until); {
	case err == nil:
		k.backoff = 0
		k.tell(k.status())
		return renewal(k.held.life)
	case ctx.Err() != nil:
		return 0
	case k.by != nil && left > minRetry+stepFor+probeFor:
		return max(left/2, minRetry) // the gateway may hold it still
	case k.by != nil && left > 0:
		return left // one more try would run over its end
	default:
		k.by = nil
		k.tell(Status{Why: err.Error()})
		k.backoff = min(max(4*k.backoff, minBackoff), maxBackoff)
		return k.backoff
	}
}

// renewal is when to renew: "a time chosen with uniform random distribution in
// the range 1/2 to 5/8 of expiration time" (RFC 6887, section 11.2.1), as all
// that a gateway serves may have been woken by one event. A mapping that lives
// longer than asked for is not left alone for longer.
func renewal(life time.Duration) time.Duration {
	life = min(life, lifetime)
	return life/2 + rand.N(life/8)
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
	asking, cancel := context.WithTimeout(ctx, stepFor)
	defer cancel()
	want := netip.AddrPortFrom(unspecified(k.network.Local), k.network.Port)
	if k.held.external.IsValid() {
		want = k.held.external
	}
	g, err := d.open(asking, want)
	if err == nil {
		if err = check(g, k.network); err == nil {
			g.life = min(g.life, maxLife)
			k.by, k.held, k.until = d, g, time.Now().Add(g.life)
			return nil
		}
		d.shut(asking, g) // as nobody will be told of it
		if k.by == d {
			k.until = time.Now()
		}
	}
	switch {
	case ctx.Err() != nil: // the answer was not awaited: release what it may have granted
		k.by, k.held.external = d, want
	case k.by == d && d.forgot():
		k.until = time.Now()
	}
	return err
}

// release deletes the mapping, if there is one. What cannot be deleted ends by
// itself.
func (k *keeper) release(ctx context.Context) error {
	if k.by == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseFor)
	defer cancel()
	if err := k.by.shut(ctx, k.held); err != nil {
		return fmt.Errorf("%s; the gateway did not delete the mapping, which ends by itself: %w", whyStopped, err)
	}
	return nil
}
