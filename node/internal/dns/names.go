package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/local"
)

// Config is how a machine's names are answered.
type Config struct {
	Mode      Mode
	Interface string // of the mesh, whose settings systemd-resolved is given
	Routes    []Route
	Log       *slog.Logger

	// For tests: another resolv.conf, D-Bus and list of resolvers than the
	// system's, another port than 53, and how often the machine is looked at.
	ResolvConf, Bus, Uplinks string
	Port                     uint16
	Every                    time.Duration
}

const (
	// looking at a file costs nothing, and asking systemd-resolved wakes it
	everyFile, everyOther = 5 * time.Second, 20 * time.Second
	maxPause              = 5 * time.Minute
)

// Names answers names on this machine while Run runs.
type Names struct {
	c         Config
	responder *Responder
	wake      chan struct{}

	mu     sync.Mutex // of what is written; answers read a snapshot
	status local.Names

	// Owned by Run.
	machine machine
	doors   map[netip.Addr]*door
	pause   time.Duration // until the machine is told again what somebody took back
	again   time.Time
	lost    time.Time // when somebody did, last
}

// New checks the configuration; Mode is none of Off's.
func New(c Config) (*Names, error) {
	if err := CheckRoutes(c.Routes); err != nil {
		return nil, err
	}
	if c.ResolvConf == "" {
		c.ResolvConf = ResolvConf
	}
	if c.Uplinks == "" {
		c.Uplinks = resolvedDir + "resolv.conf"
	}
	if c.Port == 0 {
		c.Port = port
	}
	if c.Every == 0 {
		c.Every = everyOther
		if c.Mode == File {
			c.Every = everyFile
		}
	}
	n := &Names{c: c, responder: NewResponder(c.Routes), wake: make(chan struct{}, 1), doors: map[netip.Addr]*door{}}
	n.status = local.Names{Mode: string(c.Mode)}
	for _, r := range c.Routes {
		n.status.Routes = append(n.status.Routes, r.Domain)
	}
	switch c.Mode {
	case File:
		n.machine = &byFile{file: resolvConf{path: c.ResolvConf, iface: c.Interface}}
	case Serve:
		n.machine = serving{c.Interface}
	case Resolved, Auto:
		n.machine = &byResolved{bus: c.Bus, uplinks: c.Uplinks}
	default:
		return nil, fmt.Errorf("names cannot be answered in mode %q", c.Mode)
	}
	return n, nil
}

// SetMap answers by a map from now on.
func (n *Names) SetMap(m wire.Map) {
	zone, moved := ZoneOf(m), false
	n.know(func(k *knowledge) {
		moved = !k.zone.sameExtent(zone)
		k.zone = zone
	})
	if moved { // a peer that comes or goes is none of the machine's business
		n.Wake()
	}
}

// SetDirect says which hosts are the coordinator and the relays.
func (n *Names) SetDirect(hosts []string) {
	direct := map[string]bool{}
	for _, h := range hosts {
		if _, err := netip.ParseAddr(h); err != nil && h != "" {
			direct[miekg.CanonicalName(miekg.Fqdn(h))] = true
		}
	}
	n.know(func(k *knowledge) { k.direct = direct })
}

// Wake has the machine looked at now, such as when the interface was made anew.
func (n *Names) Wake() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// know puts together what answers come from.
func (n *Names) know(change func(*knowledge)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := *n.responder.known.Load()
	change(&k)
	n.responder.known.Store(&k)
}

// Beside gives whom to ask in place of a name server that is ourselves: one of
// those that this machine asks but for us.
func (n *Names) Beside(server string) string {
	k := n.responder.known.Load()
	at, err := netip.ParseAddrPort(server)
	if err != nil || !k.circles(at) || len(k.own) == 0 {
		return server
	}
	return k.own[0].String()
}

// Status tells how names are answered.
func (n *Names) Status() local.Names {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

// Run answers names and keeps the machine's programs led to us, until ctx is
// done. It leaves the machine as it was.
func (n *Names) Run(ctx context.Context) error {
	defer n.leave()
	tick := time.NewTicker(n.c.Every)
	defer tick.Stop()
	for {
		err := n.settle(ctx)
		n.note(err, n.looks())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-n.wake:
		}
	}
}

var (
	errNoMap    = errors.New("this node has no address yet")
	errNoDomain = errors.New("the mesh has no domain")
	errUndone   = errors.New("another program takes the mesh's names out of this machine's resolver again and again")
)

// settle makes the machine as it should be now, and gives why it is not.
func (n *Names) settle(ctx context.Context) error {
	zone := n.responder.known.Load().zone
	err := n.machine.ready(ctx)
	switch {
	case len(zone.own) == 0:
		err = errNoMap
	case zone.domain == "":
		err = errNoDomain
	}
	if err != nil {
		n.leave()
		return err
	}
	w := wish{iface: n.c.Interface, addresses: n.machine.addresses(zone)}
	w.domains, w.reverse = zone.domains()
	for _, r := range n.c.Routes {
		w.domains = append(w.domains, r.Domain)
	}
	if err := n.open(w.addresses); err != nil {
		return err
	}
	return n.tell(ctx, w)
}

// tell has the machine's programs ask us. Whoever takes that back is outdone less
// and less often: two programs that correct each other without end help nobody.
func (n *Names) tell(ctx context.Context, w wish) error {
	standing, err := n.machine.look(ctx, w)
	if err != nil {
		return err
	}
	now := time.Now()
	switch {
	case standing == stands:
		return nil
	case standing == undone && now.Before(n.again):
		return errUndone
	case standing == undone:
		n.c.Log.Warn("another program took the mesh's names out of this machine's resolver; putting them back", "via", n.machine.via())
		if now.Sub(n.lost) > 2*maxPause {
			n.pause = 0
		}
		n.lost = now
		n.again, n.pause = now.Add(n.pause), min(max(2*n.pause, 2*n.c.Every), maxPause)
	}
	return n.machine.apply(ctx, w)
}

// looks learns whom the machine asks but for us, and tells whether somebody
// sends us in a circle.
func (n *Names) looks() (circle error) {
	resolvers := n.machine.resolvers()
	mine := map[netip.AddrPort]bool{}
	for at := range n.doors {
		mine[netip.AddrPortFrom(at, n.c.Port)] = true
	}
	n.know(func(k *knowledge) { k.own, k.rest, k.mine = resolvers, n.machine.rest(), mine })
	k := n.responder.known.Load()
	for _, r := range append([]Route{{"this machine's own names", resolvers}}, n.c.Routes...) {
		if slices.ContainsFunc(r.Servers, k.circles) {
			circle = fmt.Errorf("a server for %s is this node itself, which asks nobody there: name another", r.Domain)
		}
	}
	return circle
}

// open answers on these addresses and no others.
func (n *Names) open(addresses []netip.Addr) error {
	for at, d := range n.doors {
		if !slices.Contains(addresses, at) {
			d.close()
			delete(n.doors, at)
		}
	}
	var problems []error
	for _, at := range addresses {
		if n.doors[at] != nil {
			continue
		}
		d, err := open(n.responder, netip.AddrPortFrom(at, n.c.Port), n.c.Log)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		n.doors[at] = d
	}
	return errors.Join(problems...)
}

// leave takes back what the machine was told, before nobody answers any more.
func (n *Names) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	if err := n.machine.revert(ctx); err != nil {
		n.c.Log.Error("leaving this machine's resolver as it was failed", "via", n.machine.via(), "error", err)
	}
	n.open(nil)
}

// note keeps how it stands for whoever asks, and logs what changed.
func (n *Names) note(err, circle error) {
	s := local.Names{Mode: string(n.c.Mode), Routes: n.status.Routes}
	if err == nil {
		s.Via = n.machine.via()
	}
	if err == nil && time.Since(n.lost) < 2*maxPause {
		err = fmt.Errorf("another program took the mesh's names out of this machine's resolver at %s; they were put back", n.lost.Format(time.TimeOnly))
	}
	if err = errors.Join(err, circle); err != nil {
		s.Problem = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	for at := range n.doors {
		s.Servers = append(s.Servers, at)
	}
	slices.SortFunc(s.Servers, netip.Addr.Compare)
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.Via != n.status.Via || s.Problem != n.status.Problem {
		n.c.Log.Info("names of the mesh", "via", s.Via, "problem", s.Problem)
	}
	n.status = s
}
