package registry_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const shift = 12 * time.Hour

// person is who signs in, as an issuer tells it.
func person(login string, groups ...string) registry.Identity {
	return registry.Identity{Issuer: "https://id.clinic.example", Subject: "sub-" + login, Login: login, Name: "Dr. X", Groups: groups,
		At: noon.Add(-time.Minute), AMR: []string{"pwd", "otp"}, ACR: "urn:loa:2"}
}

func (m *mesh) signIn(id string, n *registry.Node, who registry.Identity) *registry.Session {
	m.t.Helper()
	return m.do(registry.BeginSession{ID: id, Node: n.ID, Who: who, Life: shift}).Session
}

func TestSessionBegins(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	s := m.signIn("s1", n, person("ana@clinic.example", "Nurses", "Doctors", "Nurses"))
	if s.ID != "s1" || s.Node != n.ID || s.Login != "ana@clinic.example" || !s.Begun.Equal(noon) || !s.Until.Equal(noon.Add(shift)) {
		t.Errorf("session is %+v", s)
	}
	want := registry.Login{At: noon.Add(-time.Minute), AMR: []string{"otp", "pwd"}, ACR: "urn:loa:2"}
	if len(s.Logins) != 1 || !s.Logins[0].At.Equal(want.At) || !slices.Equal(s.Logins[0].AMR, want.AMR) || s.Logins[0].ACR != want.ACR {
		t.Errorf("its logins are %+v", s.Logins)
	}
	u, ok := m.state.UserByLogin("ana@clinic.example")
	if !ok || u.ID != s.User || !slices.Equal(u.Groups, []string{"idp:Doctors", "idp:Nurses"}) || !u.Created.Equal(noon) {
		t.Errorf("the person is %+v", u)
	}
	if !s.Live(s.Until.Add(-time.Millisecond)) || s.Live(s.Until) {
		t.Error("the end of a session is not exclusive")
	}
	if w := s.Wire(); w.User != s.Login || !w.At.Equal(want.At) || w.ACR != want.ACR || !w.Until.Equal(s.Until) {
		t.Errorf("the node is told %+v", w)
	}
}

func TestSessionGoesOn(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.signIn("s1", n, person("ana@clinic.example"))
	m.now = noon.Add(time.Hour)
	weaker := person("ana@clinic.example")
	weaker.AMR, weaker.At = []string{"pwd"}, m.now
	s := m.signIn("s2", n, weaker)
	if !s.Logins[0].Until.Equal(noon.Add(shift)) || !s.Logins[1].Until.Equal(s.Until) {
		t.Errorf("a weaker proof prolongs a stronger one: %+v", s.Logins)
	}
	if s.ID != "s1" || !s.Begun.Equal(noon) || !s.Until.Equal(m.now.Add(shift)) || len(s.Logins) != 2 || len(s.Logins[0].AMR) != 2 {
		t.Errorf("a second login makes %+v; the first, stronger proof must stay known", s)
	}
	for range 20 {
		s = m.signIn("s3", n, weaker)
	}
	if len(s.Logins) > 8 {
		t.Errorf("%d logins are remembered", len(s.Logins))
	}
	m.now = s.Until
	if s = m.signIn("s4", n, weaker); s.ID != "s4" || len(s.Logins) != 1 || len(m.state.SessionsAt(n.ID)) != 1 {
		t.Errorf("after its end a session went on: %+v", s)
	}
}

// A login has no case, however a token or a provider spells it.
func TestOwnerIsKnownInWhateverCase(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{User: "Ana@Clinic.example"})
	if n.User != "ana@clinic.example" {
		t.Errorf("the machine is %s's, who is proved in lower case", n.User)
	}
	m.signIn("s1", n, person("ana@clinic.example"))
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	if m.state.Admitted(n) {
		t.Error("the machine of a disabled person is admitted: its token spelt the login otherwise")
	}
}

// The proof of a moment to come would be fresh for ever.
func TestProofIsNotOfTheFuture_A22(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	early := person("ana@clinic.example")
	early.At = noon.Add(24 * time.Hour)
	if s := m.signIn("s1", n, early); s.Logins[0].At.After(noon) {
		t.Errorf("proved at %v, it is %v", s.Logins[0].At, noon)
	}
}

func TestOnlyItsOwnerSignsInAtAMachine_A19(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	err := m.refused(registry.BeginSession{ID: "s1", Node: n.ID, Who: person("bob@clinic.example"), Life: shift}, registry.ErrUser)
	if !strings.Contains(err.Error(), "this machine is ana@clinic.example's") || len(m.last.Records) != 1 {
		t.Errorf("refused with %q, records %v", err, m.last.Records)
	}
	if _, known := m.state.UserByLogin("bob@clinic.example"); known {
		t.Error("who was refused is known now")
	}
}

// An apostrophe is in many a name.
func TestLoginMayHaveAnApostrophe(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{User: "o'brien@clinic.example"})
	m.signIn("s1", n, person("o'brien@clinic.example"))
	m.refused(registry.DisableUser{User: "a/b@clinic.example"}, registry.ErrInvalid)
}

func TestOneSitsAtASharedMachine_A19(t *testing.T) {
	m := begin(t)
	_, n := m.join("ward", registry.CreateToken{Tags: []string{"tag:shared"}})
	m.signIn("s1", n, person("ana@clinic.example"))
	m.signIn("s2", n, person("bob@clinic.example"))
	if at := m.state.SessionsAt(n.ID); len(at) != 1 || at[0].Login != "bob@clinic.example" {
		t.Errorf("at the ward sit %+v", at)
	}
}

// Whoever is given a leaver's address of mail is not given a leaver's rights.
func TestLoginStaysThePersonsWhoHadIt_A15(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.signIn("s1", n, person("ana@clinic.example"))
	for _, other := range []func(*registry.Identity){
		func(i *registry.Identity) { i.Subject = "sub-new" },
		func(i *registry.Identity) { i.Issuer = "https://evil.example" },
	} {
		who := person("ana@clinic.example")
		other(&who)
		m.refused(registry.BeginSession{ID: "s2", Node: n.ID, Who: who, Life: shift}, registry.ErrUser)
	}
	renamed := person("ana@clinic.example")
	renamed.Login = "ana.b@clinic.example"
	s := m.signIn("s3", n, renamed) // at the machine that is hers by her former login
	if u, ok := m.state.UserByLogin("ana@clinic.example"); !ok || u.ID != s.User || s.Login != "ana.b@clinic.example" {
		t.Error("her former login is not hers any more")
	}
	heir := person("ana@clinic.example")
	heir.Subject = "sub-heir"
	m.refused(registry.BeginSession{ID: "s4", Node: n.ID, Who: heir, Life: shift}, registry.ErrUser)
	m.token("spare", registry.CreateToken{})
	m.do(registry.DisableUser{User: "ana.b@clinic.example"})
	if spare, _ := m.state.Token("spare"); m.state.Admitted(n) || !spare.Revoked {
		t.Error("disabled by her login, she is in by her former one")
	}
	m.do(registry.EnableUser{User: "ana.b@clinic.example"})
	m.signIn("s5", n, person("ana@clinic.example")) // called as before again
}

// A provider that is replaced calls everybody otherwise: an admin has it forgotten who they were.
func TestForgottenPersonComesAnew(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.signIn("s1", n, person("ana@clinic.example"))
	other := person("ana@clinic.example")
	other.Issuer = "https://new.clinic.example"
	m.refused(registry.BeginSession{ID: "s2", Node: n.ID, Who: other, Life: shift}, registry.ErrUser)
	m.do(registry.ForgetUser{User: "ana@clinic.example"})
	if len(m.state.SessionsAt(n.ID)) > 0 {
		t.Error("who was forgotten is signed in")
	}
	m.signIn("s2", n, other)
	m.refused(registry.ForgetUser{User: "bob@clinic.example"}, registry.ErrNotFound)
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	m.refused(registry.ForgetUser{User: "ana@clinic.example"}, registry.ErrInvalid) // it would let her machines in
}

func TestDisabledPersonIsOut_A18(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.token("spare", registry.CreateToken{})
	m.signIn("s1", n, person("ana@clinic.example"))
	m.do(registry.DisableUser{User: "Ana@clinic.example"})
	spare, _ := m.state.Token("spare")
	if len(m.state.SessionsAt(n.ID)) > 0 || !spare.Revoked || m.state.Admitted(n) {
		t.Errorf("disabled: sessions %v, token %+v, admitted %t", m.state.SessionsAt(n.ID), spare, m.state.Admitted(n))
	}
	m.refused(registry.BeginSession{ID: "s2", Node: n.ID, Who: person("ana@clinic.example"), Life: shift}, registry.ErrUser)
	m.do(registry.EnableUser{User: "ana@clinic.example"})
	if !m.state.Admitted(n) || len(m.state.SessionsAt(n.ID)) > 0 {
		t.Error("enabling does not admit the person's machine, or gives the session back")
	}
	m.signIn("s3", n, person("ana@clinic.example"))
	if r := m.do(registry.DisableUser{User: m.state.SessionsAt(n.ID)[0].User}); !r.Changed || r.User == nil || !r.User.Disabled {
		t.Errorf("by id: %+v", r)
	}
}

func TestWhoNeverCameCanBeShutOut_A18(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	if m.state.Admitted(n) {
		t.Error("the machine of a disabled person is admitted")
	}
	m.refused(registry.BeginSession{ID: "s1", Node: n.ID, Who: person("ana@clinic.example"), Life: shift}, registry.ErrUser)
	m.do(registry.EnableUser{User: "ana@clinic.example"})
	m.signIn("s1", n, person("ana@clinic.example"))
	m.refused(registry.DisableUser{User: "nobody at all"}, registry.ErrInvalid)
	m.refused(registry.EnableUser{User: "bob@clinic.example"}, registry.ErrNotFound)
}

// A leaver's colleague must not make tokens in the leaver's name either.
func TestNoTokenForADisabledPerson_A14_A18(t *testing.T) {
	m := begin(t)
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	m.refused(registry.CreateToken{ID: "t", Secret: registry.HashSecret("t"), Kind: registry.EnrolToken, User: "ana@clinic.example"}, registry.ErrUser)
}

func TestSessionsEnd_A18(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	_, shared := m.join("ward", registry.CreateToken{Tags: []string{"tag:shared"}})
	m.signIn("s1", n, person("ana@clinic.example"))
	m.signIn("s2", shared, person("ana@clinic.example"))
	m.refused(registry.EndSessions{}, registry.ErrInvalid)
	m.refused(registry.EndSessions{ID: "s3"}, registry.ErrNotFound)
	m.refused(registry.EndSessions{ID: "s1", Node: shared.ID}, registry.ErrNotFound)
	if r := m.do(registry.EndSessions{ID: "s1", Node: n.ID}); r.Ended != 1 || len(m.state.SessionsAt(n.ID)) != 0 || len(m.state.SessionsAt(shared.ID)) != 1 {
		t.Errorf("ended %d", r.Ended)
	}
	if r := m.do(registry.EndSessions{Node: shared.ID}); r.Ended != 1 || len(m.state.SortedSessions()) != 0 {
		t.Errorf("ended %d", r.Ended)
	}
	if r := m.do(registry.EndSessions{Node: shared.ID}); r.Changed {
		t.Error("ending nothing changed something")
	}
}

func TestSessionGoesWithItsMachine_A19(t *testing.T) {
	m := begin(t)
	_, removed := m.join("laptop", registry.CreateToken{})
	_, retagged := m.join("laptop", registry.CreateToken{})
	_, approved := m.join("laptop", registry.CreateToken{NeedsApproval: true})
	for i, n := range []*registry.Node{removed, retagged, approved} {
		m.signIn("s"+string(rune('1'+i)), n, person("ana@clinic.example"))
	}
	m.do(registry.RemoveNode{Node: removed.ID})
	m.do(registry.TagNode{Node: retagged.ID, Tags: []string{"tag:shared"}})
	m.do(registry.ApproveNode{Node: approved.ID})
	if all := m.state.SortedSessions(); len(all) != 1 || all[0].Node != approved.ID {
		t.Errorf("what is left: %+v", all)
	}
}

func TestBadSessionsAreRefused(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	good := registry.BeginSession{ID: "s1", Node: n.ID, Who: person("ana@clinic.example"), Life: shift}
	for name, spoil := range map[string]func(*registry.BeginSession){
		"no id":              func(c *registry.BeginSession) { c.ID = "" },
		"no life":            func(c *registry.BeginSession) { c.Life = 0 },
		"too long a life":    func(c *registry.BeginSession) { c.Life = registry.MaxSessionLife + 1 },
		"no subject":         func(c *registry.BeginSession) { c.Who.Subject = "" },
		"no issuer":          func(c *registry.BeginSession) { c.Who.Issuer = "" },
		"control in subject": func(c *registry.BeginSession) { c.Who.Subject = "a\nb" },
		"huge subject":       func(c *registry.BeginSession) { c.Who.Subject = strings.Repeat("a", 513) },
		"login in capitals":  func(c *registry.BeginSession) { c.Who.Login = "Ana@clinic.example" },
		"login without host": func(c *registry.BeginSession) { c.Who.Login = "ana" },
		"odd group":          func(c *registry.BeginSession) { c.Who.Groups = []string{"a\u202eb"} },
		"many groups":        func(c *registry.BeginSession) { c.Who.Groups = make([]string, 1001) },
		"odd name":           func(c *registry.BeginSession) { c.Who.Name = "\x1b[2J" },
		"method with blank":  func(c *registry.BeginSession) { c.Who.AMR = []string{"p w"} },
		"many methods":       func(c *registry.BeginSession) { c.Who.AMR = slices.Repeat([]string{"a"}, 33) },
		"level with blank":   func(c *registry.BeginSession) { c.Who.ACR = "l 1" },
	} {
		bad := good
		spoil(&bad)
		t.Run(name, func(t *testing.T) {
			m.t = t
			m.refused(bad, registry.ErrInvalid)
		})
	}
	m.t = t
	good.Node = "n-none"
	m.refused(good, registry.ErrNotFound)
}

// A coordinator that is started with a provider asks for sign-in from then on;
// whoever turned that off is not overruled by the next start.
func TestSignInIsRequiredByDefaultOnce(t *testing.T) {
	m := begin(t)
	m.do(registry.RequireSignIn{Required: true, Default: true})
	if !m.state.SignIn {
		t.Fatal("not required")
	}
	m.do(registry.RequireSignIn{})
	if r := m.do(registry.RequireSignIn{Required: true, Default: true}); r.Changed || m.state.SignIn {
		t.Error("the default overrules what an operator said")
	}
	back, err := registry.DecodeState([]byte(m.encoded()))
	if err != nil {
		t.Fatal(err)
	}
	m.state = back
	if m.do(registry.RequireSignIn{Required: true, Default: true}); m.state.SignIn {
		t.Error("a checkpoint forgets that an operator said so")
	}
	other := begin(t)
	other.do(registry.RequireSignIn{})
	if other.do(registry.RequireSignIn{Required: true, Default: true}); other.state.SignIn {
		t.Error("the default overrules who said no before it was asked for")
	}
}

func TestPeopleAreInTheCheckpoint(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.do(registry.RequireSignIn{Required: true})
	m.signIn("s1", n, person("ana@clinic.example", "Nurses"))
	m.do(registry.DisableUser{User: "eve@clinic.example"})
	text := m.encoded()
	back, err := registry.DecodeState([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	again, err := registry.EncodeState(back)
	if err != nil || string(again) != text || !back.SignIn {
		t.Errorf("came back as %s (%v)", again, err)
	}
	for name, spoil := range map[string][2]string{
		"twice the login": {`"login":"eve@clinic.example"`, `"login":"ana@clinic.example"`},
		"nobody's":        {`"user":"u-`, `"user":"v-`},
		"at no node":      {`"sessions":[{"id":"s1","node":"n`, `"sessions":[{"id":"s1","node":"m`},
		"without proof":   {`"logins":[{`, `"logins":[],"x":[{`},
	} {
		broken := strings.Replace(text, spoil[0], spoil[1], 1)
		if broken == text {
			t.Fatalf("%s: nothing to spoil in %s", name, text)
		}
		if _, err := registry.DecodeState([]byte(broken)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Each end of a session has a record of its own, also where the machine went away
// beneath it.
func TestSessionsThatEndWithTheirMachineAreInTheAudit(t *testing.T) {
	for name, end := range map[string]func(*mesh, *registry.Node){
		"removed":  func(m *mesh, n *registry.Node) { m.do(registry.RemoveNode{Node: n.ID}) },
		"retagged": func(m *mesh, n *registry.Node) { m.do(registry.TagNode{Node: n.ID, Tags: []string{"tag:shared"}}) },
		"revoked elsewhere": func(m *mesh, n *registry.Node) {
			m.do(registry.TakeRevocations{Revocations: []registry.Revocation{{Key: n.Key, Epoch: 1, Time: m.now}}})
		},
	} {
		m := begin(t)
		_, n := m.join("laptop", registry.CreateToken{})
		s := m.signIn("s1", n, person("ana@clinic.example"))
		end(m, n)
		var ends []string
		for _, r := range m.last.Records {
			if r.Action == "session.end" && r.Object == s.ID && strings.Contains(r.Detail, n.ID) {
				ends = append(ends, r.Detail)
			}
		}
		if len(ends) != 1 || len(m.state.SessionsAt(n.ID)) > 0 {
			t.Errorf("%s: records %v, all %+v", name, ends, m.last.Records)
		}
	}
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.signIn("s1", n, person("ana@clinic.example"))
	m.do(registry.Report{Node: n.ID, OS: "linux", Version: "another"})
	for _, r := range m.last.Records {
		if r.Action == "session.end" {
			t.Errorf("the session goes on, and the audit says %+v", r)
		}
	}
}
