package registry_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// A provider that no longer stands by somebody ends what came of it, and no more.
func TestProviderSignsOut(t *testing.T) {
	m := begin(t)
	at := func(name, sid string) *registry.Node {
		_, n := m.join(name, registry.CreateToken{Tags: []string{"tag:ward"}})
		who := person("ana@clinic.example")
		who.SID = sid
		m.signIn("s-"+name, n, who)
		return n
	}
	one, two, unknown := at("one", "x"), at("two", "y"), at("three", "")
	_, n := m.join("four", registry.CreateToken{Tags: []string{"tag:ward"}})
	ben := person("ben@clinic.example")
	ben.SID = "z"
	m.signIn("s-four", n, ben)
	open := func(want ...*registry.Node) {
		t.Helper()
		for _, n := range []*registry.Node{one, two, unknown, n} {
			if is := len(m.state.SessionsAt(n.ID)) == 1; is != slices.Contains(want, n) {
				t.Errorf("at %s somebody is signed in: %t", n.Name, is)
			}
		}
	}
	for _, c := range []registry.SignOut{{Subject: "x"}, {Issuer: issuer}} {
		m.refused(c, registry.ErrInvalid)
	}
	for _, c := range []registry.SignOut{{Issuer: "https://other.example", Subject: "sub-ana@clinic.example"}, {Issuer: issuer, Subject: "sub-cy"},
		{Issuer: issuer, SID: "w"}, {Issuer: "https://other.example", SID: "x"}} {
		m.do(c)
		open(one, two, unknown, n)
	}
	m.do(registry.SignOut{Issuer: issuer, SID: "z"})
	open(one, two, unknown)
	m.do(registry.SignOut{Issuer: issuer, Subject: "sub-ana@clinic.example", SID: "x"})
	open(two)
	m.restored()
	m.do(registry.SignOut{Issuer: issuer, Subject: "sub-ana@clinic.example"})
	open()
	if u := m.user("ana@clinic.example"); u.ShutOut() {
		t.Error("who was signed out is shut out")
	}
}

// What the provider says anew counts for groups, and for no session's life.
func TestProviderRenews(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	before := m.signIn("s1", n, known("ana@clinic.example", "Nurses"))
	m.do(registry.Renew{Who: known("ana@clinic.example", "Doctors")})
	if u := m.user("ana@clinic.example"); !slices.Equal(u.Groups, []string{"idp:Doctors"}) {
		t.Errorf("groups %v", u.Groups)
	}
	if s := m.state.SessionsAt(n.ID)[0]; !s.Until.Equal(before.Until) || len(s.Logins) != 1 {
		t.Errorf("the session is %+v", s)
	}
	if m.do(registry.Renew{Who: known("ana@clinic.example", "Doctors")}); len(m.last.Entries) > 0 {
		t.Errorf("the same again gives %v", m.last.Entries)
	}
	m.refused(registry.Renew{Who: known("ben@clinic.example")}, registry.ErrNotFound)
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	if _, err := m.try(registry.Renew{Who: known("ana@clinic.example")}); !errors.Is(err, registry.ErrUser) {
		t.Errorf("of whoever is disabled: %v", err)
	}
}

// Who moved and was renamed at once is out of the group of before: the issuer and the
// subject say who it is. By the new login they are known when they sign in by it.
func TestRenewalByAnotherLogin_A15_A18(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.signIn("s1", n, known("ana@clinic.example", "Nurses"))
	renamed := known("ana@clinic.example", "Doctors")
	renamed.Login = "ana.keller@clinic.example"
	m.do(registry.Renew{Who: renamed})
	if u := m.user("ana@clinic.example"); u.Login != "ana@clinic.example" || len(u.Former) > 0 || !slices.Equal(u.Groups, []string{"idp:Doctors"}) {
		t.Errorf("after the renewal %+v", u)
	}
	if s := m.state.SessionsAt(n.ID); len(s) != 1 || s[0].Login != "ana@clinic.example" {
		t.Errorf("the sessions %+v", s)
	}
	m.signIn("s2", n, renamed)
	if u := m.user("ana.keller@clinic.example"); !slices.Equal(u.Former, []string{"ana@clinic.example"}) {
		t.Errorf("after the sign-in %+v", u)
	}
}

// That the directory's record of somebody is in doubt keeps nobody in a group that they
// left; and whom it shut out before it was known who they are is out when it is.
func TestRenewalFindsARecord_A15_A18(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.signIn("s1", n, person("ana@clinic.example", "Nurses"))
	m.do(record("r-ben", "ext-ben", "ben@clinic.example"))
	ben := person("ben@clinic.example")
	ben.External = "ext-ben"
	_, ward := m.join("ward", registry.CreateToken{Tags: []string{"tag:ward"}})
	m.signIn("s-ben", ward, ben)
	who := person("ana@clinic.example", "Doctors")
	who.External = "ext-ben"
	if r := m.do(registry.Renew{Who: who}); len(r.Warnings) != 1 || r.User.External == who.External || !slices.Equal(r.User.Groups, []string{"idp:Doctors"}) {
		t.Errorf("warnings %q, groups %v", r.Warnings, r.User.Groups)
	}
	off := record("r-ana", "ext-ana", "a.keller@clinic.example")
	off.Active = new(bool)
	m.do(off)
	who.External = "ext-ana"
	m.do(registry.Renew{Who: who})
	if u := m.user("ana@clinic.example"); !u.ShutOut() || len(m.state.SessionsAt(n.ID)) > 0 {
		t.Errorf("whom the directory had shut out has %d sessions, is out: %t", len(m.state.SessionsAt(n.ID)), u.ShutOut())
	}
}
