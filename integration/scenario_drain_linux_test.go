package integration

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// lingering lets what nurses have open go on for ten minutes when their time is over, at
// their own machines and at carts.
var lingering = strings.NewReplacer(`"tagOwners": {`, `"tagOwners": {"tag:cart": [], `, `"udp:5000"]}`, `"udp:5000"], "onExpiry": "drain 10m"},
  {"id": "at-carts", "src": ["group:nurses"], "srcDevice": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"], "onExpiry": "drain 10m"}`).Replace(nurses)

// That what is open may go on when somebody's time is over lets nobody go on who was
// signed out before, by themselves or an admin, or who has left.
func TestWhoIsSignedOutDoesNotLinger_A18(t *testing.T) {
	t.Parallel()
	if !lab.Require(t) {
		return
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, lab.Segment("hub", "ward", "cart", "ehr"))
	hub := s.Host("hub")
	s.serving = serveProvider(t, hub, "https://"+netip.AddrPortFrom(hub.Addr4(), 8443).String())
	s.found(lingering, member{name: "ward", owner: "nina@hospital.example"}, member{name: "cart", owner: "tag:cart"}, member{name: "ehr", owner: "tag:ehr"})
	ehr := s.at("ehr", 443)[0].Addr()
	open := func(machine string) *streams {
		t.Helper()
		if _, told := s.login(machine, "nina"); told.State != local.LoginDone {
			t.Fatalf("signed in at %s: %+v", machine, told)
		}
		s.answered(machine, ehr)
		return startStreams(t, s.Host(machine), s.Host("ehr"), ehr)
	}
	for _, machine := range []string{"ward", "cart"} {
		f := open(machine)
		if _, err := s.nodes[machine].TryCLI("", "logout"); err != nil {
			t.Fatal(err)
		}
		f.ended(t, time.Now())
		f.stop()
		f = open(machine)
		s.coordinator.Ctl("user", "disable", "nina@hospital.example")
		f.ended(t, time.Now())
		f.stop()
		s.coordinator.Ctl("user", "enable", "nina@hospital.example")
	}
}
