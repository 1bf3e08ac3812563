package control

import (
	"context"
	"crypto/x509"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	minRetry = 5 * time.Second
	maxRetry = 5 * time.Minute
)

// courier carries what goes up: who signed out, acknowledgements, reports, renewals. It has a
// goroutine of its own for each session, so that the stream is read while the
// coordinator takes its time to answer.
type courier struct {
	o    Options
	wake chan struct{} // one slot

	mu       sync.Mutex
	ack      wire.Position // to be told
	told     wire.Position
	asked    wire.Position // up to here the coordinator wants to know at once
	mustTell bool          // report facts
	fresh    [][]byte      // a renewed certificate chain, until the next session takes it
	activity activity
}

func newCourier(o Options) *courier {
	return &courier{o: o, wake: make(chan struct{}, 1)}
}

func (c *courier) acknowledge(at wire.Position) {
	c.mu.Lock()
	c.ack = at
	c.mu.Unlock()
	c.nudge()
}

// expected notes that the coordinator waits until a map is acknowledged.
func (c *courier) expected(at wire.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = at
}

// due tells whether there is an acknowledgement to be told now. The first of a
// session is. The caller holds c.mu.
func (c *courier) due() bool {
	return c.owes() && (c.told.Revision == 0 || c.told.Compare(c.asked) < 0)
}

func (c *courier) owes() bool { return c.ack != c.told && c.ack.Revision != 0 }

// keeps tells whether there is an acknowledgement that can wait for others.
func (c *courier) keeps() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owes() && !c.due()
}

// hurry makes due what was kept.
func (c *courier) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = c.ack
}

func (c *courier) report() {
	c.mu.Lock()
	c.mustTell = true
	c.mu.Unlock()
	c.nudge()
}

func (c *courier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// start carries on ch until ctx is done; the channel that it gives is closed then.
func (c *courier) start(ctx context.Context, ch *channel, chain [][]byte) <-chan struct{} {
	c.mu.Lock()
	c.told, c.mustTell = wire.Position{}, true
	c.activity.begin()
	c.mu.Unlock()
	c.nudge()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run(ctx, ch, chain)
	}()
	return ended
}

// run carries what there is, and tries again what could not be delivered. A kept
// acknowledgement waits for others, on each node for another while.
func (c *courier) run(ctx context.Context, ch *channel, chain [][]byte) {
	chain = c.renew(ctx, ch, chain)
	renewal := renewIn(chain)
	wait := minRetry
	var again, kept <-chan time.Time
	for {
		stir := c.stirs()
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-stir:
			c.tellActive(ctx, ch)
			continue
		case <-renewal:
			chain = c.renew(ctx, ch, chain)
			renewal = renewIn(chain)
			continue
		case <-again:
		case <-kept:
			kept = nil
			c.hurry()
		}
		again = nil
		if c.carry(ctx, ch) {
			wait = minRetry
		} else {
			again, wait = time.After(wait), min(2*wait, maxRetry)
		}
		if !c.keeps() {
			kept = nil
		} else if kept == nil {
			kept = time.After(wire.UnhurriedWithin/2 + mathrand.N(wire.UnhurriedWithin/2))
		}
	}
}

// carry tells whether everything was delivered.
func (c *courier) carry(ctx context.Context, ch *channel) bool {
	c.mu.Lock()
	ack, tell := c.ack, c.mustTell
	tellAck := c.due()
	c.mustTell = false
	c.mu.Unlock()
	delivered := c.tellSignedOut(ctx, ch)
	if tell {
		if err := c.tell(ctx, ch); err != nil {
			delivered = false
			c.complain(ctx, "reporting to the coordinator failed", err)
			c.mu.Lock()
			c.mustTell = true
			c.mu.Unlock()
		}
	}
	if !tellAck {
		return delivered
	}
	if _, err := ch.Acknowledge(ctx, connect.NewRequest(&wire.AcknowledgeRequest{Incarnation: ack.Incarnation, Revision: ack.Revision})); err != nil {
		c.complain(ctx, "acknowledging a map failed", err)
		return false
	}
	c.mu.Lock()
	c.told = ack
	c.mu.Unlock()
	return delivered
}

func (c *courier) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		c.o.Log.Warn(what, "error", plain(err))
	}
}

func (c *courier) tell(ctx context.Context, ch *channel) error {
	statement, err := c.o.Dir.Statement(c.o.Keys)
	if err != nil {
		return err
	}
	facts := c.o.Facts()
	r := &wire.ReportRequest{Statement: statement, Port: uint32(facts.Port), Os: system(), Version: c.o.Version, Relay: facts.Relay}
	for _, e := range facts.Endpoints {
		r.Endpoints = append(r.Endpoints, e.String())
	}
	for _, p := range facts.Advertised {
		r.Advertised = append(r.Advertised, p.String())
	}
	_, err = ch.Report(ctx, connect.NewRequest(r))
	return err
}

// renew asks for a new certificate once half of the old one's life is over, and gives
// the one that stands then. An expired one still renews: the coordinator goes by the key.
func (c *courier) renew(ctx context.Context, ch *channel, chain [][]byte) [][]byte {
	if halfOf(chain) > 0 {
		return chain
	}
	resp, err := ch.Renew(ctx, connect.NewRequest(&wire.RenewRequest{}))
	if err == nil {
		err = checkChain(resp.Msg.Chain, &c.o.Keys.Node)
	}
	if err != nil {
		c.complain(ctx, "renewing the node certificate failed; it is tried again within an hour", fmt.Errorf("renew: %w", plain(err)))
		return chain
	}
	c.mu.Lock()
	c.fresh = resp.Msg.Chain
	c.mu.Unlock()
	return resp.Msg.Chain
}

// renewAgain is the least between two tries to renew.
const renewAgain = time.Hour

// renewIn says when to renew next: a server may stay connected for longer than its
// certificate lives.
func renewIn(chain [][]byte) <-chan time.Time { return time.After(max(renewAgain, halfOf(chain))) }

// halfOf tells how long it is until half of a certificate's life is over.
func halfOf(chain [][]byte) time.Duration {
	if len(chain) == 0 {
		return 0
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return 0
	}
	return time.Until(leaf.NotAfter) - leaf.NotAfter.Sub(leaf.NotBefore)/2
}

// renewed gives a certificate chain that came since, once.
func (c *courier) renewed() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	chain := c.fresh
	c.fresh = nil
	return chain
}
