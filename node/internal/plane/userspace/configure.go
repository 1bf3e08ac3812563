package userspace

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// maxNudges is how many connections are told at once that they lost their
// right, as many as refusals are answered in a second: the rest learn of it when
// they next send.
const maxNudges = 100

// applied is what wireguard-go was told so far.
type applied struct {
	tunnel key.TunnelPublic // of this node
	port   uint16
	peers  map[key.TunnelPublic]peer
	keys   []key.TunnelPublic // of peers, in the order of the configuration
	torn   bool               // a step failed half-way: start from an empty device
}

// peer is one peer of wireguard-go.
type peer struct {
	id, endpoint string         // each follows from the other
	allowed      []netip.Prefix // sorted
}

// Configure makes the plane as cfg says. Removed peers go, then the rule set
// is loaded, then new peers come: at no moment does a peer have more than the
// old map and the new one both give it.
func (p *Plane) Configure(ctx context.Context, cfg plane.Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
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
	want := wanted(cfg)
	var steps steps
	if p.applied.torn {
		steps.begin("replace_peers", "true")
		p.applied = applied{tunnel: p.applied.tunnel, port: p.applied.port}
	}
	steps.secret(&cfg.TunnelKey, p.applied.tunnel != want.tunnel)
	steps.narrow(p.applied, want)
	if err := p.set("narrow", steps.first.String()); err != nil {
		return err
	}
	p.filter.Load(table)
	p.guard.nudge(p.filter.Ended(p.now(), maxNudges))
	steps.widen(p.applied, want)
	if err := p.set("widen", steps.second.String()); err != nil {
		return err
	}
	p.applied = want
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

func wanted(cfg *plane.Config) applied {
	w := applied{tunnel: cfg.TunnelKey.Public(), port: cfg.ListenPort, peers: make(map[key.TunnelPublic]peer, len(cfg.Peers))}
	for i := range cfg.Peers {
		from := &cfg.Peers[i]
		to := peer{id: from.ID, endpoint: from.Endpoint(), allowed: slices.Clone(from.Allowed)}
		slices.SortFunc(to.allowed, netip.Prefix.Compare)
		w.peers[from.TunnelKey] = to
		w.keys = append(w.keys, from.TunnelKey)
	}
	return w
}

// steps holds two texts in wireguard-go's configuration protocol: what is done
// before the new rules are loaded, and what is done after.
type steps struct{ first, second strings.Builder }

func (s *steps) begin(name, value string) { line(&s.first, name, value) }

// secret comes before any peer, as the protocol wants it.
func (s *steps) secret(k *key.TunnelPrivate, changed bool) {
	if changed {
		raw := k.Raw()
		line(&s.first, "private_key", hex.EncodeToString(raw[:]))
	}
}

// narrow takes away peers and allowed addresses. A peer whose endpoint changed
// is another node with the same key: it is made anew.
func (s *steps) narrow(old, want applied) {
	if want.port != old.port && want.port != 0 {
		line(&s.first, "listen_port", fmt.Sprint(want.port))
	}
	for _, k := range old.keys {
		was := old.peers[k]
		is, ok := want.peers[k]
		if !ok || is.endpoint != was.endpoint {
			open(&s.first, k)
			line(&s.first, "remove", "true")
			continue
		}
		if gone := without(was.allowed, is.allowed); len(gone) > 0 {
			open(&s.first, k)
			line(&s.first, "update_only", "true")
			for _, prefix := range gone {
				line(&s.first, "allowed_ip", "-"+prefix.String())
			}
		}
	}
}

// widen adds peers and allowed addresses. A new peer gets its endpoint in the
// same breath: one made without would let the first packet choose it.
func (s *steps) widen(old, want applied) {
	for _, k := range want.keys {
		is := want.peers[k]
		was, ok := old.peers[k]
		fresh := !ok || is.endpoint != was.endpoint
		if fresh {
			was = peer{}
		}
		come := without(is.allowed, was.allowed)
		if !fresh && len(come) == 0 {
			continue
		}
		open(&s.second, k)
		if fresh {
			line(&s.second, "endpoint", is.endpoint)
		} else {
			line(&s.second, "update_only", "true")
		}
		for _, prefix := range come {
			line(&s.second, "allowed_ip", prefix.String())
		}
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
