package local

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// maxTold is in how many browsers a link is opened until the audit hears of no more: who
// has a link may open it as often as they like, and fills no journal by it.
const maxTold = 4

// openings counts the browsers in which links were opened, since the start.
type openings struct {
	mu sync.Mutex
	of map[registry.SecretHash]int
}

// Open tells whether a link would set anything up now.
func (p *People) Open(link string) bool {
	_, _, err := p.linked(link)
	return err == nil
}

// Opened tells the audit that a link was opened in another browser. A link has one person:
// a second browser may be somebody's who saw it on its way.
func (p *People) Opened(ctx context.Context, link string, from netip.Addr) {
	_, u, err := p.linked(link)
	if err != nil {
		return
	}
	n := p.opening(registry.HashSecret(link))
	if n > maxTold {
		return
	}
	if n > 1 {
		p.cfg.Log.Warn("a link to set up was opened in one more browser: ask the person whether it was they", "login", u.Login, "browsers", n, "from", from)
	}
	note := registry.Note{Action: "local.link-open", Object: u.ID, Detail: fmt.Sprintf("login %s: the link to set up was opened in a browser, number %d, from %v", u.Login, n, from)}
	if _, err := p.cfg.Registry.Do(context.WithoutCancel(ctx), registry.System, note); err != nil {
		p.cfg.Log.Error("the opening of a link is not in the audit", "error", err)
	}
}

// opening counts a browser, and forgets links that are open no more.
func (p *People) opening(link registry.SecretHash) int {
	o := &p.openings
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = map[registry.SecretHash]int{}
	}
	if o.of[link] == 0 {
		state, now := p.cfg.Registry.Snapshot(), p.cfg.Now()
		maps.DeleteFunc(o.of, func(other registry.SecretHash, _ int) bool { _, open := state.LocalByLink(other, now); return !open })
	}
	o.of[link] = min(o.of[link], maxTold) + 1
	return o.of[link]
}
