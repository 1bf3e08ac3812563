package integration

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// nurses may reach the record system: by their group at the provider, and as long
// as their proof of who they are is fresh.
const nurses = `{"tagOwners": {"tag:ehr": ["nina@hospital.example"]}, "groups": {"group:nurses": ["idp:Nurses"]}, "grants": [
  {"id": "records", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"]},
]}`

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// raiseDesk makes a mesh at whose coordinator people sign in, with nina's laptop
// and the record system.
func raiseDesk(t *testing.T, policy string) *scene {
	t.Helper()
	return raiseDeskWith(t, policy, nil)
}

// raiseDeskWith likewise, with more flags of the coordinator, and what is put before
// the provider.
func raiseDeskWith(t *testing.T, policy string, flags []string, before ...func(http.Handler) http.Handler) *scene {
	t.Helper()
	if !lab.Require(t) {
		return nil
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, lab.Segment("hub", "ward", "ehr"))
	hub := s.Host("hub")
	s.serving = append(serveProvider(t, hub, "https://"+netip.AddrPortFrom(hub.Addr4(), 8443).String(), before...), flags...)
	s.found(policy, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	return s
}

// login signs a person in at a machine, as they would: by its command line and a
// browser, which the provider does not know. It gives the page at the end, and what
// the machine was told.
func (s *scene) login(machine, name string) (page string, outcome local.LoginOutcome) {
	s.t.Helper()
	return s.loginWith(newBrowser(s.t, s.Host("hub")), machine, name)
}

// loginWith likewise, in a browser that the provider may remember.
func (s *scene) loginWith(b *browser, machine, name string) (page string, outcome local.LoginOutcome) {
	s.t.Helper()
	return s.loginAt(b, machine, name, local.LoginRequest{})
}

// loginAt likewise, by a proof as it is asked for.
func (s *scene) loginAt(b *browser, machine, name string, asked local.LoginRequest) (page string, outcome local.LoginOutcome) {
	s.t.Helper()
	client := local.NewClient(s.nodes[machine].Socket())
	defer client.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	opened, err := client.Login(ctx, asked)
	if err != nil {
		s.t.Fatal(err)
	}
	page = b.signIn(opened.URL, name)
	told, err := client.AwaitLogin(ctx, local.AwaitLoginRequest{ID: opened.ID})
	if err != nil {
		s.t.Fatal(err)
	}
	return page, *told
}

// opensTo dials where a service listens until it is let.
func (s *scene) opensTo(machine string, to netip.AddrPort) {
	s.t.Helper()
	l := s.Host("ehr").Listen(to)
	defer l.Close()
	lab.Eventually(s.t, patience, "the flow opens", func() (bool, string) {
		c, err := s.Host(machine).Dial(s.t.Context(), "tcp", to)
		if err != nil {
			return false, err.Error()
		}
		return c.Close() == nil, ""
	})
}

// offered gives the address that a machine's status shows beside a refusal.
func (s *scene) offered(machine string) (url string) {
	s.t.Helper()
	lab.Eventually(s.t, patience, "the status shows where to go on", func() (bool, string) {
		text, err := s.nodes[machine].TryCLI("", "status")
		_, rest, found := strings.Cut(text, "to go on, open ")
		url, _, _ = strings.Cut(rest, " ")
		return err == nil && found, text
	})
	return strings.TrimSpace(url)
}

// A device's key alone opens nothing for a person: what the policy lets them do
// opens as they sign in, and ends, in the middle of what runs, as they are signed
// out, on the machine or by an admin, or are shut out.
func TestPersonMayWhileSignedIn_A18(t *testing.T) {
	t.Parallel()
	s := raiseDesk(t, nurses)
	if s == nil {
		return
	}
	ehr := s.at("ehr", 443)
	at := []netip.Addr{ehr[0].Addr(), ehr[1].Addr()}
	shut := func(why string) {
		t.Helper()
		s.refused("ward", "tcp", ehr[0], syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES)
		if st, err := s.nodes["ward"].Status(); err != nil || !st.SignedOut {
			t.Errorf("%s: the machine's status says %+v, %v", why, st, err)
		}
	}
	mine := newBrowser(t, s.Host("hub"))
	open := func() *streams {
		t.Helper()
		page, told := s.loginWith(mine, "ward", "nina")
		if told.State != local.LoginDone || told.Session.User != "nina@hospital.example" || !strings.Contains(page, "nina@hospital.example") {
			t.Fatalf("signed in: %+v\n%s", told, page)
		}
		s.answered("ward", at[0])
		return startStreams(t, s.Host("ward"), s.Host("ehr"), at...)
	}
	shut("before anybody signed in")
	if page, told := s.login("ward", "ben"); told.State != local.LoginRefused || !strings.Contains(page, "nina@hospital.example") {
		t.Errorf("ben at nina's machine: %+v\n%s", told, page)
	}
	over := func(f *streams, why string) {
		t.Helper()
		f.ended(t, time.Now())
		f.stop()
		shut(why)
	}
	f := open()
	if who, err := s.nodes["ward"].TryCLI("", "whoami"); err != nil || !strings.Contains(who, "nina@hospital.example") {
		t.Errorf("whoami: %q, %v", who, err)
	}
	if _, err := s.nodes["ward"].TryCLI("", "logout"); err != nil {
		t.Fatal(err)
	}
	over(f, "logged out")

	f = open()
	var list struct{ Sessions []struct{ ID, User string } }
	if err := json.Unmarshal([]byte(s.coordinator.Ctl("session", "list", "--json")), &list); err != nil || len(list.Sessions) != 1 {
		t.Fatalf("sessions: %+v, %v", list, err)
	}
	s.coordinator.Ctl("session", "end", list.Sessions[0].ID)
	over(f, "ended by an admin")

	f = open()
	s.coordinator.Ctl("user", "disable", "nina@hospital.example")
	over(f, "disabled")
	if page, told := s.login("ward", "nina"); told.State != local.LoginRefused {
		t.Errorf("who was disabled: %+v\n%s", told, page)
	}
	s.coordinator.Ctl("user", "enable", "nina@hospital.example")
	open()
	if mine.Proofs() != 1 {
		t.Errorf("nina proved %d times who she is: the provider does not remember her browser", mine.Proofs())
	}
	s.operates(t, mine, "nina")
}

// A proof of who somebody is that grows too old ends what hangs on it, by the
// node's own policy time with the coordinator dead; proving it afresh, where the
// refusal says that this is done, opens it again. That the provider remembers the
// browser proves nothing afresh, and the sign-in that is offered has it asked again, at
// the level that is missing, which it gives to who asks.
func TestOldProofEndsWithoutACoordinator_A18_A22(t *testing.T) {
	t.Parallel()
	const within = 12 * time.Second
	s := raiseDesk(t, strings.Replace(nurses, `"udp:5000"]`, `"udp:5000"], "when": {"mfa": {"within": "`+within.String()+`"}}},
  {"id": "vault", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:444"], "when": {"mfa": {"acr": "gold"}}`, 1))
	if s == nil {
		return
	}
	ehr := s.at("ehr", 443)
	at := []netip.Addr{ehr[0].Addr(), ehr[1].Addr()}
	mine := newBrowser(t, s.Host("hub"))
	_, told := s.loginWith(mine, "ward", "nina")
	if told.State != local.LoginDone {
		t.Fatalf("%+v", told)
	}
	s.answered("ward", at[0])
	f := startStreams(t, s.Host("ward"), s.Host("ehr"), at...)
	s.coordinator.Process.Kill()
	time.Sleep(time.Until(told.Session.At.Add(within - 2*time.Second)))
	f.carry(t) // up to the end
	f.ended(t, told.Session.At.Add(within))
	f.stop()
	s.refused("ward", "tcp", ehr[0], syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EACCES)
	if why, err := s.nodes["ward"].TryCLI("", "status"); err != nil || !strings.Contains(why, "cordon login --afresh") {
		t.Errorf("the status does not say what to do: %v\n%s", err, why)
	}
	s.coordinator.Start()
	s.settle()
	s.refused("ward", "tcp", ehr[0], syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EACCES)
	if _, again := s.loginWith(mine, "ward", "nina"); !again.Session.At.Equal(told.Session.At) || mine.Proofs() != 1 {
		t.Errorf("the provider remembers nina, and she proved who she is at %s, not at %s", again.Session.At, told.Session.At)
	}
	s.refused("ward", "tcp", ehr[0], syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EACCES)
	vault := s.at("ehr", 444)[0]
	s.refused("ward", "tcp", vault, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EACCES)
	s.nodes["ward"].Wait("the last refusal is for want of a level", func(st *local.Status) bool {
		return slices.ContainsFunc(st.Refusals, func(r local.Refusal) bool { return r.Level() == "gold" })
	})
	mine.signIn(s.offered("ward"), "nina")
	s.answered("ward", at[0])
	s.opensTo("ward", vault)
	if st, err := s.nodes["ward"].Status(); err != nil || mine.Proofs() != 2 || !st.Sessions[0].At.After(told.Session.At) {
		t.Errorf("after the step-up: %d proofs, %+v, %v", mine.Proofs(), st, err)
	}
}
