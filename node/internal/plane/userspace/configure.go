package userspace

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// maxNudges is how many connections are told at once that they lost their
// right, as many as refusals are answered in a second: the rest learn of it when
// they next send.
const maxNudges = 100

// applied is what wireguard-go was told so far.
type applied struct {
	tunnel  key.TunnelPublic // of this node
	port    uint16
	tunnels map[*member]struct{} // those that it has
	torn    bool                 // a step failed half-way: start from an empty device
}

// begin notes that wireguard-go has m.
func (a *applied) begin(m *member) {
	m.tunnel = &tunnel{used: time.Now()}
	a.tunnels[m] = struct{}{}
}

// end notes that it has m no more, and keeps what it did.
func (a *applied) end(m *member) {
	m.past = add(m.past, &m.tunnel.seen)
	m.tunnel = nil
	delete(a.tunnels, m)
}

// Configure makes the plane as cfg says. Removed peers go, then the rule set
// is loaded, then new peers may come: at no moment does a peer have more than the
// old map and the new one both give it. cfg's lists must not be changed any more.
func (p *Plane) Configure(ctx context.Context, cfg plane.Config) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.ended(); err != nil {
		return fmt.Errorf("configure plane at revision %d: %w", cfg.Revision, err)
	}
	err := p.configure(&cfg)
	if err != nil {
		p.filter.Load(nil)
	}
	return err
}

func (p *Plane) configure(cfg *plane.Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	table, err := compile(cfg)
	if err != nil {
		return fmt.Errorf("compile rules of revision %d: %w", cfg.Revision, err)
	}
	opener, err := newOpener(&cfg.TunnelKey)
	if err != nil {
		return err
	}
	if err := p.change(cfg, table, opener); err != nil {
		return err
	}
	p.guard.nudge(p.filter.Ended(p.now(), maxNudges))
	p.guard.nudgePeers(p.filter.Lost())
	p.reception.tell()
	return nil
}

// change is the part of Configure during which no peer is started.
func (p *Plane) change(cfg *plane.Config, table *filter.Table, opener *opener) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, allowed := p.guard.roster.Load().enrol(cfg.Peers)
	if err := p.narrow(cfg, next, allowed); err != nil {
		return err
	}
	p.guard.roster.Store(next) // before the rules, which may permit whom only next knows
	p.filter.Load(table)
	if p.guard.alarm != nil {
		p.reception.opener.Store(opener)
	}
	return p.widen(allowed)
}

// narrow takes away peers and allowed addresses, as far as wireguard-go has them.
// A peer with another name or key is another peer.
func (p *Plane) narrow(cfg *plane.Config, next *roster, allowed map[*member][]netip.Prefix) error {
	a := &p.applied
	var text strings.Builder
	if a.torn {
		line(&text, "replace_peers", "true")
	}
	if k := cfg.TunnelKey.Public(); k != a.tunnel {
		// Before any peer, as the protocol wants it.
		raw := cfg.TunnelKey.Raw()
		line(&text, "private_key", hex.EncodeToString(raw[:]))
	}
	if cfg.ListenPort != a.port && cfg.ListenPort != 0 {
		line(&text, "listen_port", fmt.Sprint(cfg.ListenPort))
	}
	var gone []*member
	for m := range a.tunnels {
		if !next.has(m) || a.torn {
			gone = append(gone, m)
		} else if lost := without(m.allowed, allowed[m]); len(lost) > 0 {
			update(&text, m.key, "-", lost)
		}
	}
	if !a.torn {
		for _, m := range gone {
			remove(&text, m.key)
		}
	}
	if err := p.set("narrow", text.String()); err != nil {
		return err
	}
	a.tunnel, a.port, a.torn = cfg.TunnelKey.Public(), cfg.ListenPort, false
	for _, m := range gone {
		p.guard.lobby.bar(m)
		a.end(m)
	}
	for id, m := range p.guard.roster.Load().byID {
		if next.byID[id] != m {
			p.guard.lobby.forget(m)
		}
	}
	return nil
}

// widen gives the peers that wireguard-go has their new addresses. All others get
// theirs when they are started, which is now if nothing could start them later, or
// if wireguard-go alone knows where they are.
func (p *Plane) widen(allowed map[*member][]netip.Prefix) error {
	var text strings.Builder
	var come []*member
	for m, now := range allowed {
		was := m.allowed
		m.allowed = now
		switch more := without(now, was); {
		case m.tunnel != nil && len(more) > 0:
			update(&text, m.key, "", more)
		case m.tunnel == nil && (p.guard.alarm == nil || m.stock != nil):
			create(&text, m)
			come = append(come, m)
		}
	}
	if err := p.set("widen", text.String()); err != nil {
		return err
	}
	for _, m := range come {
		p.applied.begin(m)
		p.guard.lobby.arrive(m)
		p.greetStock(m)
	}
	return nil
}

// set hands text to wireguard-go, whose errors may repeat a line of it. Ours
// name the step alone, because a line may be the private key.
func (p *Plane) set(step, text string) error {
	if text == "" {
		return nil
	}
	if err := p.device.IpcSet(text); err != nil {
		p.applied.torn = true
		return fmt.Errorf("%s the peers of wireguard-go: %w", step, redact(err))
	}
	return nil
}

// create makes a peer, and gives it its endpoint in the same command: for one made
// without, the first packet would choose it, which is what a stock peer needs to roam.
func create(to *strings.Builder, m *member) {
	open(to, m.key)
	if m.stock == nil {
		line(to, "endpoint", m.endpoint())
	}
	for _, prefix := range m.allowed {
		line(to, "allowed_ip", prefix.String())
	}
	if m.stock != nil && m.stock.At().IsValid() {
		aim(to, m)
	}
}

// aim says where a stock peer is, until it is heard from elsewhere.
func aim(to *strings.Builder, m *member) {
	open(to, m.key)
	line(to, "update_only", "true")
	line(to, "endpoint", m.stock.At().String())
	line(to, "persistent_keepalive_interval", strconv.Itoa(int(m.stock.Keepalive/time.Second)))
}

func remove(to *strings.Builder, k key.TunnelPublic) {
	open(to, k)
	line(to, "remove", "true")
}

func update(to *strings.Builder, k key.TunnelPublic, sign string, prefixes []netip.Prefix) {
	open(to, k)
	line(to, "update_only", "true")
	for _, prefix := range prefixes {
		line(to, "allowed_ip", sign+prefix.String())
	}
}

func open(to *strings.Builder, k key.TunnelPublic) {
	line(to, "public_key", hexKey(k))
}

func line(to *strings.Builder, name, value string) {
	to.WriteString(name)
	to.WriteByte('=')
	to.WriteString(value)
	to.WriteByte('\n')
}

// without gives what is in a and not in b; both are sorted.
func without(a, b []netip.Prefix) (rest []netip.Prefix) {
	for _, prefix := range a {
		if _, found := slices.BinarySearchFunc(b, prefix, netip.Prefix.Compare); !found {
			rest = append(rest, prefix)
		}
	}
	return rest
}
