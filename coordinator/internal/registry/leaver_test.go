package registry_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// provider is what the provider tells of somebody by a refused refresh, or by a logout
// token without a session.
func provider(login string) registry.SignOut {
	return registry.SignOut{Issuer: issuer, Subject: "sub-" + login}
}

// again is a proof of somebody that the provider gave at a time.
func (m *mesh) again(login string, heard time.Time) registry.BeginAdmin {
	c := session(login)
	c.ID, c.Secret, c.Who.Heard = "anew", registry.HashSecret("anew"), heard
	return c
}

func (m *mesh) enrols(secret, name string) error {
	_, err := m.try(newMachine().enrol(secret, name))
	return err
}

func ward(id string) registry.CreateToken {
	return registry.CreateToken{ID: id, Secret: registry.HashSecret(id), Kind: registry.EnrolToken, Tags: []string{"tag:ward"}, Uses: 9, Lifetime: 300 * day}
}

// A18, A14: by whom the provider no longer stands has no session left, and what they
// made does nothing; it is theirs again when the provider lets them in.
func TestWhatALeaverMadeRests_A14_A18(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "dan": "device-admin"})
	m.may(adminOf("dan"), ward("dans"))
	m.may(adminOf("dan"), admin("child", time.Hour, "read", "tokens"))
	m.may(registry.TokenActor("child"), ward("grandchild"))
	m.may(adminOf("olga"), ward("olgas"))
	r := m.do(provider("dan@clinic.example"))
	if r.Ended != 2 {
		t.Errorf("%d sessions ended, at the machine and in which they operate", r.Ended)
	}
	m.restored()
	m.revoked(map[string]bool{"of-dan": true, "of-olga": false, "dans": false})
	for _, secret := range []string{"dans", "grandchild"} {
		m.refused(newMachine().enrol(secret, "ghost"), registry.ErrToken)
	}
	m.mayNot(registry.TokenActor("child"), ward("more"), registry.ErrToken)
	if child, _ := m.state.Token("child"); m.state.TokenPermits(child, "read", m.now) {
		t.Error("a token of theirs permits something")
	}
	if err := m.enrols("olgas", "one"); err != nil {
		t.Errorf("another's token: %v", err)
	}
	m.now = m.now.Add(time.Minute)
	m.do(m.again("dan@clinic.example", m.now))
	if err := m.enrols("dans", "two"); err != nil {
		t.Errorf("after they signed in again: %v", err)
	}
	m.may(registry.TokenActor("child"), ward("more"))
}

// A18: what the provider proved before it took it back begins nothing, however long
// somebody kept it.
func TestProofOfBeforeIsTakenBack_A18_A22(t *testing.T) {
	m := staff(t, map[string]string{"dan": "device-admin"})
	_, n := m.join("kiosk", registry.CreateToken{Tags: []string{"tag:ward"}})
	before := m.again("dan@clinic.example", m.now)
	m.now = m.now.Add(time.Minute)
	m.do(provider("dan@clinic.example"))
	m.refused(before, registry.ErrUser)
	at := registry.BeginSession{ID: "late", Node: n.ID, Who: before.Who, Life: shift}
	m.refused(at, registry.ErrUser)
	joins := newMachine()
	m.refused(registry.Join{Machine: registry.Machine{Key: joins.node.Public(), Name: "x", Statement: joins.statement(1), OS: "linux", Version: "1"},
		Session: registry.BeginSession{ID: "j", Who: before.Who, Life: shift}}, registry.ErrUser)
	at.Who.Heard = m.now
	m.do(at)
	if !m.user("dan@clinic.example").Disowned.IsZero() {
		t.Error("who signed in anew is not stood by")
	}
}

// What the provider says of one session ends that, also one in which somebody operates,
// and lays nothing to rest: people go home every day.
func TestLogoutOfOneSessionEndsThat(t *testing.T) {
	m := staff(t, map[string]string{"dan": "device-admin"})
	operate := func(id, sid string) {
		c := session("dan@clinic.example")
		c.ID, c.Secret, c.Who.SID = id, registry.HashSecret(id), sid
		m.do(c)
	}
	operate("x", "sid-x")
	operate("y", "sid-y")
	m.may(adminOf("dan"), ward("dans"))
	m.do(registry.SignOut{Issuer: issuer, SID: "sid-x"})
	m.revoked(map[string]bool{"x": true, "y": false, "of-dan": false})
	m.do(registry.SignOut{Issuer: issuer, Subject: "sub-dan@clinic.example", SID: "sid-z"})
	m.revoked(map[string]bool{"y": false, "of-dan": true}) // of which it is not known
	m.do(registry.SignOut{Issuer: "https://other.example", Subject: "sub-dan@clinic.example"})
	m.revoked(map[string]bool{"y": false})
	if err := m.enrols("dans", "one"); err != nil {
		t.Errorf("what they made: %v", err)
	}
}

// A renewed word of the provider's about one session takes its clear word about the person not back.
func TestRenewalLiftsNothing_A18(t *testing.T) {
	m := staff(t, map[string]string{"dan": "device-admin"})
	m.may(adminOf("dan"), ward("dans"))
	m.do(provider("dan@clinic.example"))
	who := person("dan@clinic.example", "Nurses")
	who.Heard = m.now.Add(time.Second)
	m.do(registry.Renew{Who: who})
	m.refused(newMachine().enrol("dans", "ghost"), registry.ErrToken)
}

// The links that a leaver gave do not set up somebody of their choosing.
func TestLinksOfALeaverRest_A14_A18(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner"})
	m.may(adminOf("olga"), registry.AddLocal{Login: "ada@clinic.example", Subject: "ada", Link: registry.HashSecret("link"), Life: day})
	set := byPassword("link")
	m.do(provider("olga@clinic.example"))
	m.restored()
	m.refused(set, registry.ErrNotFound)
	m.now = m.now.Add(time.Minute)
	m.do(m.again("olga@clinic.example", m.now))
	m.do(set)
}

// The provider's word about the last owner takes no role: they come back if it lets
// them, and whoever is root at the coordinator operates meanwhile.
func TestProviderLocksNoMeshOut_A04(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner"})
	m.do(provider("olga@clinic.example"))
	if m.state.Ownerless() || !slices.Equal(m.roles("olga"), []string{"owner"}) {
		t.Errorf("olga has the roles %v", m.roles("olga"))
	}
	m.do(ward("by-root"))
	m.now = m.now.Add(time.Minute)
	m.do(m.again("olga@clinic.example", m.now))
}

// But that it stands by no owner is known, since when, and until one comes back.
func TestProviderStandsByNoOwner_A04_A18(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "oren": "owner", "omar": "owner"})
	adrift := func(want time.Time) {
		t.Helper()
		if got := m.state.Adrift(); !got.Equal(want) {
			t.Errorf("adrift since %v, want %v", got, want)
		}
	}
	m.do(registry.DisableUser{User: "omar@clinic.example"})
	m.do(provider("olga@clinic.example"))
	adrift(time.Time{})
	m.now = m.now.Add(time.Minute)
	last := m.now
	m.do(provider("oren@clinic.example"))
	adrift(last)
	m.restored()
	adrift(last)
	m.now = m.now.Add(time.Minute)
	m.do(m.again("olga@clinic.example", m.now))
	adrift(time.Time{})
}

// So does the directory whose record of them was not known to be theirs, as soon as the
// provider says so.
func TestLastOwnerIsFoundToBeShutOut_A04_A18(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner"})
	r := record("r-olga", "ext-olga", "o.of@clinic.example")
	r.By, r.Active = registry.Matching{Claim: true}, new(bool)
	m.do(r)
	who := person("olga@clinic.example")
	who.External = "ext-olga"
	if r := m.do(registry.Renew{Who: who}); len(r.Warnings) != 1 || !m.state.Ownerless() {
		t.Errorf("warnings %q", r.Warnings)
	}
	m.revoked(map[string]bool{"of-olga": true})
}

// A directory shuts out also the last owner, and that is told: root at the coordinator
// makes another.
func TestDirectoryShutsOutTheLastOwner_A04_A18(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "oren": "owner"})
	for _, name := range []string{"olga", "oren"} {
		m.do(record("r-"+name, "sub-"+name+"@clinic.example", name+"@clinic.example"))
	}
	if r := m.do(active("r-olga", false)); len(r.Warnings) > 0 || m.state.Ownerless() {
		t.Errorf("one of two: %v", r.Warnings)
	}
	r := m.do(active("r-oren", false))
	if len(r.Warnings) != 1 || !m.state.Ownerless() || !m.user("oren@clinic.example").ShutOut() {
		t.Errorf("the last: warnings %q", r.Warnings)
	}
	if !slices.ContainsFunc(m.last.Records, func(r audit.Draft) bool { return r.Action == "owner.none" }) {
		t.Error("the audit has no word of it")
	}
	m.revoked(map[string]bool{"of-oren": true})
	m.do(registry.EnableUser{User: "oren@clinic.example"})
	if m.state.Ownerless() {
		t.Error("who was let in again is no owner")
	}
}
