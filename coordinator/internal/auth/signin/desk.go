package signin

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// awaitLimit is how long Await waits for news at most.
const awaitLimit = 20 * time.Second

// How many sign-ins may begin, at once and per second: at a seat, or at a machine that
// tells its people apart by none, and at a machine as a whole. On one of many people all
// may come at the change of a shift; one of them is not to take what the others need.
const (
	opensAtOnce        = 40
	opensPerSecond     = 0.2
	nodeOpensAtOnce    = 200
	nodeOpensPerSecond = 1
)

// Desk keeps the sign-ins under way and serves their pages. It may be used by
// several goroutines.
type Desk struct {
	cfg    Config
	url    string // without a slash at its end
	pages  *pages
	marks  *marks
	opens  *meter // by node
	seats  *meter // by node and seat
	strays *meter
	links  *meter // that operators gave
	grants chan job
	closed chan struct{} // when Run has ended

	mu   sync.Mutex
	book *book
}

// New makes a desk without sign-ins. It fails if cfg lacks something, or its URL
// is not of the form https://host:port.
func New(cfg Config) (*Desk, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &Desk{cfg: cfg, url: strings.TrimSuffix(cfg.URL, "/"), pages: newPages(), marks: newMarks(cfg.MarkKey), opens: newMeter(nodeOpensAtOnce, nodeOpensPerSecond), seats: newMeter(opensAtOnce, opensPerSecond),
		links:  newMeter(visitsAtOnce, visitsPerSecond),
		strays: newMeter(strayAtOnce, strayPerSecond), grants: make(chan job), closed: make(chan struct{})}
	d.book = newBook(d.forget)
	return d, nil
}

// locked calls f under the desk's lock.
func (d *Desk) locked(f func(now time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.cfg.Now())
}

// Open begins a sign-in at a node, which asked from an address. It fails with
// [ErrNode], [ErrBusy], [ErrNoGrant], [ErrNoLevel], [ErrStopped], or with what the provider says
// to a device grant.
func (d *Desk) Open(ctx context.Context, node string, from netip.Addr, asked Request) (Opened, error) {
	host, ok := d.cfg.Node(node)
	if !ok {
		return Opened{}, fmt.Errorf("sign in at %s: %w", plain(node), ErrNode)
	}
	if asked.DeviceCode && d.cfg.Provider == nil {
		return Opened{}, fmt.Errorf("sign in at %s: %w", plain(host.Name), ErrNoGrant)
	}
	if err := d.mayAsk(asked); err != nil {
		return Opened{}, fmt.Errorf("sign in at %s: %w", plain(host.Name), err)
	}
	s := &signin{id: drawSecret(), node: node, code: drawCode(), from: from.Unmap(), asked: asked, over: make(chan struct{}), cancel: func() {}}
	if err := d.add(s); err != nil {
		return Opened{}, fmt.Errorf("sign in at %s: %w", plain(host.Name), err)
	}
	d.cfg.Log.Debug("a sign-in is opened", "node", node, "from", from)
	if asked.DeviceCode {
		return d.openGrant(ctx, s)
	}
	return Opened{ID: s.id, URL: d.url + Prefix + s.id, Code: s.code, Until: s.until}, nil
}

func (d *Desk) add(s *signin) (err error) {
	d.locked(func(now time.Time) {
		s.since, s.wanted, s.until = now, now, now.Add(Life)
		if err = ErrBusy; d.mayOpen(now, s) {
			err = d.book.add(now, s)
		}
	})
	return err
}

// mayOpen counts who opens a sign-in: a node's seat and the node. What its seat is refused
// for costs the node nothing. Who comes from outside is counted at their pages: see lobby.
func (d *Desk) mayOpen(now time.Time, s *signin) bool {
	return s.operator || s.machine != nil || d.seats.allow(now, s.node+" "+s.asked.Seat) && d.opens.allow(now, s.node)
}

// Await tells what became of a sign-in: at once if it has ended, else as soon as
// it ends, or that it is pending when some seconds have passed. Only the node
// that opened it may ask; it fails with [ErrNotFound] for any other.
func (d *Desk) Await(ctx context.Context, node, id string) (Outcome, error) {
	var s *signin
	var o Outcome
	var left time.Duration
	d.locked(func(now time.Time) {
		if s = d.book.byID(now, id); s != nil && s.node == node {
			o, left, s.wanted = s.told(now), s.until.Sub(now), now
		} else {
			s = nil
		}
	})
	if s == nil {
		return Outcome{}, ErrNotFound
	}
	if o.State != Pending {
		return o, nil
	}
	if left <= 0 { // it is checked, beyond its time
		left = awaitLimit
	}
	timer := time.NewTimer(min(left, awaitLimit))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	case <-s.over:
	case <-timer.C:
	}
	d.locked(func(now time.Time) { o, s.wanted = s.told(now), now })
	return o, nil
}

// begin makes a session of who somebody proved to be, or their machine a node, and
// ends the sign-in.
func (d *Desk) begin(ctx context.Context, s *signin, who registry.Identity) {
	switch {
	case s.machine != nil:
		d.join(ctx, s, who)
		return
	case s.operator:
		d.admit(s, who)
		return
	}
	if err := ofLevel(s.asked, who); err != nil { // also of people of our own, who were asked for nothing
		d.forget(who)
		d.fail(s, err)
		return
	}
	session, err := d.cfg.Begin(ctx, s.node, s.asked.Seat, who)
	if err != nil {
		d.refuse(s, plain(err.Error()))
		return
	}
	d.cfg.Log.Info("a person signed in", "node", s.node, "seat", s.asked.Seat, "login", session.User, "session", session.ID, "until", session.Until)
	d.locked(func(time.Time) { s.conclude(Outcome{State: Done, Session: session}) })
}

func (d *Desk) refuse(s *signin, reason string) {
	d.cfg.Log.Info("a sign-in is refused", "node", s.node, "from", s.from, "reason", reason)
	d.locked(func(time.Time) { s.conclude(Outcome{State: Refused, Reason: reason}) })
}
