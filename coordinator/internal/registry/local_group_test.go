package registry_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Nobody who administers people of the coordinator's own gives a group that a provider or
// a directory names, not even root, and however the name is written.
func TestOwnGroupsAreNoIssuers_A04_A15(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.signIn("s1", n, person("ana@clinic.example", "Doctors", "local:Nurses"))
	u := m.add("eve@clinic.example", "Doctors", "Nurses", "Doctors")
	if !slices.Equal(u.Groups, []string{"local:Doctors", "local:Nurses"}) {
		t.Errorf("groups of the coordinator's own are %v", u.Groups)
	}
	theirs, _ := m.state.UserByLogin("ana@clinic.example")
	if !slices.Equal(theirs.Groups, []string{"idp:Doctors", "idp:local:Nurses"}) {
		t.Errorf("a provider's groups are %v", theirs.Groups)
	}
	for _, group := range []string{"idp:Doctors", "local:Doctors", "scim:Doctors", "group:doctors"} {
		m.refused(registry.GroupLocal{User: u.ID, Groups: []string{group}}, registry.ErrInvalid)
		m.refused(registry.AddLocal{Subject: "s", Login: "mal@clinic.example", Groups: []string{group}, Link: registry.HashSecret("l"), Life: day}, registry.ErrInvalid)
	}
}

// What was given before such groups had a prefix goes on, through a sign-in, a checkpoint
// and a new start, until somebody says the person's groups anew.
func TestGroupsOfAnOldJournalGoOn(t *testing.T) {
	m := begin(t)
	m.add("ana@clinic.example")
	u, _ := m.state.UserByLogin("ana@clinic.example")
	b, err := json.Marshal(map[string]any{"v": 1, "kind": "user-put", "time": noon, "data": map[string]any{"user": map[string]any{
		"id": u.ID, "issuer": u.Issuer, "subject": u.Subject, "login": u.Login, "groups": []string{"idp:Doctors"}, "created": noon}}})
	if err != nil {
		t.Fatal(err)
	}
	old, err := registry.DecodeEntry(m.state.Revision+1, b)
	if err != nil {
		t.Fatal(err)
	}
	m.state = registry.Apply(m.state, old)
	_, n := m.join("laptop", registry.CreateToken{})
	who, _ := m.state.LocalIdentity(u.ID, m.now, nil)
	m.signIn("s1", n, who)
	if m.state, err = registry.DecodeState([]byte(m.encoded())); err != nil {
		t.Fatal(err)
	}
	if u, _ = m.state.User(u.ID); !slices.Equal(u.Groups, []string{"idp:Doctors"}) || !slices.Equal(m.state.OldGroups(), []string{u.Login}) {
		t.Errorf("groups are %v, and of before are those of %v", u.Groups, m.state.OldGroups())
	}
	m.do(registry.GroupLocal{User: u.ID, Groups: []string{"Doctors"}})
	if u, _ = m.state.User(u.ID); !slices.Equal(u.Groups, []string{"local:Doctors"}) || len(m.state.OldGroups()) != 0 {
		t.Errorf("said anew they are %v, and of before those of %v", u.Groups, m.state.OldGroups())
	}
}

// A18: a group that was taken from one of the coordinator's own does not come back with the
// directory's next word about them.
func TestTakenGroupStaysTaken_A18(t *testing.T) {
	m := begin(t)
	m.add("ana@clinic.example", "Doctors", "Nurses")
	r := record("r1", "x", "ana@clinic.example")
	r.By = byLogin()
	m.do(r)
	id, name := "g1", "Ward"
	m.do(registry.ProvisionGroup{ID: id, New: true, Name: &name, Add: []string{"r1"}})
	m.do(registry.GroupLocal{User: "ana@clinic.example", Groups: []string{"Nurses"}})
	want := []string{"idp:Ward", "local:Nurses"}
	if got := m.user("ana@clinic.example").Groups; !slices.Equal(got, want) {
		t.Errorf("groups are %q, want %q", got, want)
	}
	mail := "ana@mail.example"
	m.do(registry.ProvisionUser{ID: "r1", By: byLogin(), Email: &mail})
	if got := m.user("ana@clinic.example").Groups; !slices.Equal(got, want) {
		t.Errorf("after the directory's next word groups are %q, want %q", got, want)
	}
	if old := m.state.OldGroups(); len(old) > 0 {
		t.Errorf("a directory's group is taken for one of before: %q", old)
	}
	m.restored()
}
