package registry_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// fate is what becomes of what an admin made by a command who is about to be dismissed.
type fate struct {
	// ends: by makes it, and works fails once its maker is out.
	by    func(m *mesh)
	works func(m *mesh) error

	kind    registry.MadeKind // it stands and is listed, as this kind
	granted bool              // it stands and is listed, as a role
	reason  string            // it is nothing of which power is left
}

const (
	ownEnd  = "it ends with whoever it is of"
	takes   = "it takes, and gives nothing"
	itself  = "the coordinator's own, or a node's"
	inAudit = "the audit tells of it, and it lets in nobody who had no way in"
)

// fates has every command: one that is new has to be judged.
func fates() map[string]fate {
	dan := adminOf("dan")
	link := func(m *mesh) error { _, err := m.try(byPassword("link")); return err }
	return map[string]fate{
		"CreateToken": {by: func(m *mesh) { m.may(dan, ward("dans")) }, works: func(m *mesh) error { return m.enrols("dans", "ghost") }},
		"AddLocal": {by: func(m *mesh) {
			m.may(dan, registry.AddLocal{Subject: "eve", Login: "eve@clinic.example", Groups: []string{"Doctors"}, Link: registry.HashSecret("link"), Life: day})
		}, works: link, kind: registry.MadePerson},
		"ResetLocal": {by: func(m *mesh) {
			m.may(dan, registry.ResetLocal{User: "cem@clinic.example", Link: registry.HashSecret("link"), Life: day, Keep: true})
		}, works: link},
		"SetUpLocal": {by: func(m *mesh) {
			m.may(dan, registry.ResetLocal{User: "cem@clinic.example", Link: registry.HashSecret("link"), Life: day, Keep: true})
			m.do(byPasskey("link", "dan's"))
		}, kind: registry.MadePerson},
		"GroupLocal": {by: func(m *mesh) {
			m.may(dan, registry.GroupLocal{User: "cem@clinic.example", Groups: []string{"Doctors"}})
		}, kind: registry.MadePerson},
		"Enrol":       {by: func(m *mesh) { m.may(dan, ward("dans")); m.do(newMachine().enrol("dans", "ghost")) }, kind: registry.MadeMachine},
		"ApproveNode": {by: func(m *mesh) { m.may(dan, registry.ApproveNode{Node: "waits"}) }, kind: registry.MadeMachine},
		"TagNode":     {by: func(m *mesh) { m.may(dan, registry.TagNode{Node: "ward", Tags: []string{"tag:server"}}) }, kind: registry.MadeMachine},
		"RenewNode":   {by: func(m *mesh) { m.may(dan, registry.RenewNode{Node: "of-cem", Life: 300 * day}) }, kind: registry.MadeMachine},
		"ApproveRoute": {by: func(m *mesh) {
			m.may(dan, registry.ApproveRoute{Node: "ward", Prefix: route})
		}, kind: registry.MadeRoute},
		"SetPolicy":    {by: func(m *mesh) { m.may(dan, registry.SetPolicy{Text: `{}`, File: "policy.hujson"}) }, kind: registry.MadePolicy},
		"GrantRole":    {by: func(m *mesh) { m.may(dan, registry.GrantRole{User: "ana@clinic.example", Role: "auditor"}) }, granted: true},
		"BeginAdmin":   {by: func(*mesh) {}, works: func(m *mesh) error { return m.as(dan, ward("after")) }},
		"BeginSession": {reason: ownEnd}, "Join": {reason: ownEnd}, "ProveLocal": {reason: ownEnd},
		"Report": {reason: itself}, "NoteActive": {reason: itself}, "Observe": {reason: itself}, "Init": {reason: itself}, "KeepDevices": {reason: itself},
		"TakeRevocations": {reason: itself}, "BeginIncarnation": {reason: itself}, "Note": {reason: itself}, "expirePolicy": {reason: itself},
		"Authorised": {reason: "it carries another"}, "Renew": {reason: itself}, "SignOut": {reason: takes},
		"RevokeToken": {reason: takes}, "RejectNode": {reason: takes}, "HoldNode": {reason: takes}, "ExpireNode": {reason: takes}, "RemoveNode": {reason: takes},
		"EndSessions": {reason: takes}, "EndAdmin": {reason: takes}, "DisableUser": {reason: takes}, "ForgetUser": {reason: takes}, "RevokeRole": {reason: takes},
		"EnableUser": {by: func(m *mesh) {
			m.do(registry.DisableUser{User: "ana@clinic.example"})
			m.may(dan, registry.EnableUser{User: "ana@clinic.example"})
			m.signIn("back", m.node("ward"), person("ana@clinic.example", "Nurses")) // it is not forgotten as they come again
		}, kind: registry.MadePerson},
		"RequireSignIn": {reason: inAudit}, "ConfirmPolicy": {reason: inAudit}, "RollBackPolicy": {reason: inAudit},
		"ProvisionUser": {by: func(m *mesh) {
			m.may(dan, admin("dans", time.Hour, "scim"))
			m.may(registry.TokenActor("dans"), record("r-ghost", "sub-ghost", "ghost@clinic.example"))
		}, works: func(m *mesh) error {
			return m.as(registry.TokenActor("dans"), needs("scim", active("r-ghost", true)))
		}, kind: registry.MadeRecords},
		"ProvisionGroup": {by: func(m *mesh) {
			m.may(dan, admin("dans", time.Hour, "scim"))
			name := "Doctors"
			m.may(registry.TokenActor("dans"), registry.ProvisionGroup{ID: "g-1", New: true, Name: &name})
		}, kind: registry.MadeRecords},
		"DeprovisionUser": {reason: takes}, "DeprovisionGroup": {reason: takes},
	}
}

// dismissals are all ways in which somebody loses their rights for good.
func dismissals() map[string]registry.Command {
	return map[string]registry.Command{
		"disabled":                  registry.DisableUser{User: "dan@clinic.example"},
		"forgotten":                 registry.ForgetUser{User: "dan@clinic.example"},
		"shut out by the directory": active("r-dan", false),
		"deleted by the directory":  registry.DeprovisionUser{ID: "r-dan"},
	}
}

// ofDan is a mesh that dan may do everything in, with people, machines and a record of dan.
func ofDan(t *testing.T) *mesh {
	m := staff(t, map[string]string{"olga": "owner", "dan": "owner", "ana": ""})
	m.decider.RoleScopes = func(role string) []string {
		if role == "owner" {
			return append(scopesOfRole(role), "people", "scim")
		}
		return scopesOfRole(role)
	}
	m.do(record("r-dan", "sub-dan@clinic.example", "dan@clinic.example"))
	m.add("cem@clinic.example")
	m.do(byPassword("link-cem@clinic.example"))
	_, n := m.join("ward", registry.CreateToken{Tags: []string{"tag:ward"}})
	m.do(registry.Report{Node: n.ID, Advertised: append(n.Advertised, route), OS: "linux", Version: "1"})
	m.join("waits", registry.CreateToken{Tags: []string{"tag:ward"}, NeedsApproval: true})
	m.join("of-cem", registry.CreateToken{User: "cem@clinic.example"})
	return m
}

// A04, A14: an admin who is about to be dismissed makes what shall outlive that. What is
// made so ends with their rights, or whoever dismisses them is told.
func TestWhatADismissedAdminMade_A04_A14_A18(t *testing.T) {
	for out, dismissal := range dismissals() {
		for name, f := range fates() {
			if f.by == nil {
				continue
			}
			t.Run(out+"/"+name, func(t *testing.T) {
				m := ofDan(t)
				f.by(m)
				r := m.do(dismissal)
				m.restored()
				if f.works != nil {
					if err := f.works(m); err == nil {
						t.Error("what they made goes on")
					}
				}
				listed := slices.ContainsFunc(r.Made, func(one registry.Made) bool { return one.Kind == f.kind && !one.Void })
				if (f.kind != "") != listed {
					t.Errorf("told of %+v, want one of the kind %q", r.Made, f.kind)
				}
				left := 0
				for _, of := range m.state.Leavings(m.now.Add(-time.Hour)) {
					left += len(of)
				}
				if want := f.kind != "" && f.kind != registry.MadeRoute; want != (left > 0) {
					t.Errorf("%d things are left for everybody to see, of the kind %q", left, f.kind)
				}
				if f.granted && out == "disabled" && len(r.Granted) != 1 {
					t.Errorf("told of the roles %+v", r.Granted)
				}
			})
		}
	}
}

// A new command is judged before it is built in.
func TestEveryCommandIsJudgedForWhoIsDismissed(t *testing.T) {
	all := map[string]bool{}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "decide" {
				if of, isCommand := f.Recv.List[0].Type.(*ast.Ident); isCommand {
					all[of.Name] = true
				}
			}
		}
	}
	got, want := slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(fates()))
	if !slices.Equal(got, want) || len(got) < 40 {
		t.Errorf("the commands are\n%v, judged are\n%v", got, want)
	}
	for name, f := range fates() {
		if (f.by == nil) != (f.reason != "") {
			t.Errorf("%s: judged without a reason, or twice", name)
		}
	}
}

// What is void with somebody's rights is named to whoever took these: the innocent need
// another link.
func TestWhoIsLeftWithoutALinkIsNamed_A14(t *testing.T) {
	m := ofDan(t)
	m.may(adminOf("dan"), registry.ResetLocal{User: "cem@clinic.example", Link: registry.HashSecret("link"), Life: day})
	m.may(adminOf("dan"), ward("dans"))
	r := m.do(registry.DisableUser{User: "dan@clinic.example"})
	var void []string
	for _, one := range r.Made {
		if one.Void {
			void = append(void, string(one.Kind)+" "+one.Name)
		}
	}
	if slices.Sort(void); !slices.Equal(void, []string{"link cem@clinic.example", "token dans (enrol)"}) {
		t.Errorf("void: %q", void)
	}
	if again := m.do(registry.DisableUser{User: "dan@clinic.example"}); slices.ContainsFunc(again.Made, func(one registry.Made) bool { return one.Void }) {
		t.Errorf("what ended before ends again: %+v", again.Made)
	}
}

// Who loses a role keeps the links that they could still give, and no other; a link that
// was made with a stolen token ends with that.
func TestLinksEndWithTheRightToGiveThem_A04_A14(t *testing.T) {
	for name, c := range map[string]struct {
		by    registry.Actor
		end   registry.Command
		works bool
	}{
		"the right":         {adminOf("dan"), registry.RevokeRole{User: "dan@clinic.example", Role: "owner"}, false},
		"another right":     {adminOf("dan"), registry.RevokeRole{User: "dan@clinic.example", Role: "auditor"}, true},
		"another's":         {adminOf("dan"), registry.DisableUser{User: "ana@clinic.example"}, true},
		"a stolen token":    {registry.TokenActor("stolen"), registry.RevokeToken{ID: "stolen"}, false},
		"another token":     {registry.TokenActor("stolen"), registry.RevokeToken{ID: "other"}, true},
		"the session":       {adminOf("dan"), registry.RevokeToken{ID: "of-dan"}, true},
		"who gave is reset": {adminOf("dan"), registry.SignOut{Issuer: issuer, Subject: "sub-dan@clinic.example"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := ofDan(t)
			m.do(registry.GrantRole{User: "dan@clinic.example", Role: "auditor"})
			m.do(admin("stolen", time.Hour, "people"))
			m.do(admin("other", time.Hour, "people"))
			m.may(c.by, registry.ResetLocal{User: "cem@clinic.example", Link: registry.HashSecret("link"), Life: day})
			m.do(c.end)
			if _, err := m.try(byPassword("link")); (err == nil) != c.works {
				t.Errorf("the link: %v", err)
			}
		})
	}
}

// Who looks at a machine that a dismissed admin brought, and says the same of it again,
// stands by it from then on.
func TestMachineIsStoodByAnew(t *testing.T) {
	m := ofDan(t)
	m.may(adminOf("dan"), registry.TagNode{Node: "ward", Tags: []string{"tag:server"}})
	same := registry.TagNode{Node: "ward", Tags: []string{"tag:server"}}
	m.may(adminOf("olga"), same)
	if len(m.last.Entries) > 0 {
		t.Errorf("of a colleague who is in: %+v", m.last.Entries)
	}
	m.do(registry.DisableUser{User: "dan@clinic.example"})
	m.may(adminOf("olga"), same)
	if left := m.state.Leavings(time.Time{}); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	if n := m.node("ward"); n.Vouched == nil || n.Vouched.By != adminOf("olga") {
		t.Errorf("vouched for by %+v", n.Vouched)
	}
}

// A18: somebody of the coordinator's own whom a directory shuts out signs in no more, by
// whatever they have, and gets no link.
func TestDirectoryShutsOutALocalPerson_A18(t *testing.T) {
	m := begin(t)
	u := m.add("ana@clinic.example")
	_, n := m.join("ward", registry.CreateToken{Tags: []string{"tag:ward"}})
	r := record("r1", "x", u.Login)
	r.By = byLogin()
	m.do(r)
	m.do(byPassword("link-ana@clinic.example"))
	who, _ := m.state.LocalIdentity(u.ID, m.now, []string{"pwd"})
	m.signIn("s1", n, who)
	m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("link"), Life: day, Keep: true})
	out := active("r1", false)
	out.By = byLogin()
	m.do(out)
	m.refused(registry.BeginSession{ID: "s2", Node: n.ID, Who: who, Life: shift}, registry.ErrUser)
	m.refused(byPasskey("link", "k"), registry.ErrNotFound)
	m.refused(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("x"), Life: day}, registry.ErrUser)
}

// What a program of before left open of somebody who was shut out opens nothing.
func TestWhatWasLeftOpenIsClosed_A14_A18(t *testing.T) {
	m := ofDan(t)
	m.may(adminOf("dan"), ward("dans"))
	m.may(adminOf("dan"), registry.ResetLocal{User: "cem@clinic.example", Link: registry.HashSecret("link"), Life: day})
	dan := *m.user("dan@clinic.example")
	dan.Disabled = true
	m.state = registry.Apply(m.state, registry.Entry{Revision: m.state.Revision + 1, Time: m.now, Event: registry.UserPut{User: dan}})
	m.refused(byPassword("link"), registry.ErrNotFound)
	m.refused(newMachine().enrol("dans", "ghost"), registry.ErrToken)

	m.do(registry.ResetLocal{User: "cem@clinic.example", Link: registry.HashSecret("roots"), Life: day})
	cem := *m.user("cem@clinic.example")
	cem.Provision = &registry.Provision{ID: "r-cem", UserName: cem.Login, Login: cem.Login} // not active
	m.state = registry.Apply(m.state, registry.Entry{Revision: m.state.Revision + 1, Time: m.now, Event: registry.UserPut{User: cem}})
	m.refused(byPassword("roots"), registry.ErrNotFound)
}

// What a dismissed admin said in a directory's name is counted, by each of their tokens, as
// long as it stands: what another token has said since is that one's, and who was deleted or
// disabled does not come. Who was put in a group is counted, whoever made the record.
func TestRecordsByADismissedAdminsToken_A14_A18(t *testing.T) {
	m := ofDan(t)
	for maker, tokens := range map[string][]string{"dan": {"dans", "dans-2"}, "olga": {"olgas"}} {
		for _, id := range tokens {
			m.may(adminOf(maker), admin(id, time.Hour, "scim"))
		}
	}
	by := registry.TokenActor
	for _, who := range []string{"p1", "p2", "p3", "p4", "p5"} {
		m.may(by("dans"), record("r-"+who, "sub-"+who, who+"@clinic.example"))
	}
	m.may(by("olgas"), record("r-o", "sub-o", "o@clinic.example"))
	doctors, nurses := "Doctors", "Nurses"
	m.may(by("olgas"), registry.ProvisionGroup{ID: "g-1", New: true, Name: &doctors})
	m.may(by("dans-2"), registry.ProvisionGroup{ID: "g-1", Add: []string{"r-o"}})
	m.may(by("dans-2"), registry.ProvisionGroup{ID: "g-2", New: true, Name: &nurses})
	other := "p1-x"
	m.may(by("olgas"), registry.ProvisionUser{ID: "r-p1", By: bySubject(), External: &other}) // is olga's word now
	m.may(by("olgas"), active("r-p2", true))                                                  // says nothing new
	m.may(by("dans"), registry.DeprovisionUser{ID: "r-p3"})
	m.may(by("dans"), active("r-p4", false))
	var told []string
	for _, one := range m.do(registry.DisableUser{User: "dan@clinic.example"}).Made {
		if one.Kind == registry.MadeRecords {
			told = append(told, one.Name)
		}
	}
	if want := []string{"by token dans (people: 2, groups: 0)", "by token dans-2 (people: 1, groups: 1)"}; !slices.Equal(told, want) {
		t.Errorf("told of %q, want %q", told, want)
	}
	for token, works := range map[string]bool{"dans": false, "dans-2": false, "olgas": true} {
		if err := m.as(by(token), needs("scim", active("r-p5", true))); (err == nil) != works {
			t.Errorf("by %s the directory says more: %v", token, err)
		}
	}
}
