package transport

import (
	"context"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
)

// Sight is how this node and a peer saw each other.
type Sight = path.Sight

// Survey asks a peer at those of its addresses that lie in some of the networks,
// whichever the path is, and gives how the two saw each other since. It waits for
// answers until enough says that these will do, or ctx ends; if no address lies
// there, it does not wait. Enough is called by the goroutine of Run too.
func (t *Transport) Survey(ctx context.Context, peer string, networks []netip.Prefix, enough func([]Sight) bool) (seen []Sight) {
	began := time.Now()
	for first := true; ; first = false {
		looked, more := make(chan []Sight, 1), make(chan pong, 1)
		t.mail.tell(func(now time.Time) {
			if first && t.set.Survey(now, peer, networks) == 0 {
				close(looked)
				return
			}
			sights := t.set.Sights(peer, began)
			if looked <- sights; !enough(sights) {
				t.pings[peer] = append(t.pings[peer], more)
			}
		})
		asked := true
		select {
		case seen, asked = <-looked:
		case <-ctx.Done():
			return seen
		case <-t.stopped:
			return seen
		}
		if !asked || enough(seen) {
			return seen
		}
		select {
		case <-more:
		case <-ctx.Done():
			return seen
		case <-t.stopped:
			return seen
		}
	}
}
