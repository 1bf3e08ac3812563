package transport_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/transport"
)

func TestSurvey(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		here := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		one := func(seen []transport.Sight) bool { return len(seen) == 1 }
		survey := func(peer string, networks []netip.Prefix, enough func([]transport.Sight) bool) (seen []transport.Sight, took time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			began := time.Now()
			seen = p.a.Survey(ctx, peer, networks, enough)
			return seen, time.Since(began)
		}
		want := []transport.Sight{{Endpoint: p.bindB.addr, Mapped: p.bindA.addr}}
		if seen, took := survey("b", here, one); !slices.Equal(seen, want) || took > time.Second {
			t.Errorf("after %v %v, want %v", took, seen, want)
		}
		if seen, took := survey("b", here, func([]transport.Sight) bool { return false }); !slices.Equal(seen, want) || took != 3*time.Second {
			t.Errorf("never enough: after %v %v", took, seen)
		}
		for peer, networks := range map[string][]netip.Prefix{"stranger": here, "b": {netip.MustParsePrefix("10.0.0.0/8")}} {
			if seen, took := survey(peer, networks, one); len(seen) > 0 || took > time.Second {
				t.Errorf("%s in %v: after %v %v", peer, networks, took, seen)
			}
		}
		p.net.setCut(true)
		time.Sleep(time.Second)
		if seen, took := survey("b", here, one); len(seen) > 0 || took != 3*time.Second {
			t.Errorf("cut: after %v %v: what was seen before tells nothing", took, seen)
		}
	})
}
