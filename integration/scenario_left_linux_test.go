package integration

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// loseCoordinator kills the coordinator and waits until a machine knows it.
func (s *scene) loseCoordinator(machine string) {
	s.t.Helper()
	s.coordinator.Process.Kill()
	s.nodes[machine].Wait("the coordinator is away", func(st *local.Status) bool { return !st.Coordinator.Connected })
}

// hearsOfTheEnd brings the coordinator back and waits until it knows of no session.
func (s *scene) hearsOfTheEnd(machine string) {
	s.t.Helper()
	s.coordinator.Start()
	s.settle()
	lab.Eventually(s.t, patience, "the coordinator hears who signed out", func() (bool, string) {
		text := s.coordinator.Ctl("session", "list", "--json")
		return !strings.Contains(text, "@hospital.example"), text
	})
	s.nodes[machine].Wait("its map says so", func(st *local.Status) bool { return len(st.Sessions) == 0 })
}

// crash kills a machine's daemon, which comes back without a coordinator.
func (s *scene) crash(machine string) {
	s.t.Helper()
	s.nodes[machine].Process.Kill()
	s.nodes[machine].Start()
	s.nodes[machine].Wait("the map from disk is enforced", func(st *local.Status) bool { return st.State == local.StateRunning })
}

// Who leaves a workstation while the coordinator is dead is out at once: what runs is
// cut off, nothing opens, and a crash of the daemon changes nothing. The coordinator
// hears of it when it is back, and its map revives nothing; the next sign-in works.
func TestLeavesWhileTheCoordinatorIsDead_A18(t *testing.T) {
	t.Parallel()
	s := raiseDesk(t, nurses)
	if s == nil {
		return
	}
	ehr := s.at("ehr", 443)
	at := []netip.Addr{ehr[0].Addr(), ehr[1].Addr()}
	mine := newBrowser(t, s.Host("hub"))
	open := func() *streams {
		t.Helper()
		if _, told := s.loginWith(mine, "ward", "nina"); told.State != local.LoginDone {
			t.Fatalf("%+v", told)
		}
		s.answered("ward", at[0])
		return startStreams(t, s.Host("ward"), s.Host("ehr"), at...)
	}
	shut := func() {
		t.Helper()
		s.refused("ward", "tcp", ehr[0], syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EACCES)
	}
	f := open()
	s.loseCoordinator("ward")
	f.carry(t)
	if text, err := s.nodes["ward"].TryCLI("", "logout"); err != nil || !strings.HasPrefix(text, "signed out here: 1; ") {
		t.Fatalf("logout: %q, %v", text, err)
	}
	f.ended(t, time.Now())
	f.told(t, true, true) // at the server too, whose node knows of nothing
	f.stop()
	shut()
	if text, err := s.nodes["ward"].TryCLI("", "whoami"); err == nil || !strings.Contains(text, "nina@hospital.example signed out here; ") {
		t.Errorf("whoami: %q, %v", text, err)
	}
	s.crash("ward")
	shut()
	s.hearsOfTheEnd("ward")
	shut()
	open().stop()
}

// leavesWhileItIsDead has one of several people sign out alone, who is out at once.
func (d *sharedDesk) leavesWhileItIsDead() {
	d.t.Helper()
	his := d.flow(ben, bens+1000)
	d.loseCoordinator("desk")
	if out, err := d.cli(ben, nil, "logout"); err != nil || !strings.HasPrefix(out, "signed out here: 1; ") {
		d.t.Fatalf("logout: %q, %v", out, err)
	}
	his.ended(d.t, time.Now())
	his.stop()
	d.reaches("ben, out without a coordinator", ben, machines)
	d.crash("desk")
	d.reaches("ben, after a crash without a coordinator", ben, machines)
	d.hearsOfTheEnd("desk")
	d.reaches("ben, of whom the coordinator knows", ben, machines)
	d.signIn(ben, "ben")
	d.reaches("ben, back again", ben, bens, machines)
}

// A program at the other end that only listens hears of a sign-out as well, though no
// coordinator tells its node of it: its connection ends, in which nobody says anything.
func TestListenerHearsOfASignOutWithoutACoordinator_A18(t *testing.T) {
	t.Parallel()
	s := raiseDesk(t, nurses)
	if s == nil {
		return
	}
	if _, told := s.login("ward", "nina"); told.State != local.LoginDone {
		t.Fatalf("%+v", told)
	}
	ehr := s.at("ehr", 443)
	s.answered("ward", ehr[0].Addr())
	var silent []net.Conn
	for _, at := range ehr {
		silent = append(silent, s.silence("ward", at))
	}
	s.loseCoordinator("ward")
	if _, err := s.nodes["ward"].TryCLI("", "logout"); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	for i, listens := range silent {
		_ = listens.SetReadDeadline(left.Add(5 * time.Second))
		if n, err := listens.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("who listens at %s got %d bytes and %v, want a reset", ehr[i], n, err)
		}
		t.Logf("told at %s after %s", ehr[i], time.Since(left).Round(time.Millisecond))
	}
}

// silence opens a connection from a machine to the record system in which nobody says
// anything, and gives the end there.
func (s *scene) silence(machine string, at netip.AddrPort) net.Conn {
	s.t.Helper()
	l := s.Host("ehr").Listen(at)
	defer l.Close()
	dialled, err := s.Host(machine).Dial(s.t.Context(), "tcp", at)
	if err != nil {
		s.t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return accepted
}
