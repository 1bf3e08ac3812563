package userspace_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
)

// The daemon's log says once of a flow that its right has ended and that it goes on,
// though no packet comes to find out.
func TestDrainsAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log safeBuilder
		tun := planetest.NewTUN(8)
		p := start(t, tun, planetest.NewNetwork(), "n-a", &log)
		defer p.Close()
		k := key.NewTunnel()
		cfg := config(key.NewTunnel(), planetest.A4, plane.Peer{ID: "n-b", Name: "ehr", TunnelKey: k.Public(),
			Prefixes: []acl.PrefixClass{{Prefix: planetest.B4.Host(), Class: 2}}})
		cfg.Self.Facts = []acl.FactEnd{{Fact: "login", Until: time.Now().Add(5 * time.Second)}}
		cfg.Rules.Out = []acl.Rule{{ID: "ward", Src: []acl.Class{1}, Dst: []acl.Class{2}, Needs: []acl.Fact{"login"}, Drain: time.Hour,
			Open: []acl.Service{{Protocol: acl.UDP, First: 53, Last: 53}}}}
		if err := p.Configure(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		told := func() int { return strings.Count(log.String(), "open connections go on") }
		tun.Send(planetest.UDP(planetest.A4, planetest.B4, 5000, 53))
		synctest.Wait()
		if n := told(); n != 0 {
			t.Fatalf("told %d times before the login ended", n)
		}
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if n := told(); n != 1 {
			t.Fatalf("told %d times, want once:\n%s", n, log.String())
		}
		for _, want := range []string{"rule=ward", "peer=ehr", "level=WARN", ":53", "until="} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, log.String())
			}
		}
	})
}
