package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const day = 24 * time.Hour

// add adds a person of the coordinator's own, whose link's secret is "link-LOGIN".
func (m *mesh) add(login string, groups ...string) *registry.User {
	m.t.Helper()
	return m.do(registry.AddLocal{Subject: "subject-" + login, Login: login, Name: "Dr. A", Groups: groups, Link: registry.HashSecret("link-" + login), Life: day}).User
}

func byPassword(link string) registry.SetUpLocal {
	return registry.SetUpLocal{Link: registry.HashSecret(link), Password: []byte("sealed hash"), TOTP: []byte("sealed secret"), Step: 100, From: "192.0.2.1"}
}

func byPasskey(link, id string) registry.SetUpLocal {
	return registry.SetUpLocal{Link: registry.HashSecret(link), Passkey: &registry.Passkey{ID: []byte(id), Key: []byte("key"), Count: 7}}
}

// A person of the coordinator's own is one like others: the same id, groups, sessions.
func TestLocalPersonSignsInLikeOthers(t *testing.T) {
	m := begin(t)
	u := m.add("Ana@clinic.example", "Doctors")
	if u.Issuer != registry.LocalIssuer || u.Login != "ana@clinic.example" || u.Groups[0] != "local:Doctors" {
		t.Fatalf("added %+v", u)
	}
	m.do(byPassword("link-Ana@clinic.example"))
	_, n := m.join("laptop", registry.CreateToken{})
	who, ok := m.state.LocalIdentity(u.ID, m.now, []string{"mfa", "otp", "pwd"})
	if !ok {
		t.Fatal("no identity")
	}
	before := m.state
	if s := m.signIn("s1", n, who); s.User != u.ID || len(s.Logins[0].AMR) != 3 {
		t.Errorf("the session is %+v", s)
	}
	if now, _ := m.state.User(u.ID); now.Name != "Dr. A" || m.state.Revision != before.Revision+1 {
		t.Error("a sign-in changed who the person is")
	}
	m.do(registry.GroupLocal{User: u.Login, Groups: []string{"Nurses"}})
	if now, _ := m.state.User(u.ID); len(now.Groups) != 1 || now.Groups[0] != "local:Nurses" {
		t.Errorf("groups are %v", now.Groups)
	}
	m.refused(registry.GroupLocal{User: u.Login, Groups: []string{"a\x1b"}}, registry.ErrInvalid)
	m.refused(registry.GroupLocal{User: "nobody@clinic.example"}, registry.ErrNotFound)
}

// A login stays whose it is, whoever vouches: neither side takes the other's.
func TestLocalLoginIsNobodyElses_A15(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{Tags: []string{"tag:kiosk"}})
	m.signIn("s1", n, person("eve@clinic.example"))
	m.add("ana@clinic.example")
	for _, login := range []string{"eve@clinic.example", "EVE@clinic.example", "ana@clinic.example"} {
		m.refused(registry.AddLocal{Subject: "another", Login: login, Link: registry.HashSecret("x"), Life: day}, registry.ErrExists)
	}
	m.refused(registry.AddLocal{Subject: "subject-ana@clinic.example", Login: "bob@clinic.example", Link: registry.HashSecret("x"), Life: day}, registry.ErrExists)
	m.refused(registry.BeginSession{ID: "s2", Node: n.ID, Who: person("ana@clinic.example"), Life: shift}, registry.ErrUser)
	m.refused(registry.ResetLocal{User: "eve@clinic.example", Link: registry.HashSecret("x"), Life: day}, registry.ErrInvalid)
	m.do(registry.DisableUser{User: "gone@clinic.example"})
	m.refused(registry.AddLocal{Subject: "gone", Login: "gone@clinic.example", Link: registry.HashSecret("x"), Life: day}, registry.ErrExists)
	for _, c := range []registry.AddLocal{
		{Subject: "s", Login: "b@c.example", Link: registry.HashSecret("x")},
		{Subject: "s", Login: "b@c.example", Link: registry.HashSecret("x"), Life: 8 * day},
		{Subject: "s", Login: "b@c.example", Life: day},
		{Subject: "s", Login: "b@c.example", Link: registry.HashSecret("link-ana@clinic.example"), Life: day},
		{Subject: "", Login: "b@c.example", Link: registry.HashSecret("x"), Life: day},
		{Subject: "s", Login: "b", Link: registry.HashSecret("x"), Life: day},
	} {
		m.refused(c, registry.ErrInvalid)
	}
}

func TestLinkIsSpentOnce_A13(t *testing.T) {
	m := begin(t)
	u := m.add("ana@clinic.example")
	m.refused(byPassword("another"), registry.ErrNotFound)
	for _, bad := range []registry.SetUpLocal{
		{Password: []byte("x")}, {TOTP: []byte("x")}, {Password: make([]byte, 2000), TOTP: []byte("x")},
		{Passkey: &registry.Passkey{ID: []byte("x")}}, {Passkey: &registry.Passkey{Key: []byte("x")}},
		{Passkey: &registry.Passkey{ID: []byte("x"), Key: []byte("y")}, Password: []byte("z")},
	} {
		bad.Link = registry.HashSecret("link-ana@clinic.example")
		m.refused(bad, registry.ErrInvalid)
	}
	m.do(byPassword("link-ana@clinic.example"))
	m.refused(byPassword("link-ana@clinic.example"), registry.ErrNotFound)
	l, _ := m.state.Local(u.ID)
	if l.Link != nil || !isSetUp(l) || l.Step != 100 {
		t.Errorf("set up: %+v", l)
	}
	if records := m.lastRecords(); strings.Contains(records, "sealed") {
		t.Errorf("the audit says %s", records)
	}
}

func (m *mesh) lastRecords() string {
	var all strings.Builder
	for _, r := range m.last.Records {
		all.WriteString(r.Action + " " + r.Object + " " + r.Detail + "\n")
	}
	return all.String()
}

func TestLinkEndsByTimeAndWithThePerson_A14_A18(t *testing.T) {
	m := begin(t)
	u := m.add("ana@clinic.example")
	m.now = noon.Add(day)
	m.refused(byPassword("link-ana@clinic.example"), registry.ErrNotFound)
	m.now = noon.Add(day - time.Second)
	m.do(registry.DisableUser{User: u.Login})
	m.refused(byPassword("link-ana@clinic.example"), registry.ErrNotFound)
	m.refused(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("x"), Life: day}, registry.ErrUser)
	m.do(registry.EnableUser{User: u.Login})
	m.do(registry.ForgetUser{User: u.Login})
	m.refused(byPassword("link-ana@clinic.example"), registry.ErrNotFound)
	if _, still := m.state.Local(u.ID); still {
		t.Error("what a forgotten person proved themselves by is still there")
	}
}

// Who may add people becomes nobody by it whom others wait for: only an operator at the
// coordinator gives a login that machines have.
func TestTokenLendsNobodyARight_A04_A15(t *testing.T) {
	m := begin(t)
	m.do(admin("desk", 24*time.Hour, "read", "users"))
	_, n := m.join("laptop", registry.CreateToken{User: "chief@clinic.example"})
	m.token("t-soon", registry.CreateToken{User: "soon@clinic.example"})
	by := registry.TokenActor("desk")
	if err := m.as(by, registry.AddLocal{Subject: "s0", Login: "eve@clinic.example", Groups: []string{"Cooks"}, Link: registry.HashSecret("l0"), Life: day}); err != nil {
		t.Fatalf("somebody new: %v", err)
	}
	for name, c := range map[string]registry.Command{
		"the owner of a machine": registry.AddLocal{Subject: "s", Login: n.User, Link: registry.HashSecret("l"), Life: day},
		"whom a token is for":    registry.AddLocal{Subject: "s", Login: "Soon@clinic.example", Link: registry.HashSecret("l"), Life: day},
	} {
		if err := m.as(by, c); !errors.Is(err, registry.ErrUser) || !strings.Contains(m.lastRecords(), "local.lend") {
			t.Errorf("a token gives %s: %v, audit %q", name, err, m.lastRecords())
		}
	}
	m.do(registry.AddLocal{Subject: "s", Login: n.User, Groups: []string{"Doctors"}, Link: registry.HashSecret("l"), Life: day})
}

// A link does not come back with the person, nor with a backup in which it is open still.
func TestLinkIsVoidForGood_A13_A18(t *testing.T) {
	for name, end := range map[string]func(*mesh){
		"the person was disabled and enabled": func(m *mesh) {
			m.do(registry.DisableUser{User: "ana@clinic.example"})
			m.do(registry.EnableUser{User: "ana@clinic.example"})
		},
		"a backup was restored": func(m *mesh) { m.do(registry.BeginIncarnation{Reason: "restored"}) },
	} {
		m := begin(t)
		m.add("ana@clinic.example")
		end(m)
		if _, err := m.try(byPassword("link-ana@clinic.example")); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("after %s the link works: %v", name, err)
		}
	}
}

// A factor's reset voids all and ends sessions; a link for one thing more does not.
func TestResetVoidsEverything_A22(t *testing.T) {
	m := begin(t)
	u := m.add("ana@clinic.example")
	m.do(byPassword("link-ana@clinic.example"))
	_, n := m.join("laptop", registry.CreateToken{})
	who, _ := m.state.LocalIdentity(u.ID, m.now, nil)
	m.signIn("s1", n, who)
	m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("more"), Life: day, Keep: true})
	m.do(byPasskey("more", "k1"))
	if l, _ := m.state.Local(u.ID); len(l.Password) == 0 || len(l.Passkeys) != 1 || len(m.state.SessionsAt(n.ID)) != 1 {
		t.Fatalf("a link for more: %+v", l)
	}
	m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("again"), Life: day, Keep: true})
	m.refused(byPasskey("again", "k1"), registry.ErrExists)
	r := m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("anew"), Life: day})
	if l, _ := m.state.Local(u.ID); isSetUp(l) || l.TOTP != nil || r.Ended != 1 || len(m.state.SessionsAt(n.ID)) != 0 {
		t.Errorf("after a reset %+v, %d ended", l, r.Ended)
	}
	m.refused(byPasskey("again", "k2"), registry.ErrNotFound)
	if l, _ := m.state.Local(u.ID); l.Step != 100 {
		t.Error("a reset forgets which codes counted: one of an old secret could, again")
	}
	m.do(byPasskey("anew", "k0"))
	for _, id := range []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7"} {
		m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret(id), Life: day, Keep: true})
		m.do(byPasskey(id, id))
	}
	m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("k8"), Life: day, Keep: true})
	m.refused(byPasskey("k8", "k8"), registry.ErrInvalid)
}

func TestProofCountsOnce_A22(t *testing.T) {
	m := begin(t)
	u := m.add("ana@clinic.example")
	m.refused(registry.ProveLocal{User: u.ID, Step: 101}, registry.ErrReplayed)
	m.do(byPassword("link-ana@clinic.example"))
	m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("more"), Life: day, Keep: true})
	m.do(byPasskey("more", "k1"))
	m.refused(registry.ProveLocal{User: u.ID, Generation: 1, Step: 100}, registry.ErrReplayed)
	if !strings.Contains(m.lastRecords(), "local.replay "+u.ID) {
		t.Errorf("a replay is not in the audit: %s", m.lastRecords())
	}
	m.do(registry.ProveLocal{User: u.ID, Generation: 1, Step: 101})
	m.refused(registry.ProveLocal{User: u.ID, Generation: 1, Step: 101}, registry.ErrReplayed)
	m.do(registry.ProveLocal{User: u.ID, Generation: 1, Passkey: []byte("k1"), Count: 8})
	for _, count := range []uint32{8, 7, 0} { // a copy of the passkey is behind
		m.refused(registry.ProveLocal{User: u.ID, Generation: 1, Passkey: []byte("k1"), Count: count}, registry.ErrReplayed)
	}
	m.refused(registry.ProveLocal{User: u.ID, Generation: 1, Passkey: []byte("k2"), Count: 8}, registry.ErrNotFound)
	m.refused(registry.ProveLocal{User: "u-nobody", Step: 102}, registry.ErrNotFound)
}

// What was proved before an operator took something away gives nothing of it back: not
// groups, nor a session after a reset, nor a person who was forgotten.
func TestOldProofGivesNothingBack_A18_A22(t *testing.T) {
	m := begin(t)
	u := m.add("ana@clinic.example", "Doctors")
	m.do(byPassword("link-ana@clinic.example"))
	_, n := m.join("kiosk", registry.CreateToken{Tags: []string{"tag:kiosk"}})
	who, _ := m.state.LocalIdentity(u.ID, m.now, nil)
	m.do(registry.GroupLocal{User: u.Login})
	m.signIn("s1", n, who)
	if now, _ := m.state.User(u.ID); len(now.Groups) != 0 {
		t.Errorf("groups that were taken are back: %v", now.Groups)
	}
	begins := registry.BeginSession{ID: "s2", Node: n.ID, Who: who, Life: shift}
	m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("anew"), Life: day})
	m.refused(begins, registry.ErrUser)
	begins.Who, _ = m.state.LocalIdentity(u.ID, m.now, nil)
	m.do(registry.DisableUser{User: u.Login})
	m.refused(begins, registry.ErrUser)
	m.do(registry.EnableUser{User: u.Login})
	m.do(registry.ForgetUser{User: u.Login})
	m.refused(begins, registry.ErrUser)
	m.add("ana@clinic.example") // whom nobody holds the place of
}

// What was judged against a password that is no more does not count, and puts no hash of
// it in the place of the new one.
func TestProofOfAnOldPasswordIsStale_A22(t *testing.T) {
	for name, keep := range map[string]bool{"a reset": false, "a new password": true} {
		m := begin(t)
		u := m.add("ana@clinic.example")
		m.do(byPassword("link-ana@clinic.example"))
		before, _ := m.state.Local(u.ID)
		m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("anew"), Life: day, Keep: keep})
		fresh := byPassword("anew")
		fresh.Password = []byte("sealed anew")
		m.do(fresh)
		m.refused(registry.ProveLocal{User: u.ID, Generation: before.Generation, Step: 101, Password: []byte("the old one, hashed anew")}, registry.ErrStale)
		now, _ := m.state.Local(u.ID)
		if string(now.Password) != "sealed anew" {
			t.Errorf("after %s the password is %q", name, now.Password)
		}
		m.do(registry.ProveLocal{User: u.ID, Generation: now.Generation, Step: 101})
	}
}

// Where a person proved themselves is kept, of the latest places, and not by each proof.
func TestPlacesOfProofsAreKept(t *testing.T) {
	m := begin(t)
	u := m.add("ana@clinic.example")
	link := byPasskey("link-ana@clinic.example", "k1")
	link.Passkey.Count = 0
	m.do(link)
	proof := registry.ProveLocal{User: u.ID, Passkey: []byte("k1"), Node: "n-0"}
	if m.do(proof); !m.do(registry.ProveLocal{User: u.ID, Passkey: []byte("k1"), Node: "n-1"}).Changed || m.do(proof).Changed {
		t.Error("a new place is not kept, or an old one is written again")
	}
	m.now = m.now.Add(2 * day)
	m.do(proof)
	for i := range 40 {
		m.do(registry.ProveLocal{User: u.ID, Passkey: []byte("k1"), Node: fmt.Sprint("m-", i)})
	}
	l, _ := m.state.Local(u.ID)
	if len(l.Places) != 32 || !l.ProvedAt("m-39", "", m.now.Add(-day)) || l.ProvedAt("m-39", "", m.now) || l.ProvedAt("m-0", "", noon) {
		t.Errorf("places are %v", l.Places)
	}
}

// A checkpoint and a journal give local people back as they were.
func TestLocalPeopleAreKept(t *testing.T) {
	m := begin(t)
	u := m.add("ana@clinic.example")
	m.add("bob@clinic.example")
	entries := m.last.Entries
	m.do(byPasskey("link-ana@clinic.example", "k1"))
	entries = append(entries, m.last.Entries...)
	m.do(registry.ProveLocal{User: u.ID, Passkey: []byte("k1"), Count: 9, Node: "n-1"})
	entries = append(entries, m.last.Entries...)
	for _, e := range entries {
		b, err := registry.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := registry.DecodeEntry(e.Revision, b)
		if err != nil {
			t.Fatal(err)
		}
		if b2, _ := registry.EncodeEntry(again); !bytes.Equal(b, b2) {
			t.Errorf("%s became %s", b, b2)
		}
	}
	text := m.encoded()
	s, err := registry.DecodeState([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	l, _ := s.Local(u.ID)
	if k, ok := l.Passkey([]byte("k1")); !ok || k.Count != 9 || !l.ProvedAt("n-1", "", noon.Add(-day)) {
		t.Errorf("the passkey is %+v", k)
	}
	if _, ok := s.LocalByLink(registry.HashSecret("link-bob@clinic.example"), m.now); !ok {
		t.Error("an open link is forgotten")
	}
	for from, to := range map[string]string{`"locals":[{"user":"`: `"locals":[{"user":"x`, `"issuer":"cordon:local"`: `"issuer":"https://id"`, `"locals":[`: `"locals":[null,`} {
		if _, err := registry.DecodeState([]byte(strings.Replace(text, from, to, 1))); err == nil || !strings.Contains(text, from) {
			t.Errorf("a checkpoint with %s is taken", to)
		}
	}
}

// isSetUp tells whether the person can prove who they are.
func isSetUp(l *registry.Local) bool { return len(l.Password) > 0 || len(l.Passkeys) > 0 }
