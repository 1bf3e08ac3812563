package registry_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// machinesOf finds by looking at everything what MachinesOf finds by its index.
func (m *mesh) machinesOf(u *registry.User) []string {
	ids := map[string]bool{}
	for n := range m.state.Nodes() {
		owner, known := m.state.UserByLogin(n.Owner())
		provided := u.Provision != nil && n.Owner() == u.Provision.Login && !known
		if known && owner.ID == u.ID || provided {
			ids[n.ID] = true
		}
		for _, s := range m.state.SessionsAt(n.ID) {
			if s.User == u.ID {
				ids[n.ID] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

func TestMachinesOf(t *testing.T) {
	logins := []string{"ana@clinic.example", "ben@clinic.example", "cem@clinic.example", "cem.new@clinic.example"}
	rapid.Check(t, func(t *rapid.T) {
		m := begin(t)
		someone := func() *registry.Node {
			return rapid.SampledFrom(slices.SortedFunc(m.state.Nodes(), func(a, b *registry.Node) int { return slices.Compare([]string{a.ID}, []string{b.ID}) })).Draw(t, "node")
		}
		m.join("first", registry.CreateToken{})
		for i := range rapid.IntRange(1, 12).Draw(t, "steps") {
			name, login := "m"+string(rune('a'+i)), rapid.SampledFrom(logins).Draw(t, "login")
			switch rapid.SampledFrom([]string{"own", "tagged", "tag", "untag", "remove", "sign in", "sign out", "provide"}).Draw(t, "step") {
			case "own":
				m.join(name, registry.CreateToken{User: login})
			case "tagged":
				m.join(name, registry.CreateToken{Tags: []string{"tag:ward"}})
			case "tag":
				_, _ = m.try(registry.TagNode{Node: someone().ID, Tags: []string{"tag:ward"}})
			case "untag":
				_, _ = m.try(registry.TagNode{Node: someone().ID})
			case "remove":
				if m.state.NodeCount() > 1 {
					m.do(registry.RemoveNode{Node: someone().ID})
				}
			case "sign in":
				who := known(login)
				if login == "cem.new@clinic.example" {
					who.Subject = known("cem@clinic.example").Subject // renamed at the provider
				}
				_, _ = m.try(registry.BeginSession{ID: "s" + name, Node: someone().ID, Who: who, Life: shift, Seat: rapid.SampledFrom([]string{"", "1000", "1001"}).Draw(t, "seat")})
			case "sign out":
				_, _ = m.try(registry.EndSessions{Node: someone().ID})
			case "provide":
				_, _ = m.try(record("r-"+login, known(login).Subject, login))
			}
			for _, state := range []string{"live", "restored"} {
				for u := range m.state.Users() {
					got := m.state.MachinesOf(map[string]bool{u.ID: true})
					slices.Sort(got)
					if want := m.machinesOf(u); !slices.Equal(slices.Compact(got), want) {
						t.Fatalf("%s: machines of %s are %v, want %v", state, u.Login, got, want)
					}
				}
				m.restored()
			}
		}
	})
}

// A login that only the directory gives is the person's as well.
func TestMachinesOfWhoIsRenamedInTheDirectory(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.do(record("r1", "sub-ana@clinic.example", "ana@clinic.example"))
	m.signIn("s1", n, known("ana@clinic.example"))
	next := "ana.next@clinic.example"
	m.do(registry.ProvisionUser{ID: "r1", By: bySubject(), UserName: &next})
	m.join("next", registry.CreateToken{User: next})
	u := m.user("ana@clinic.example")
	m.do(registry.EndSessions{Node: n.ID})
	got := m.state.MachinesOf(map[string]bool{u.ID: true})
	slices.Sort(got)
	if want := m.machinesOf(u); len(want) != 2 || !slices.Equal(got, want) {
		t.Errorf("machines are %v, want %v", got, want)
	}
}

// Whoever sits at two machines is found at both, and at the one that is left.
func TestMachinesAtWhichSomebodySits(t *testing.T) {
	m := begin(t)
	_, ward := m.join("ward", registry.CreateToken{Tags: []string{"tag:ward"}})
	_, desk := m.join("desk", registry.CreateToken{Tags: []string{"tag:ward"}})
	m.signIn("s1", ward, known("ana@clinic.example"))
	m.signIn("s2", desk, known("ana@clinic.example"))
	u := m.user("ana@clinic.example")
	for range 2 {
		got := m.state.MachinesOf(map[string]bool{u.ID: true})
		slices.Sort(got)
		if want := m.machinesOf(u); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("machines are %v, want %v", got, want)
		}
		m.do(registry.EndSessions{Node: ward.ID})
	}
}
