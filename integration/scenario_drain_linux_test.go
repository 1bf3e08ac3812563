package integration

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"
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

// lingersLife is how long a session lasts where its end drains: less than a minute, so that
// whoever leaves does so in the last minute of it, and longer than it takes to begin.
const lingersLife = 55 * time.Second

// shift is one person's session at a machine, and what they have open at the record system.
type shift struct {
	t *testing.T
	*streams
	machine string
	session *local.Session
}

// begins signs somebody in at a machine and has something of theirs run to an address.
func (s *scene) begins(machine, person string, at netip.Addr) *shift {
	s.t.Helper()
	_, told := s.login(machine, person)
	if told.State != local.LoginDone {
		s.t.Fatalf("%s signed in at %s: %+v", person, machine, told)
	}
	s.answered(machine, at)
	return &shift{s.t, startStreams(s.t, s.Host(machine), s.Host("ehr"), at), machine, told.Session}
}

// leaves fails the test unless all is cut off of a shift that was ended just now.
func (f *shift) leaves() {
	f.t.Helper()
	f.ended(f.t, time.Now())
	f.stop()
}

// leavesBefore likewise, where it would have ended soon by itself.
func (f *shift) leavesBefore(soon time.Duration) {
	f.t.Helper()
	if left := time.Until(f.session.Until); left <= 0 || left > soon {
		f.t.Errorf("a session at %s was ended %s before its end", f.machine, left)
	}
	f.leaves()
}

// drains waits until shifts have ended by themselves, and fails the test unless what is
// open goes on, its person is told so, and nothing else opens.
func (s *scene) drains(shifts ...*shift) {
	s.t.Helper()
	for _, one := range shifts {
		time.Sleep(time.Until(one.session.Until.Add(time.Second)))
		if text, err := s.nodes[one.machine].TryCLI("", "status"); err != nil || !strings.Contains(text, "what is open goes on until") {
			s.t.Errorf("%s is not told that it drains: %v\n%s", one.machine, err, text)
		}
		s.refused(one.machine, "tcp", s.at("ehr", 443)[0], syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EACCES)
		one.carry(s.t)
	}
}

// raiseLingering raises a mesh of such machines, under a policy, whose people sign in for
// moments only.
func raiseLingering(t *testing.T, policy string, members ...member) *scene {
	t.Helper()
	names := []string{"hub"}
	for _, m := range members {
		names = append(names, m.name)
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, lab.Segment(names...))
	hub := s.Host("hub")
	s.serving = append(serveProvider(t, hub, "https://"+netip.AddrPortFrom(hub.Addr4(), 8443).String()), "--session-life", lingersLife.String())
	s.found(policy, members...)
	return s
}

// Who is shut out is cut off at once: while what they have open drains since their session
// ended by itself, and in the last minute of one. Nobody else is, whose session ended by
// itself: not by that, nor by a coordinator that is away or comes back.
func TestShutOutWhileItDrainsIsCutOff_A18(t *testing.T) {
	t.Parallel()
	if !lab.Require(t) {
		return
	}
	s := raiseLingering(t, lingering, member{name: "ward", owner: "nina@hospital.example"}, member{name: "desk", owner: "ben@hospital.example"},
		member{name: "cart", owner: "tag:cart"}, member{name: "ehr", owner: "tag:ehr"})
	ehr := s.at("ehr", 443)
	nina := "nina@hospital.example"
	own, cart := s.begins("ward", "nina", ehr[0].Addr()), s.begins("cart", "nina", ehr[1].Addr())
	s.drains(own, cart)
	s.coordinator.Ctl("session", "end", own.session.ID)
	own.leaves()
	cart.carry(t)
	s.coordinator.Ctl("user", "disable", nina)
	cart.leaves()
	s.coordinator.Ctl("user", "enable", nina)

	bens := s.begins("desk", "ben", ehr[1].Addr())
	own = s.begins("ward", "nina", ehr[0].Addr())
	if _, err := s.nodes["ward"].TryCLI("", "logout"); err != nil {
		t.Fatal(err)
	}
	own.leavesBefore(time.Minute)
	cart = s.begins("cart", "nina", ehr[0].Addr())
	s.coordinator.Ctl("user", "disable", nina)
	cart.leavesBefore(time.Minute)
	bens.carry(t)
	time.Sleep(time.Until(bens.session.Until.Add(-2 * time.Second))) // nodes that cannot reach it for long wait for long
	s.loseCoordinator("desk")
	s.drains(bens)
	s.coordinator.Start()
	s.settle()
	s.drains(bens)
	s.coordinator.Ctl("session", "end", bens.session.ID)
	bens.leaves()
}

// unrequired asks of two people at machines of their own what they prove in a session, and
// for no sign-in besides.
const unrequired = `{"tagOwners": {"tag:ehr": []}, "grants": [
  {"id": "by-login", "src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"], "when": {"mfa": {"within": "8h"}}, "onExpiry": "drain 10m"},
  {"id": "by-session", "src": ["ben@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"], "when": {"session": "login"}, "onExpiry": "drain 10m"}
]}`

// Where people need not sign in, what drains since a proof of theirs ended is cut off as
// well when an admin ends its session, or they sign out.
func TestProofThatDrainsEndsWithItsSession_A18(t *testing.T) {
	t.Parallel()
	if !lab.Require(t) {
		return
	}
	s := raiseLingering(t, unrequired, member{name: "ward", owner: "nina@hospital.example"}, member{name: "desk", owner: "ben@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	s.coordinator.Ctl("user", "require-sign-in", "off")
	ehr := s.at("ehr", 443)
	ninas, bens := s.begins("ward", "nina", ehr[0].Addr()), s.begins("desk", "ben", ehr[1].Addr())
	s.drains(ninas, bens)
	s.coordinator.Ctl("session", "end", ninas.session.ID)
	ninas.leaves()
	bens.carry(t)
	if _, err := s.nodes["desk"].TryCLI("", "logout"); err != nil {
		t.Fatal(err)
	}
	bens.leaves()
}

// What drains outlives the start of a daemon anew at either end, as by an upgrade: it goes
// on to the moment that it had, nothing else opens, and who is shut out is cut off. A
// crash cuts it off.
func TestWhatDrainsOutlivesARestart_A31(t *testing.T) {
	t.Parallel()
	if !lab.Require(t) {
		return
	}
	s := raiseLingering(t, lingering, member{name: "ward", owner: "nina@hospital.example"}, member{name: "cart", owner: "tag:cart"}, member{name: "ehr", owner: "tag:ehr"})
	ehr := s.at("ehr", 443)
	own, cart := s.begins("ward", "nina", ehr[0].Addr()), s.begins("cart", "nina", ehr[1].Addr())
	pingless(own.streams)
	pingless(cart.streams)
	s.drains(own, cart)
	until := s.cutAt("ward")
	for _, name := range []string{"ward", "ehr"} {
		s.startAnew(name)
		s.drains(own, cart)
	}
	if now := s.cutAt("ward"); now.Sub(until).Abs() > 2*time.Second {
		t.Errorf("it drains until %s after restarts, and did until %s", now, until)
	}
	s.coordinator.Ctl("session", "end", own.session.ID)
	own.leaves()
	cart.carry(t)
	s.nodes["cart"].Process.Kill()
	s.nodes["cart"].Start()
	cart.leaves()
}

// So it does for who sits at a machine of several people, which begins without their seats.
func TestWhatDrainsAtASharedMachineOutlivesARestart_A31(t *testing.T) {
	t.Parallel()
	d := raiseShared(t, strings.Replace(oneMachine(), `"tcp:2001"]`, `"tcp:2001"], "onExpiry": "drain 10m"`, 1), lingersLife)
	if d == nil {
		return
	}
	session, hers := d.signIn(nina, "nina"), d.flow(nina, ninas+1000)
	time.Sleep(time.Until(session.Until.Add(time.Second)))
	hers.carry(t)
	d.startAnew("desk")
	hers.carry(t)
	d.coordinator.Ctl("session", "end", session.ID)
	hers.ended(t, time.Now())
	hers.stop()
}

// pingless leaves out pings, which are not kept.
func pingless(f *streams) {
	f.all = slices.DeleteFunc(f.all, func(s *stream) bool { return strings.HasPrefix(s.name, "ICMP") })
}

// startAnew stops a machine's daemon and starts it.
func (s *scene) startAnew(machine string) {
	s.t.Helper()
	if err := s.nodes[machine].Process.Stop(patience); err != nil {
		s.t.Errorf("SIGTERM: %v", err)
	}
	s.nodes[machine].Start()
	s.nodes[machine].Wait("its map is enforced", func(st *local.Status) bool { return st.State == local.StateRunning })
	s.settle()
}

// cutAt gives when the first of what drains at a machine is cut off.
func (s *scene) cutAt(machine string) time.Time {
	s.t.Helper()
	st := s.nodes[machine].Wait("something drains", func(st *local.Status) bool { return len(st.Endings) > 0 && st.Endings[0].End.IsZero() })
	return st.Endings[0].Cut
}
