package integration

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// raiseJoin makes a mesh with the record system, beside which stands a laptop with a
// daemon that is in no mesh.
func raiseJoin(t *testing.T) *scene {
	t.Helper()
	if !lab.Require(t) {
		return nil
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, lab.Segment("hub", "laptop", "ehr"))
	hub := s.Host("hub")
	s.serving = serveProvider(t, hub, "https://"+netip.AddrPortFrom(hub.Addr4(), 8443).String())
	s.found(nurses, member{name: "ehr", owner: "tag:ehr"})
	s.nodes["laptop"] = s.programs.StartDaemon(s.Host("laptop"))
	return s
}

// joinByLogin has the laptop's person join it: by the command line, and a browser that
// the provider remembers, which is no proof that anybody wants a machine in. It gives
// what the command said.
func (s *scene) joinByLogin(mine *browser, name string) (said string) {
	s.t.Helper()
	laptop := s.nodes["laptop"]
	done := make(chan string, 1)
	go func() {
		text, err := laptop.TryCLI("", "up", "--coordinator", s.coordinator.URL(), "--fingerprint", s.coordinator.Root, "--name", "laptop")
		if err != nil {
			text += err.Error()
		}
		done <- text
	}()
	st := laptop.Wait("it shows where to sign in", func(st *local.Status) bool { return st.State == local.StateJoining })
	away, err := mine.Agree(st.Login.URL)
	if err == nil {
		_, err = mine.Prove(away, issuer, name) // and goes back, instead of on
	}
	if err != nil {
		s.t.Fatal(err)
	}
	page := mine.signIn(st.Login.URL, name)
	if mine.Proofs() != 2 {
		s.t.Errorf("the machine joins, and its person was not asked anew who they are")
	}
	if !strings.Contains(page, name+"@hospital.example") {
		s.t.Fatalf("the page at the end says\n%s", page)
	}
	return <-done
}

// A machine joins by its person's sign-in, and is nobody's peer until an admin who
// heard its fingerprint has let it in; then its person works, without another command,
// until the machine's time is over, coordinator or not; and again after a new proof.
func TestMachineJoinsByItsPersonsSignIn_A17_A18(t *testing.T) {
	t.Parallel()
	s := raiseJoin(t)
	if s == nil {
		return
	}
	mine := newBrowser(t, s.Host("hub"))
	said := s.joinByLogin(mine, "nina")
	laptop := s.nodes["laptop"]
	fingerprint := laptop.Wait("it waits", func(st *local.Status) bool { return st.State == local.StatePending }).Node
	for _, want := range []string{"/login/", "has joined and waits for an admin", "fingerprint " + fingerprint} {
		if !strings.Contains(said, want) {
			t.Errorf("the command does not say %q:\n%s", want, said)
		}
	}
	list := s.coordinator.Ctl("node", "list", "--waiting")
	for _, want := range []string{fingerprint, "nina@hospital.example", "sign-in of nina@hospital.example", s.Host("laptop").Addr4().String()} {
		if !strings.Contains(list, want) {
			t.Errorf("an admin is not shown %q:\n%s", want, list)
		}
	}
	look, err := s.coordinator.TryCtl("", "node", "approve", "laptop") // on no terminal it asks nobody, and changes nothing
	for _, want := range []string{fingerprint, "nina@hospital.example", "sign-in of nina@hospital.example (pwd)", s.Host("laptop").Addr4().String(), " on linux"} {
		if err == nil || !strings.Contains(look+err.Error(), want) {
			t.Errorf("who approves is not shown %q: %v\n%s", want, err, look)
		}
	}
	ehr := s.at("ehr", 443)
	s.refused("laptop", "tcp", ehr[0], syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES)
	if _, err := s.coordinator.TryCtl("", "node", "approve", "laptop", "--fingerprint", s.nodes["ehr"].Wait("it runs", func(*local.Status) bool { return true }).Node); err == nil {
		t.Error("it is let in by the fingerprint of another machine")
	}
	s.coordinator.Ctl("node", "approve", "laptop", "--fingerprint", strings.ToUpper(fingerprint))
	s.answered("laptop", ehr[0].Addr())
	f := startStreams(t, s.Host("laptop"), s.Host("ehr"), ehr[0].Addr(), ehr[1].Addr())
	f.carry(t)

	// Its time is over while it works, and no coordinator says so.
	s.coordinator.Ctl("node", "renew", "laptop", "--for", "6s")
	s.settle()
	s.coordinator.Process.Kill()
	end := laptop.Wait("it knows its end", func(st *local.Status) bool { return !st.Until.IsZero() }).Until
	if time.Until(end) > time.Second {
		f.carry(t)
	}
	f.ended(t, end)
	f.stop()
	s.refused("laptop", "tcp", ehr[0], syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES)
	if text, err := laptop.TryCLI("", "status"); err != nil || !strings.HasPrefix(text, "expired: cordon login") {
		t.Errorf("expired: %v\n%s", err, text)
	}
	s.coordinator.Start()
	s.settle()
	if _, told := s.loginWith(mine, "laptop", "nina"); told.State != local.LoginDone || mine.Proofs() != 3 {
		t.Fatalf("signing in at a machine whose time is over: %+v, %d proofs", told, mine.Proofs())
	}
	s.answered("laptop", ehr[0].Addr())
}
