package adminapi

import (
	"fmt"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// grantMessages tells how people came to roles.
func grantMessages(state *registry.State, grants []registry.Grant) (all []*admin.RoleGrant) {
	for _, g := range grants {
		u, known := state.User(g.User)
		if !known {
			continue // forgotten, and the role with them
		}
		all = append(all, &admin.RoleGrant{User: u.Login, Role: g.Role, By: string(g.By), At: seconds(g.At), Doubt: state.Doubt(g, admin.RoleScopes)})
	}
	return all
}

// madeMessages tells what somebody made by rights that they lost.
func madeMessages(made []registry.Made) (all []*admin.Made) {
	for _, m := range made {
		one := &admin.Made{Kind: string(m.Kind), Name: m.Name, Void: m.Void}
		if !m.At.IsZero() {
			one.At = seconds(m.At)
		}
		all = append(all, one)
	}
	return all
}

// notices are warnings of what has no end, and wants somebody to look at it: roles of
// people who may come, by whoever could grant them no more, and groups that the
// coordinator's own people have from before these had a prefix.
func (a *API) notices() (all []*admin.Warning) {
	state := a.Registry.Snapshot()
	for _, g := range state.SortedGrants() {
		u, known := state.User(g.User)
		doubt := state.Doubt(g, admin.RoleScopes)
		if !known || u.ShutOut() || doubt == "" {
			continue
		}
		all = append(all, &admin.Warning{Kind: "role", Name: u.Login + " " + g.Role, Text: fmt.Sprintf(
			"role: %s is %s by %s, who %s: `cordonctl role revoke %s %s`, or `cordonctl role grant %s %s` to stand by it (granted %s)",
			u.Login, g.Role, g.By, doubt, u.Login, g.Role, u.Login, g.Role, g.At.UTC().Format(time.RFC3339))})
	}
	for _, login := range state.OldGroups() {
		all = append(all, &admin.Warning{Kind: "group", Name: login, Text: fmt.Sprintf(
			"group: %s has groups that the policy calls idp:NAME, though no provider gave them: `cordonctl user group %s --group ...` makes them local:NAME", login, login)})
	}
	return all
}
