package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
)

// scopesOfRole is what roles allow in these tests.
func scopesOfRole(role string) []string {
	return map[string][]string{
		"owner": {"read", "nodes", "tokens", "users", "policy", "audit", "roles"}, "policy-admin": {"read", "policy", "audit"},
		"device-admin": {"read", "nodes", "tokens", "users"}, "auditor": {"read", "audit"},
	}[role]
}

// staff is a mesh whose people have roles: each by a machine at which they signed
// in, and with an admin session of their own.
func staff(t tester, roles map[string]string) *mesh {
	t.Helper()
	m := begin(t)
	m.decider.RoleScopes = scopesOfRole
	for login, role := range roles {
		login += "@clinic.example"
		_, n := m.join("laptop", registry.CreateToken{User: login})
		m.signIn(fmt.Sprint("s", m.state.Revision), n, person(login))
		if role != "" {
			m.do(registry.GrantRole{User: login, Role: role})
			m.do(session(login))
		}
	}
	return m
}

func session(login string) registry.BeginAdmin {
	name, _, _ := strings.Cut(login, "@")
	return registry.BeginAdmin{ID: "of-" + name, Secret: registry.HashSecret(login), Who: person(login), Life: 8 * time.Hour}
}

func adminOf(name string) registry.Actor {
	return registry.AdminActor(name+"@clinic.example", "of-"+name)
}

// needs is a command as the edge sends it, for a route that asks for a scope.
func needs(scope string, c registry.Command) registry.Command {
	return registry.Authorised{Scopes: []string{scope}, Command: c}
}

func (m *mesh) mayNot(actor registry.Actor, c registry.Command, want error) {
	m.t.Helper()
	before := m.state
	if err := m.as(actor, c); !errors.Is(err, want) || m.state != before {
		m.t.Fatalf("%s: %+v gives %v, want %v", actor, c, err, want)
	}
}

func (m *mesh) may(actor registry.Actor, c registry.Command) {
	m.t.Helper()
	if err := m.as(actor, c); err != nil {
		m.t.Fatalf("%s: %+v: %v", actor, c, err)
	}
}

func (m *mesh) roles(name string) []string {
	u, _ := m.state.UserByLogin(name + "@clinic.example")
	return m.state.RolesOf(u.ID)
}

func TestRoleIsGivenAndTakenInTheAudit(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "ana": ""})
	m.may(adminOf("olga"), needs("roles", registry.GrantRole{User: "ANA@clinic.example", Role: "auditor"}))
	if r := m.last.Records; len(r) != 1 || r[0].Action != "role.grant" || r[0].Actor != string(adminOf("olga")) || !strings.Contains(r[0].Detail, "may [audit read]") {
		t.Errorf("the audit says %+v", r)
	}
	m.do(registry.GrantRole{User: "ana@clinic.example", Role: "auditor"})
	if m.last.Result.Changed || !slices.Equal(m.roles("ana"), []string{"auditor"}) {
		t.Errorf("a role given twice: %v, %+v", m.roles("ana"), m.last.Entries)
	}
	m.do(registry.GrantRole{User: "ana@clinic.example", Role: "device-admin"})
	if again, err := registry.DecodeState([]byte(m.encoded())); err != nil || !slices.Equal(again.RolesOf(m.last.Result.User.ID), []string{"auditor", "device-admin"}) {
		t.Errorf("read back: %v", err)
	}
	m.do(registry.RevokeRole{User: "ana@clinic.example", Role: "auditor"})
	if r := m.last.Records; len(r) != 1 || r[0].Action != "role.revoke" || !strings.Contains(r[0].Detail, "has the roles [device-admin]") {
		t.Errorf("the audit says %+v", r)
	}
	m.refused(registry.GrantRole{User: "ana@clinic.example", Role: "root"}, registry.ErrInvalid)
	m.refused(registry.GrantRole{User: "nobody@clinic.example", Role: "auditor"}, registry.ErrNotFound)
	m.do(registry.DisableUser{User: "never@clinic.example"})
	m.refused(registry.GrantRole{User: "never@clinic.example", Role: "auditor"}, registry.ErrUser)
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	m.refused(registry.GrantRole{User: "ana@clinic.example", Role: "auditor"}, registry.ErrUser)
}

// A15: a role is a person's, and not whoever's who has their login.
func TestRoleGoesWithThePersonNotTheLogin_A15(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "ana": "policy-admin"})
	m.do(registry.ForgetUser{User: "ana@clinic.example"})
	if r := m.last.Records; !strings.Contains(r[len(r)-1].Detail, "roles [policy-admin]") {
		t.Errorf("the audit says %+v", r)
	}
	heir := session("ana@clinic.example")
	heir.ID, heir.Secret = "heir", registry.HashSecret("heir")
	m.refused(heir, registry.ErrForbidden)
	heir.Who.Subject = "another"
	m.refused(heir, registry.ErrForbidden)
}

// A04: neither for oneself nor for others, by roles, by tokens, by a session.
func TestNobodyGivesWhatTheyLack_A04(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "dan": "device-admin", "paul": "policy-admin", "ana": ""})
	m.do(admin("half", time.Hour, "roles", "read", "audit"))
	half := registry.TokenActor("half")
	m.mayNot(half, needs("roles", registry.GrantRole{User: "ana@clinic.example", Role: "owner"}), registry.ErrForbidden)
	if r := m.last.Records; len(r) != 1 || r[0].Action != "role.grant.refuse" {
		t.Errorf("the audit says %+v", r)
	}
	m.mayNot(half, needs("roles", registry.RevokeRole{User: "paul@clinic.example", Role: "policy-admin"}), registry.ErrForbidden)
	m.mayNot(half, needs("roles", registry.GrantRole{User: "ana@clinic.example", Role: "auditor"}), registry.ErrForbidden)
	m.may(half, needs("roles", registry.RevokeRole{User: "ana@clinic.example", Role: "auditor"}))
	m.mayNot(half, needs("tokens", admin("x", time.Minute, "read")), registry.ErrForbidden)

	more := registry.CreateToken{ID: "more", Secret: registry.HashSecret("more"), Kind: registry.AdminToken, Role: "auditor", Lifetime: time.Minute}
	m.mayNot(adminOf("dan"), needs("tokens", more), registry.ErrToken)
	m.mayNot(adminOf("dan"), needs("tokens", admin("more", time.Minute, "read", "policy")), registry.ErrToken)
	m.mayNot(adminOf("dan"), needs("tokens", admin("more", 9*time.Hour, "read")), registry.ErrToken)
	m.mayNot(adminOf("dan"), needs("roles", registry.GrantRole{User: "dan@clinic.example", Role: "owner"}), registry.ErrForbidden)
	m.mayNot(adminOf("paul"), needs("tokens", admin("more", time.Minute, "read")), registry.ErrForbidden)
	more.Role = "device-admin"
	m.may(adminOf("dan"), needs("tokens", more))
	more.ID, more.Scopes = "both", []string{"read"}
	m.refused(more, registry.ErrInvalid)
}

// A04: who may shut people out, or revoke tokens, does not rise above others by it.
func TestNobodyShutsOutWhoMayMore_A04(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "otto": "owner", "dan": "device-admin", "paul": "policy-admin", "ana": ""})
	m.do(admin("audits", time.Hour, "audit"))
	by := adminOf("dan")
	for _, c := range []registry.Command{
		registry.DisableUser{User: "olga@clinic.example"}, registry.ForgetUser{User: "paul@clinic.example"},
		registry.RevokeToken{ID: "of-olga"}, registry.RevokeToken{ID: "audits"},
	} {
		m.mayNot(by, c, registry.ErrForbidden)
	}
	m.may(by, registry.DisableUser{User: "ana@clinic.example"})
	m.may(by, registry.EnableUser{User: "ana@clinic.example"})
	m.do(registry.DisableUser{User: "otto@clinic.example"})
	m.mayNot(by, registry.EnableUser{User: "otto@clinic.example"}, registry.ErrForbidden)
	m.may(by, registry.RevokeToken{ID: "of-dan"})
}

func TestLastOwnerStays(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "otto": "owner"})
	m.do(registry.DisableUser{User: "otto@clinic.example"})
	away := []registry.Command{
		registry.RevokeRole{User: "olga@clinic.example", Role: "owner"}, registry.DisableUser{User: "olga@clinic.example"}, registry.ForgetUser{User: "olga@clinic.example"},
	}
	sure := []registry.Command{
		registry.RevokeRole{User: "olga@clinic.example", Role: "owner", LastOwner: true}, registry.DisableUser{User: "olga@clinic.example", LastOwner: true},
		registry.ForgetUser{User: "olga@clinic.example", LastOwner: true},
	}
	for i := range away {
		m.mayNot(ana, away[i], registry.ErrLastOwner) // an operator, who did not say that it is meant
		m.mayNot(registry.System, away[i], registry.ErrLastOwner)
		m.mayNot(adminOf("olga"), sure[i], registry.ErrLastOwner)
	}
	whole := m.state
	for _, c := range sure {
		if m.do(c); len(m.state.Holders("owner")) == 2 && len(m.last.Entries) == 0 {
			t.Errorf("%+v changes nothing", c)
		}
		m.state = whole
	}
	m.do(registry.EnableUser{User: "otto@clinic.example"})
	for _, c := range away {
		before := m.state
		m.do(c)
		m.state = before
	}
}

// What a session may is what the person may now, not what they could when it began.
func TestAdminSessionIsWorthTheRolesOfNow_A04_A11(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "paul": "policy-admin", "ana": "auditor"})
	set := needs("policy", registry.SetPolicy{Text: `{"grants": []}`})
	m.mayNot(adminOf("ana"), set, registry.ErrForbidden)
	m.may(adminOf("paul"), set)
	m.do(registry.GrantRole{User: "ana@clinic.example", Role: "policy-admin"})
	m.may(adminOf("ana"), needs("policy", registry.SetPolicy{Text: `{"grants": [ ]}`}))
	if r := m.last.Records; r[0].Actor != "admin:ana@clinic.example/of-ana" {
		t.Errorf("the audit says %+v", r)
	}
	m.do(registry.RevokeRole{User: "paul@clinic.example", Role: "policy-admin"})
	m.mayNot(adminOf("paul"), set, registry.ErrForbidden)
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	m.mayNot(adminOf("ana"), set, registry.ErrToken)
	m.do(registry.EnableUser{User: "ana@clinic.example"})
	m.mayNot(adminOf("ana"), set, registry.ErrToken)
	m.now = m.now.Add(8 * time.Hour)
	m.mayNot(adminOf("olga"), set, registry.ErrToken)
}

func TestAdminSessionIsOfWhoeverHasARole(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "ana": ""})
	m.refused(session("ana@clinic.example"), registry.ErrForbidden)
	if r := m.last.Records; len(r) != 1 || r[0].Action != "admin.begin.refuse" {
		t.Errorf("the audit says %+v", r)
	}
	c := session("olga@clinic.example")
	m.refused(c, registry.ErrExists)
	c.ID, c.Secret = "second", registry.HashSecret("second")
	for _, life := range []time.Duration{0, -1, registry.MaxAdminLife + 1} {
		long := c
		long.Life = life
		m.refused(long, registry.ErrInvalid)
	}
	m.do(registry.GrantRole{User: "ana@clinic.example", Role: "owner"})
	m.do(registry.DisableUser{User: "olga@clinic.example"})
	m.refused(c, registry.ErrUser)
}

// A14, A18: who is dismissed leaves no way back: neither a token that they made, nor one
// that was made with that, however long the chain.
func TestTokensGoWithTheirMakersRights_A14_A18(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "dan": "device-admin"})
	m.may(adminOf("dan"), admin("child", time.Hour, "read", "nodes", "tokens"))
	m.may(registry.TokenActor("child"), admin("grandchild", time.Hour, "nodes"))
	m.may(registry.TokenActor("child"), admin("harmless", time.Hour, "read"))
	m.may(registry.TokenActor("child"), registry.CreateToken{ID: "join", Secret: registry.HashSecret("join"), Kind: registry.EnrolToken, Tags: []string{"tag:ehr"}})
	m.may(adminOf("olga"), admin("olgas", time.Hour, "nodes"))
	m.do(registry.GrantRole{User: "dan@clinic.example", Role: "auditor"})
	if r := m.do(registry.RevokeRole{User: "dan@clinic.example", Role: "device-admin"}); r.Revoked != 3 {
		t.Errorf("%d tokens are revoked", r.Revoked)
	}
	m.revoked(map[string]bool{"child": true, "grandchild": true, "join": true, "harmless": false, "olgas": false, "of-dan": false})
	m.do(registry.DisableUser{User: "dan@clinic.example"})
	m.revoked(map[string]bool{"harmless": true, "olgas": false, "of-dan": true})
}

// A04: who may give links may give none by which they would become somebody who may
// more; and whoever is set up anew has nothing left that a thief made as them.
func TestLinksAreGivenToWhoMayNoMore_A04_A22(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner"})
	u := m.add("ada@clinic.example", "Doctors")
	m.do(byPassword("link-ada@clinic.example"))
	_, n := m.join("hers", registry.CreateToken{User: u.Login})
	who, _ := m.state.LocalIdentity(u.ID, m.now, nil)
	m.signIn("s-ada", n, who)
	m.do(registry.GrantRole{User: u.Login, Role: "device-admin"})
	m.do(registry.BeginAdmin{ID: "of-ada", Secret: registry.HashSecret("of-ada"), Who: who, Life: time.Hour})
	m.may(adminOf("ada"), registry.CreateToken{ID: "hers", Secret: registry.HashSecret("hers"), Kind: registry.EnrolToken, Tags: []string{"tag:ehr"}})
	m.do(admin("people", time.Hour, "read", "people"))
	for _, c := range []registry.Command{
		registry.ResetLocal{User: u.Login, Link: registry.HashSecret("more"), Life: day, Keep: true},
		registry.ResetLocal{User: u.Login, Link: registry.HashSecret("anew"), Life: day},
		registry.GroupLocal{User: u.Login, Groups: []string{"Porters"}},
	} {
		m.mayNot(registry.TokenActor("people"), c, registry.ErrForbidden)
	}
	m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("anew"), Life: day})
	m.revoked(map[string]bool{"of-ada": true, "hers": true, "of-olga": false})
	m.do(registry.RevokeRole{User: u.Login, Role: "device-admin"})
	m.may(registry.TokenActor("people"), registry.ResetLocal{User: u.Login, Link: registry.HashSecret("again"), Life: day})
}

// A04: what a stolen token gave away in its hour ends with it, and roles it gives none.
func TestStolenTokenLeavesNothing_A04_A14(t *testing.T) {
	m := staff(t, map[string]string{"ana": ""})
	m.do(admin("stolen", time.Hour, scopesOfRole("owner")...))
	by := registry.TokenActor("stolen")
	m.mayNot(by, registry.GrantRole{User: "ana@clinic.example", Role: "auditor"}, registry.ErrForbidden)
	m.may(by, admin("copy", time.Hour, "read", "tokens"))
	m.may(registry.TokenActor("copy"), registry.CreateToken{ID: "join", Secret: registry.HashSecret("join"), Kind: registry.EnrolToken, Tags: []string{"tag:ehr"}})
	m.do(admin("another", time.Hour, "read"))
	if r := m.do(registry.RevokeToken{ID: "stolen"}); r.Revoked != 2 {
		t.Errorf("%d tokens went with it", r.Revoked)
	}
	m.revoked(map[string]bool{"stolen": true, "copy": true, "join": true, "another": false})
}

func (m *mesh) revoked(want map[string]bool) {
	m.t.Helper()
	for id, gone := range want {
		if tok, _ := m.state.Token(id); tok.Revoked != gone {
			m.t.Fatalf("token %s is revoked: %t", id, tok.Revoked)
		}
	}
}

// A04: fifty owners take the role from each other at once, over two registries on
// one journal, as edges that have all let them in: one is left.
func TestOwnersWhoRevokeEachOther_A04(t *testing.T) {
	const owners = 50
	journal := storetest.NewMemory()
	config := registry.Config{RoleScopes: scopesOfRole, Clock: func() time.Time { return noon }}
	one, _ := serve(t, journal, config)
	initialise(t, one)
	do(t, one, registry.CreateToken{ID: "join", Secret: registry.HashSecret("join"), Kind: registry.EnrolToken, Tags: []string{"tag:desk"}})
	n := do(t, one, newMachine().enrol("join", "desk")).Node
	login := func(i int) string { return fmt.Sprintf("o%d@clinic.example", i) }
	for i := range owners {
		do(t, one, registry.BeginSession{ID: fmt.Sprint("s", i), Node: n.ID, Who: person(login(i)), Life: time.Hour})
		do(t, one, registry.GrantRole{User: login(i), Role: "owner"})
		do(t, one, session(login(i)))
	}
	two, _ := serve(t, journal, config)
	var all sync.WaitGroup
	for i := range owners {
		r := []*registry.Registry{one, two}[i%2]
		all.Go(func() {
			for k := range owners {
				if k != i {
					_, err := r.Do(ctx, adminOf(fmt.Sprint("o", i)), needs("roles", registry.RevokeRole{User: login(k), Role: "owner"}))
					if err != nil && !errors.Is(err, registry.ErrForbidden) && !errors.Is(err, registry.ErrLastOwner) {
						t.Errorf("%d takes it from %d: %v", i, k, err)
					}
				}
			}
		})
	}
	all.Wait()
	last, err := registry.New(ctx, journal, config)
	if err != nil {
		t.Fatal(err)
	}
	if left := last.Snapshot().Holders("owner"); len(left) != 1 {
		t.Errorf("%d owners are left", len(left))
	}
}
