//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// pulse is how often a datagram is sent to see whether traffic flows.
const pulse = 5 * time.Millisecond

// paths: a flow runs between two nodes whose direct way is cut and heals, and one
// of which moves to other addresses, loses its link and sleeps. What counts is for how long
// its program hears nothing.
func (b *bench) paths() error {
	return b.inLab("paths", func(t lab.T) {
		w := newWays(t)
		var first, lost, back, moved, flapped, slept samples
		for range pick(b, 10, 3) {
			first.addMillis(w.begin(b.ctx))
		}
		for range pick(b, 10, 2) {
			lost.addMillis(w.cut(b.ctx))
			back.addMillis(w.heal(b.ctx))
		}
		for i := range pick(b, 20, 4) {
			moved.addMillis(w.roam(b.ctx, i))
		}
		for range pick(b, 10, 2) {
			flapped.addMillis(w.flap(b.ctx))
		}
		for range pick(b, 5, 2) {
			slept.addMillis(w.sleep(b.ctx))
		}
		b.results.add(
			first.middle("no direct way: a new flow's first answer", "ms", atMost(2000)),
			worst(lost, "a direct path dies under traffic: longest silence, over the relay after that", atMost(1000)),
			worst(back, "it heals: until the path is direct again", atMost(60_000)),
			worst(moved, "a node has another address: longest silence", atMost(3000)),
			worst(flapped, "a node's link was down for a second: silence after that", atMost(3000)),
			worst(slept, "a node stood still for 10 seconds: silence after that", atMost(3000)),
		)
	})
}

// worst is a row whose value is the greatest of the samples.
func worst(s samples, what string, g *gate) row {
	r := s.middle(what, "ms", g)
	r.Value = s.at(1)
	return r
}

// ways is a mesh of two nodes, of which one asks the other all the time.
type ways struct {
	t          lab.T
	ward, ehr  *lab.Daemon
	at         netip.AddrPort // of an echo, in the mesh
	home, away netip.Prefix   // the ward's addresses on the underlay
}

func newWays(t lab.T) *ways {
	top := lab.Segment("hub", "ward", "ehr")
	l := lab.Up(t, top)
	programs := lab.Build(t)
	c := programs.StartCoordinator(l.Host("hub"), netip.AddrPortFrom(l.Host("hub").Addr4(), 8443))
	c.SetPolicy(tunnelPolicy())
	w := &ways{t: t, ward: programs.StartDaemon(l.Host("ward")), ehr: programs.StartDaemon(l.Host("ehr")),
		home: netip.MustParsePrefix("10.77.0.2/24"), away: netip.MustParsePrefix("10.77.0.102/24")}
	w.ward.Up(c.Token("nina@hospital.example"))
	w.ehr.Up(c.Token("tag:ehr"))
	w.at = netip.AddrPortFrom(w.ehr.Mesh4(), echoPort)
	l.Host("ehr").EchoUDP(netip.AddrPortFrom(netip.IPv4Unspecified(), echoPort))
	return w
}

// begin starts the ward's daemon anew, cut off from its peer, and gives how long
// its first flow waits for an answer.
func (w *ways) begin(ctx context.Context) time.Duration {
	w.apart(true)
	defer w.apart(false)
	must(w.t, w.ward.Process.Stop(patience))
	w.ward.Start()
	w.ward.Wait("is at home at a relay", func(s *local.Status) bool {
		return len(s.Relays) > 0 && s.Relays[0].Connected && s.Relays[0].Home
	})
	began := time.Now()
	f := w.ask(ctx)
	defer f.end()
	must(w.t, f.heard(ctx, began))
	return time.Since(began)
}

// cut lets a flow run directly, cuts its way, and gives the longest silence until
// it goes on over the relay.
func (w *ways) cut(ctx context.Context) time.Duration {
	f := w.ask(ctx)
	defer f.end()
	w.reached(local.PathDirect)
	must(w.t, f.heard(ctx, time.Now()))
	from := time.Now()
	w.apart(true)
	w.reached(local.PathRelay)
	must(w.t, f.heard(ctx, time.Now()))
	return f.silence(from)
}

// heal gives how long it takes until the path is direct again.
func (w *ways) heal(ctx context.Context) time.Duration {
	f := w.ask(ctx)
	defer f.end()
	must(w.t, f.heard(ctx, time.Now()))
	began := time.Now()
	w.apart(false)
	w.reached(local.PathDirect)
	return time.Since(began)
}

// roam gives the ward another address while a flow runs, and takes the old one.
func (w *ways) roam(ctx context.Context, turn int) time.Duration {
	from, to := w.home, w.away
	if turn%2 == 1 {
		from, to = to, from
	}
	f := w.ask(ctx)
	defer f.end()
	must(w.t, f.heard(ctx, time.Now()))
	began := time.Now()
	w.ward.Host.MustRun("ip", "address", "del", from.String(), "dev", "eth0")
	w.ward.Host.MustRun("ip", "address", "add", to.String(), "dev", "eth0")
	must(w.t, f.heard(ctx, time.Now()))
	time.Sleep(200 * time.Millisecond) // another silence may follow the first answer
	must(w.t, f.heard(ctx, time.Now()))
	return f.silence(began)
}

// flap takes the ward's link away for a second.
func (w *ways) flap(ctx context.Context) time.Duration {
	f := w.ask(ctx)
	defer f.end()
	must(w.t, f.heard(ctx, time.Now()))
	w.ward.Host.SetLink("eth0", false)
	time.Sleep(time.Second)
	w.ward.Host.SetLink("eth0", true)
	began := time.Now()
	must(w.t, f.heard(ctx, began))
	return time.Since(began)
}

// sleep has the ward's daemon stand still, as on a machine that sleeps, for long
// enough that its peer gives the path up.
func (w *ways) sleep(ctx context.Context) time.Duration {
	f := w.ask(ctx)
	defer f.end()
	must(w.t, f.heard(ctx, time.Now()))
	must(w.t, w.ward.Process.Signal(syscall.SIGSTOP))
	time.Sleep(10 * time.Second)
	began := time.Now()
	must(w.t, w.ward.Process.Signal(syscall.SIGCONT))
	must(w.t, f.heard(ctx, began))
	return f.silence(began)
}

func (w *ways) apart(apart bool) {
	if apart {
		w.ward.Host.Cut(w.ehr.Host.Addr4(), w.ehr.Host.Addr6())
	} else {
		w.ward.Host.Cut()
	}
}

// reached waits until the ward's path to its peer is of a kind. It asks often, so
// that the wait can be measured.
func (w *ways) reached(kind string) {
	must(w.t, until(w.t.Context(), "the path is "+kind, func() error {
		s, err := w.ward.Status()
		if err != nil {
			return err
		}
		if p, ok := lab.FindPeer(s, "ehr"); !ok || p.Path != kind {
			return fmt.Errorf("it is %+v", p)
		}
		return nil
	}))
}

// questions are a flow of datagrams that are to be answered.
type questions struct {
	conn net.Conn
	stop context.CancelFunc
	all  group

	mu      sync.Mutex
	answers []time.Time
}

func (w *ways) ask(ctx context.Context) *questions {
	ctx, stop := context.WithCancel(ctx)
	var conn net.Conn
	must(w.t, until(ctx, "a socket is made", func() (err error) {
		conn, err = w.ward.Host.Dial(ctx, "udp", w.at)
		return err
	}))
	f := &questions{conn: conn, stop: stop}
	f.all.start(func() {
		tick := time.NewTicker(pulse)
		defer tick.Stop()
		for n := uint64(0); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// What is refused for a moment, as without a route, is asked again.
				_, _ = conn.Write(binary.BigEndian.AppendUint64(nil, n))
			}
		}
	})
	f.all.start(func() {
		for buf := make([]byte, 64); ; {
			_, err := conn.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				f.mu.Lock()
				f.answers = append(f.answers, time.Now())
				f.mu.Unlock()
			}
		}
	})
	return f
}

func (f *questions) end() {
	f.stop()
	f.conn.Close()
	f.all.wait()
}

// heard waits for an answer after a moment.
func (f *questions) heard(ctx context.Context, after time.Time) error {
	return until(ctx, "an answer comes", func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if n := len(f.answers); n == 0 || !f.answers[n-1].After(after) {
			return errors.New("none yet")
		}
		return nil
	})
}

// silence is the longest time between two answers, or from one moment to the first
// after it.
func (f *questions) silence(from time.Time) (longest time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := from
	for _, at := range f.answers {
		if at.After(from) {
			longest, last = max(longest, at.Sub(last)), at
		}
	}
	return longest
}
