package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const issuer = "https://id.clinic.example"

// Rules by which a record and a person are told to be one.
func bySubject() registry.Matching { return registry.Matching{Issuer: issuer} }
func byLogin() registry.Matching   { return registry.Matching{Login: true} }

// known is a person as the provider proves them, whom the directory calls by the subject.
func known(login string, groups ...string) registry.Identity {
	who := person(login, groups...)
	who.External = who.Subject
	return who
}

func record(id, external, userName string) registry.ProvisionUser {
	return registry.ProvisionUser{ID: id, New: true, By: bySubject(), External: &external, UserName: &userName}
}

func active(id string, is bool) registry.ProvisionUser {
	return registry.ProvisionUser{ID: id, By: bySubject(), Active: &is}
}

func (m *mesh) user(login string) *registry.User {
	m.t.Helper()
	u, ok := m.state.UserByLogin(login)
	if !ok {
		m.t.Fatalf("nobody is %s", login)
	}
	return u
}

// restored checks that a checkpoint and the journal give the state back.
func (m *mesh) restored() {
	m.t.Helper()
	back, err := registry.DecodeState([]byte(m.encoded()))
	if err != nil {
		m.t.Fatal(err)
	}
	want := m.encoded()
	m.state = back
	if got := m.encoded(); got != want {
		m.t.Fatalf("a checkpoint gives\n%s\nafter\n%s", got, want)
	}
}

// Whom the directory disables loses what they have and could have, and it comes back
// by the directory's word; an admin's word stands beside it.
func TestDirectoryShutsOut_A18(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{Uses: 5})
	m.signIn("s1", n, known("ana@clinic.example"))
	m.do(record("r1", "sub-ana@clinic.example", "Ana@Clinic.example"))
	u := m.user("ana@clinic.example")
	if u.Issuer != issuer || u.Provision == nil || u.ShutOut() || len(m.state.SessionsAt(n.ID)) != 1 {
		t.Fatalf("the record of whoever signed in before is %+v", u)
	}
	m.token("later", registry.CreateToken{Uses: 3})
	m.do(active("r1", false))
	if len(m.state.SessionsAt(n.ID)) != 0 || m.state.Admitted(n) {
		t.Error("who is disabled has a session, or a machine with peers")
	}
	if tok, _ := m.state.Token("later"); !tok.Revoked {
		t.Error("who is disabled can add machines")
	}
	m.restored()
	m.refused(registry.BeginSession{ID: "s2", Node: n.ID, Who: known("ana@clinic.example"), Life: shift}, registry.ErrUser)
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	m.do(active("r1", true))
	if m.state.Admitted(n) {
		t.Error("the directory took an admin's word back")
	}
	m.do(registry.EnableUser{User: "ana@clinic.example"})
	if !m.state.Admitted(n) {
		t.Error("who was enabled has no peers")
	}
	m.signIn("s3", n, known("ana@clinic.example"))
	m.do(active("r1", false))
	m.do(registry.EnableUser{User: "ana@clinic.example"})
	if !m.state.Admitted(n) || !m.user("ana@clinic.example").Provision.Active {
		t.Error("an admin cannot let in whom the directory shut out")
	}
}

// A directory knows people before they come. Who is shut out before the first
// sign-in is refused at it, under whatever login.
func TestRecordBeforeTheFirstSignIn_A15(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.do(record("r1", "sub-ana@clinic.example", "ana@clinic.example"))
	m.do(active("r1", false))
	if m.state.Admitted(n) {
		t.Error("the machine of whoever is disabled, and never signed in, has peers")
	}
	m.restored()
	renamed := known("ana@clinic.example")
	renamed.Login = "ana.new@clinic.example"
	for _, who := range []registry.Identity{known("ana@clinic.example"), renamed} {
		m.refused(registry.BeginSession{ID: "s1", Node: n.ID, Who: who, Life: shift}, registry.ErrUser)
	}
	m.refused(registry.CreateToken{ID: "x", Secret: registry.HashSecret("x"), Kind: registry.EnrolToken, User: "ana@clinic.example"}, registry.ErrUser)

	m.do(active("r1", true))
	m.signIn("s1", n, known("ana@clinic.example"))
	u, all := m.user("ana@clinic.example"), slices.Collect(m.state.Users())
	if u.Issuer != issuer || u.Provision == nil || u.Provision.ID != "r1" || len(all) != 1 {
		t.Errorf("after the first sign-in: %+v of %d", u, len(all))
	}
	m.restored()
	login := "ana.next@clinic.example"
	m.do(registry.ProvisionUser{ID: "r1", By: bySubject(), UserName: &login})
	if u := m.user("ana@clinic.example"); u.Login != "ana@clinic.example" || u.Provision.Login != login {
		t.Errorf("renamed: %+v; who signs in has the login that they proved", u)
	}
	_, next := m.join("next", registry.CreateToken{User: login})
	m.do(active("r1", false))
	if m.state.Admitted(next) {
		t.Error("the machine of whoever is disabled has peers, by the login that the directory gave them")
	}
	m.refused(registry.CreateToken{ID: "x", Secret: registry.HashSecret("x"), Kind: registry.EnrolToken, User: login}, registry.ErrUser)
}

// Nobody becomes another by a login that the directory and the provider both know:
// the rule alone tells who is one.
func TestRecordIsNobodyElses_A15(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.do(record("r1", "sub-other", "ana@clinic.example"))
	err := m.refused(registry.BeginSession{ID: "s1", Node: n.ID, Who: known("ana@clinic.example"), Life: shift}, registry.ErrUser)
	if !strings.Contains(err.Error(), "another person") {
		t.Errorf("%v does not say why", err)
	}
	m.refused(record("r2", "sub-x", "ANA@clinic.example"), registry.ErrExists)
	m.refused(record("r2", "sub-other", "x@clinic.example"), registry.ErrExists)
	m.refused(record("r1", "sub-x", "x@clinic.example"), registry.ErrInvalid)
	m.refused(record("r2", "sub-x", "nobody"), registry.ErrInvalid)
	m.refused(active("r9", false), registry.ErrNotFound)

	m.do(record("r3", "sub-ben@clinic.example", "x@clinic.example"))
	_, free := m.join("shared", registry.CreateToken{Tags: []string{"tag:ward"}})
	m.signIn("s2", free, known("ben@clinic.example"))
	if u := m.user("ben@clinic.example"); u.Provision == nil || u.Login != "ben@clinic.example" {
		t.Errorf("%+v", u)
	}
	m.refused(record("r4", "sub-y", "ben@clinic.example"), registry.ErrExists)
	other := "sub-z"
	m.refused(registry.ProvisionUser{ID: "r3", By: bySubject(), External: &other}, registry.ErrExists)

	confused := known("cy@clinic.example")
	confused.External = "sub-ben@clinic.example"
	m.refused(registry.BeginSession{ID: "s3", Node: free.ID, Who: confused, Life: shift}, registry.ErrUser)
}

// By the login alone records are told only if an admin chose that.
func TestRecordByLogin(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	who := person("ana@clinic.example")
	who.ByLogin = true
	m.signIn("s1", n, who)
	c := record("r1", "anything", "ana@clinic.example")
	c.By = byLogin()
	m.do(c)
	if u := m.user("ana@clinic.example"); u.Issuer != issuer || u.Provision == nil {
		t.Errorf("%+v", u)
	}
	c = record("r2", "else", "ben@clinic.example")
	c.By = byLogin()
	m.do(c)
	off := active("r2", false)
	off.By = byLogin()
	m.do(off)
	_, free := m.join("shared", registry.CreateToken{Tags: []string{"tag:ward"}})
	ben := person("ben@clinic.example")
	ben.ByLogin = true
	m.refused(registry.BeginSession{ID: "s2", Node: free.ID, Who: ben, Life: shift}, registry.ErrUser)
}

// A record that is deleted shuts out, is nobody's any more, and comes back as the
// same person's alone.
func TestDeletedRecord(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.do(record("r1", "sub-ana@clinic.example", "ana@clinic.example"))
	m.signIn("s1", n, known("ana@clinic.example"))
	m.do(registry.DeprovisionUser{ID: "r1"})
	if len(m.state.SessionsAt(n.ID)) != 0 || m.state.Admitted(n) || len(m.state.ProvisionedUsers()) != 0 {
		t.Error("whose record was deleted is not shut out")
	}
	m.restored()
	m.refused(registry.DeprovisionUser{ID: "r1"}, registry.ErrNotFound)
	m.refused(active("r1", true), registry.ErrNotFound)
	m.refused(record("r2", "sub-new", "ana@clinic.example"), registry.ErrExists)
	if u := m.do(record("r3", "sub-ana@clinic.example", "ana@clinic.example")).User; u.Provision.ID != "r1" || u.ShutOut() {
		t.Errorf("came back as %+v", u.Provision)
	}
	m.signIn("s2", n, known("ana@clinic.example"))
	m.do(registry.DeprovisionUser{ID: "r1"})
	m.do(registry.EnableUser{User: "ana@clinic.example"})
	m.do(registry.ForgetUser{User: "ana@clinic.example"})
	m.do(record("r2", "sub-new", "ana@clinic.example"))
}

func TestGroupsOfTheDirectory(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	groups := func(want ...string) {
		t.Helper()
		if got := m.user("ana@clinic.example").Groups; !slices.Equal(got, want) {
			t.Errorf("groups %v, want %v", got, want)
		}
	}
	group := func(id, name string, members ...string) registry.ProvisionGroup {
		return registry.ProvisionGroup{ID: id, New: true, Name: &name, Members: &members}
	}
	m.signIn("s1", n, known("ana@clinic.example", "Nurses", "Staff"))
	m.do(record("r1", "sub-ana@clinic.example", "ana@clinic.example"))
	groups("idp:Nurses", "idp:Staff")
	m.do(group("g1", "nurses", "nobody"))
	if len(m.last.Result.Warnings) != 1 {
		t.Errorf("who is not there gives the warnings %v", m.last.Result.Warnings)
	}
	groups("idp:Staff") // the directory says who nurses are, and the token no longer
	m.do(registry.ProvisionGroup{ID: "g1", Add: []string{"r1"}})
	groups("idp:Staff", "idp:nurses")
	m.restored()
	m.signIn("s1", n, known("ana@clinic.example", "Nurses", "Doctors"))
	groups("idp:Doctors", "idp:nurses")
	m.do(registry.ProvisionGroup{ID: "g1", Remove: []string{"r1"}})
	groups("idp:Doctors")
	m.signIn("s1", n, known("ana@clinic.example", "Nurses"))
	groups()
	renamed := "Ward nurses"
	m.do(registry.ProvisionGroup{ID: "g1", Name: &renamed, Members: &[]string{"r1"}})
	groups("idp:Nurses", "idp:Ward nurses")
	if got := m.state.Members("g1"); !slices.Equal(got, []string{"r1"}) {
		t.Errorf("members %v", got)
	}
	m.do(registry.ProvisionGroup{ID: "g1", Members: &[]string{}})
	groups("idp:Nurses")
	m.do(registry.ProvisionGroup{ID: "g1", Add: []string{"r1"}})
	m.refused(group("g2", "ward NURSES"), registry.ErrExists)
	m.refused(group("g1", "else"), registry.ErrInvalid)
	m.refused(group("g3", "a\u202eb"), registry.ErrInvalid)
	m.refused(registry.ProvisionGroup{ID: "g9"}, registry.ErrNotFound)
	m.do(registry.DeprovisionGroup{ID: "g1"})
	groups("idp:Nurses")
	m.refused(registry.DeprovisionGroup{ID: "g1"}, registry.ErrNotFound)
	m.restored()
	for _, e := range m.last.Entries {
		if b, err := registry.EncodeEntry(e); err != nil {
			t.Fatal(err)
		} else if _, err := registry.DecodeEntry(e.Revision, b); err != nil {
			t.Error(err)
		}
	}
}

// What a disabled person made for others ends with what they have.
func TestWhatThePersonMadeEnds(t *testing.T) {
	m := begin(t)
	m.do(record("r1", "sub-ana@clinic.example", "ana@clinic.example"))
	d, err := m.decider.Decide(m.state, registry.CreateToken{ID: "made", Secret: registry.HashSecret("made"), Kind: registry.EnrolToken, Tags: []string{"tag:x"}},
		registry.UserActor("ana@clinic.example"), m.now)
	if err != nil {
		t.Fatal(err)
	}
	m.state = d.Next
	m.do(active("r1", false))
	if tok, _ := m.state.Token("made"); !tok.Revoked {
		t.Error("a token that a disabled person made admits machines")
	}
	if _, err := m.try(newMachine().enrol("made", "x")); !errors.Is(err, registry.ErrToken) {
		t.Error(err)
	}
}
