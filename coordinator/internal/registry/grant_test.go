package registry_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// grantOf tells how somebody came to a role: by whom, and what is to be said against that.
func (m *mesh) grantOf(name, role string) string {
	u, _ := m.state.UserByLogin(name + "@clinic.example")
	g, known := m.state.GrantOf(u.ID, role)
	if !known {
		return "unknown"
	}
	return strings.TrimSpace(fmt.Sprint(g.By, " ", m.state.Doubt(g, scopesOfRole)))
}

// gives has an owner, who signs in by it, make others.
func (m *mesh) gives(by, role string, names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.may(adminOf(by), registry.GrantRole{User: name + "@clinic.example", Role: role})
		if _, has := m.state.Token("of-" + name); !has {
			m.do(session(name + "@clinic.example"))
		}
	}
}

func roles(grants []registry.Grant) (all []string) {
	for _, g := range grants {
		all = append(all, g.Role)
	}
	slices.Sort(all)
	return all
}

// Who granted a role, and when, is known as long as it is had, also from a checkpoint; of
// one from before that was kept, nobody pretends to know it.
func TestWhoGrantedARoleIsKept_A04(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "ana": "", "ben": ""})
	m.now = m.now.Add(time.Hour)
	m.gives("olga", "auditor", "ana")
	if got := m.grantOf("ana", "auditor"); got != "admin:olga@clinic.example/of-olga" {
		t.Errorf("granted by %q", got)
	}
	if got := m.grantOf("olga", "owner"); got != string(ana) {
		t.Errorf("root's grant is by %q", got)
	}
	before := m.state.SortedGrants()
	again, err := registry.DecodeState([]byte(m.encoded()))
	if err != nil || !slices.Equal(again.SortedGrants(), before) || len(before) != 2 || !slices.ContainsFunc(before, func(g registry.Grant) bool { return g.At.Equal(m.now) && g.Granter != "" }) {
		t.Errorf("read back %+v of %+v, %v", again, before, err)
	}
	bent := strings.Replace(m.encoded(), `"role":"auditor","by"`, `"role":"policy-admin","by"`, 1)
	if _, err := registry.DecodeState([]byte(bent)); err == nil || bent == m.encoded() {
		t.Errorf("a grant of a role that is not had: %v", err)
	}
	m.do(registry.RevokeRole{User: "ana@clinic.example", Role: "auditor"})
	if got := m.grantOf("ana", "auditor"); got != "unknown" {
		t.Errorf("of a role that was taken: %q", got)
	}
	u, _ := m.state.UserByLogin("ben@clinic.example")
	b, _ := json.Marshal(map[string]any{"v": 1, "kind": "role-granted", "time": noon, "data": map[string]any{"user": u.ID, "role": "auditor"}})
	old, err := registry.DecodeEntry(m.state.Revision+1, b)
	if err != nil {
		t.Fatal(err)
	}
	m.state = registry.Apply(m.state, old)
	if got := m.grantOf("ben", "auditor"); got != "unknown" || !slices.Equal(m.roles("ben"), []string{"auditor"}) {
		t.Errorf("of an old journal: %q, roles %v", got, m.roles("ben"))
	}
	m.gives("olga", "auditor", "ben")
	if got := m.grantOf("ben", "auditor"); got != "admin:olga@clinic.example/of-olga" {
		t.Errorf("granted anew: %q", got)
	}
}

// A04: what a leaver granted stays for their colleagues, is told to whoever disables them,
// and is in doubt until somebody else stands by it: not whoever has it.
func TestLeaversGrantsAreTold_A04(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "ole": "owner", "ana": "", "ben": ""})
	m.gives("olga", "owner", "ana")
	m.gives("olga", "auditor", "ben")
	m.may(adminOf("ole"), registry.DisableUser{User: "olga@clinic.example"})
	if got := roles(m.last.Result.Granted); !slices.Equal(got, []string{"auditor", "owner"}) || len(m.last.Result.Withdrawn) != 0 || len(m.roles("ana")) != 1 {
		t.Errorf("told of %v; ana has %v", got, m.roles("ana"))
	}
	if got := m.grantOf("ana", "owner"); !strings.HasSuffix(got, "is disabled") {
		t.Errorf("in doubt: %q", got)
	}
	m.may(adminOf("ana"), registry.GrantRole{User: "ana@clinic.example", Role: "owner"})
	if got := m.grantOf("ana", "owner"); !strings.HasSuffix(got, "is disabled") {
		t.Errorf("she stands by herself: %q", got)
	}
	m.may(adminOf("ole"), registry.GrantRole{User: "ana@clinic.example", Role: "owner"})
	if got := m.grantOf("ana", "owner"); got != "admin:ole@clinic.example/of-ole" || !m.last.Result.Changed {
		t.Errorf("another stands by her: %q", got)
	}
	m.do(registry.EnableUser{User: "olga@clinic.example"})
	m.do(registry.RevokeRole{User: "olga@clinic.example", Role: "owner"})
	if got := m.grantOf("ben", "auditor"); !strings.HasSuffix(got, "has not that right any more") || !slices.Equal(roles(m.last.Result.Granted), []string{"auditor"}) {
		t.Errorf("of who is owner no more: %q, told %v", got, m.last.Result.Granted)
	}
	m.do(registry.ForgetUser{User: "olga@clinic.example"})
	if got := m.grantOf("ben", "auditor"); !strings.HasSuffix(got, "was forgotten") {
		t.Errorf("of who was forgotten: %q", got)
	}
}

// A04: of a stolen account all goes that a thief granted by it, and that those granted in
// turn, with their tokens; not what others granted, nor the role of whoever cleans up.
func TestThiefsGrantsGo_A04(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "ole": "owner", "mal": "", "eve": "", "ben": "", "dee": "device-admin"})
	m.gives("olga", "owner", "mal")
	m.gives("mal", "owner", "eve")
	m.gives("eve", "auditor", "ben")
	m.may(adminOf("eve"), admin("hers", time.Hour, "policy"))
	m.gives("ole", "policy-admin", "ben")
	m.mayNot(adminOf("dee"), registry.DisableUser{User: "olga@clinic.example", WithGrants: true}, registry.ErrForbidden)
	m.may(adminOf("ole"), registry.DisableUser{User: "olga@clinic.example", WithGrants: true})
	if got := roles(m.last.Result.Withdrawn); !slices.Equal(got, []string{"auditor", "owner", "owner"}) || len(m.last.Result.Granted) != 0 {
		t.Errorf("withdrawn %v, %+v stand", got, m.last.Result.Granted)
	}
	if len(m.roles("mal"))+len(m.roles("eve")) > 0 || !slices.Equal(m.roles("ben"), []string{"policy-admin"}) {
		t.Errorf("mal %v, eve %v, ben %v", m.roles("mal"), m.roles("eve"), m.roles("ben"))
	}
	if hers, _ := m.state.Token("hers"); !hers.Revoked {
		t.Error("what she made with it goes on")
	}
	if said := m.lastRecords(); strings.Count(said, "role.revoke") != 3 {
		t.Errorf("the audit says %s", said)
	}
}

// Whoever cleans up keeps the role that the thief had granted, and learns of it; the last
// owner is not taken, and then nothing is.
func TestGrantsOfWhoCleansUp_A04(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "ana": "", "ben": ""})
	m.gives("olga", "owner", "ana")
	m.gives("olga", "auditor", "ben")
	m.may(adminOf("ana"), registry.RevokeRole{User: "olga@clinic.example", Role: "owner", WithGrants: true})
	if !slices.Equal(m.roles("ana"), []string{"owner"}) || len(m.roles("ben")) != 0 || !slices.Equal(roles(m.last.Result.Granted), []string{"owner"}) {
		t.Errorf("ana %v, ben %v, told %v", m.roles("ana"), m.roles("ben"), m.last.Result.Granted)
	}
	m.refused(registry.DisableUser{User: "olga@clinic.example", WithGrants: true}, registry.ErrLastOwner)
	m.do(registry.DisableUser{User: "olga@clinic.example", WithGrants: true, LastOwner: true})
	if len(m.roles("ana")) != 0 {
		t.Errorf("root took nothing: %v", m.roles("ana"))
	}
}

// Who cannot take a role takes it by no leaver either, and then nothing happens at all.
func TestGrantsBeyondTheActorStay_A04(t *testing.T) {
	m := staff(t, map[string]string{"olga": "owner", "ole": "owner", "ben": "", "dee": "device-admin"})
	m.gives("olga", "auditor", "ben")
	m.do(registry.RevokeRole{User: "olga@clinic.example", Role: "owner"})
	m.mayNot(adminOf("dee"), registry.DisableUser{User: "olga@clinic.example", WithGrants: true}, registry.ErrForbidden)
	m.may(adminOf("dee"), registry.DisableUser{User: "olga@clinic.example"})
	if got := roles(m.last.Result.Granted); !slices.Equal(got, []string{"auditor"}) || !slices.Equal(m.roles("ben"), []string{"auditor"}) {
		t.Errorf("told of %v, ben has %v", got, m.roles("ben"))
	}
}
