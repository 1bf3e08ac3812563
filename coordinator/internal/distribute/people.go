package distribute

import (
	"slices"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// autogroups gives the names by which the policy's language means those who have a
// role of ours ("autogroup:admin" without its first part). An owner is its owner
// and its admin at once, for we have no admin besides. Nobody is a billing admin,
// and the help desk has no name there.
func autogroups(role string) []string {
	switch role {
	case "owner":
		return []string{"owner", "admin"}
	case "policy-admin":
		return []string{"network-admin"}
	case "device-admin":
		return []string{"it-admin"}
	case "auditor":
		return []string{"auditor"}
	}
	return nil
}

// Person gives what the compiler needs to know of a person who sits somewhere.
func Person(state *registry.State, u *registry.User) compile.Node {
	return compile.Node{User: u.Login, Also: slices.Clone(u.Former), Groups: u.Groups, Roles: rolesOf(state, u)}
}

func rolesOf(state *registry.State, u *registry.User) (roles []string) {
	for _, role := range state.RolesOf(u.ID) {
		roles = append(roles, autogroups(role)...)
	}
	return roles
}
