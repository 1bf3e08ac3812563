package admin

// Role is a set of scopes with a name, as an admin token or a person has it.
// docs/OPERATIONS.md has the table of what each may call.
type Role string

// The roles. A scope that a later version adds to one is had by all who have
// the role.
const (
	RoleOwner       Role = "owner"        // everything
	RolePolicyAdmin Role = "policy-admin" // the policy, and the audit that tells of it
	RoleDeviceAdmin Role = "device-admin" // machines, routes, enrolment, and shutting people out
	RoleAuditor     Role = "auditor"      // sees everything, and changes nothing
	RoleHelpDesk    Role = "help-desk"    // sees people, nodes and sessions; ends a session
)

// Roles lists every role, the most powerful first.
func Roles() []Role {
	return []Role{RoleOwner, RolePolicyAdmin, RoleDeviceAdmin, RoleAuditor, RoleHelpDesk}
}

// RoleScopes gives what a role's holder may do; nothing for an unknown name.
func RoleScopes(role string) []string {
	switch Role(role) {
	case RoleOwner:
		return words(Scopes())
	case RolePolicyAdmin:
		return words([]Scope{ScopeRead, ScopePolicy, ScopeAudit})
	case RoleDeviceAdmin:
		return words([]Scope{ScopeRead, ScopeNodes, ScopeTokens, ScopeUsers})
	case RoleAuditor:
		return words([]Scope{ScopeRead, ScopeAudit})
	case RoleHelpDesk:
		return words([]Scope{ScopeDesk, ScopeSessions})
	}
	return nil
}
