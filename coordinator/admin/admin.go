// Package admin is the contract between a coordinator and those who operate it:
// the admin API's messages and routes, which scope each route asks for, and a
// client for both doors.
//
// The unix socket serves root and the coordinator's own user, with every scope.
// TLS serves whoever brings a bearer token, with the token's scopes. A route
// that [ScopeOf] does not know is refused, so a new route is closed until
// somebody says who may use it.
package admin

import (
	"maps"
	"slices"
	"strings"
)

// Scope is what a token's holder may do.
type Scope string

// The scopes. Each is given on its own; none implies another, save that
// whoever may change a thing may also read it, and that who may shut people out
// may end their sessions.
const (
	ScopeDesk     Scope = "desk"     // see people, nodes and sessions, and no policy
	ScopeSessions Scope = "sessions" // end a session
	ScopeRead     Scope = "read"     // nodes, routes, tokens without secrets, policy, explain, reach
	ScopeNodes    Scope = "nodes"    // approve, remove, tag, routes
	ScopeTokens   Scope = "tokens"   // create and revoke tokens
	ScopeUsers    Scope = "users"    // disable and enable people, end their sessions
	ScopePeople   Scope = "people"   // add people of the coordinator's own, and give links to set up: whoever may can become each of them
	ScopePolicy   Scope = "policy"   // replace the policy
	ScopeAudit    Scope = "audit"    // read, verify and export the audit
	ScopeBackup   Scope = "backup"   // take a sealed copy of everything
	ScopeRoles    Scope = "roles"    // say who has which role
	ScopeSCIM     Scope = "scim"     // provision people and groups by SCIM, and nothing else
)

// What routes ask for that no token holds: such routes are for whoever came with
// something, or with nothing at all.
const (
	scopeAny  Scope = "any"
	scopeNone Scope = "none"
)

// Scopes lists every scope, in the order of the constants.
func Scopes() []Scope {
	return []Scope{ScopeDesk, ScopeSessions, ScopeRead, ScopeNodes, ScopeTokens, ScopeUsers, ScopePeople, ScopePolicy, ScopeAudit, ScopeBackup, ScopeRoles, ScopeSCIM}
}

// routes says which scope each procedure asks for.
func routes() map[string]Scope {
	return map[string]Scope{
		AdminServiceListWarningsProcedure:   ScopeRead,
		AdminServiceStatusProcedure:         ScopeDesk,
		AdminServiceCreateTokenProcedure:    ScopeTokens,
		AdminServiceListTokensProcedure:     ScopeRead,
		AdminServiceRevokeTokenProcedure:    ScopeTokens,
		AdminServiceListNodesProcedure:      ScopeDesk,
		AdminServiceGetNodeProcedure:        ScopeDesk,
		AdminServiceApproveNodeProcedure:    ScopeNodes,
		AdminServiceRejectNodeProcedure:     ScopeNodes,
		AdminServiceHoldNodeProcedure:       ScopeNodes,
		AdminServiceExpireNodeProcedure:     ScopeNodes,
		AdminServiceRenewNodeProcedure:      ScopeNodes,
		AdminServiceRemoveNodeProcedure:     ScopeNodes,
		AdminServiceTagNodeProcedure:        ScopeNodes,
		AdminServiceListRoutesProcedure:     ScopeRead,
		AdminServiceApproveRouteProcedure:   ScopeNodes,
		AdminServiceListUsersProcedure:      ScopeDesk,
		AdminServiceDisableUserProcedure:    ScopeUsers,
		AdminServiceEnableUserProcedure:     ScopeUsers,
		AdminServiceForgetUserProcedure:     ScopeUsers,
		AdminServiceAddUserProcedure:        ScopePeople,
		AdminServiceResetUserProcedure:      ScopePeople,
		AdminServiceGroupUserProcedure:      ScopePeople,
		AdminServiceListSessionsProcedure:   ScopeDesk,
		AdminServiceEndSessionProcedure:     ScopeSessions,
		AdminServiceRequireSignInProcedure:  ScopePolicy,
		AdminServiceListRolesProcedure:      ScopeRead,
		AdminServiceGrantRoleProcedure:      ScopeRoles,
		AdminServiceRevokeRoleProcedure:     ScopeRoles,
		AdminServiceBeginLoginProcedure:     scopeNone,
		AdminServiceFinishLoginProcedure:    scopeNone,
		AdminServiceWhoAmIProcedure:         scopeAny,
		AdminServiceEndLoginProcedure:       scopeAny,
		AdminServiceGetPolicyProcedure:      ScopeRead,
		AdminServiceSetPolicyProcedure:      ScopePolicy,
		AdminServiceConfirmPolicyProcedure:  ScopePolicy,
		AdminServiceRollBackPolicyProcedure: ScopePolicy,
		AdminServiceCheckPolicyProcedure:    ScopeRead,
		AdminServiceTestPolicyProcedure:     ScopeRead,
		AdminServiceExplainPolicyProcedure:  ScopeRead,
		AdminServiceReachPolicyProcedure:    ScopeRead,
		AdminServiceDiffPolicyProcedure:     ScopeRead,
		AdminServiceLogPolicyProcedure:      ScopeRead,
		AdminServiceListAuditProcedure:      ScopeAudit,
		AdminServiceVerifyAuditProcedure:    ScopeAudit,
		AdminServiceExportAuditProcedure:    ScopeAudit,
		AdminServiceBackupProcedure:         ScopeBackup,
	}
}

// Procedures lists every procedure of the admin API, sorted.
func Procedures() []string { return slices.Sorted(maps.Keys(routes())) }

// ScopeOf says which scope a procedure asks for; false if there is no such procedure.
func ScopeOf(procedure string) (Scope, bool) {
	s, ok := routes()[procedure]
	return s, ok
}

// Sufficing gives the scopes each of which lets its holder call the procedure;
// none if there is no such procedure.
func Sufficing(procedure string) []string {
	want, ok := ScopeOf(procedure)
	if !ok {
		return nil
	}
	enough := []Scope{want}
	switch want {
	case ScopeSessions:
		enough = append(enough, ScopeUsers)
	case ScopeRead:
		enough = append(enough, changing()...)
	case ScopeDesk:
		enough = append(append(enough, ScopeRead, ScopeSessions), changing()...)
	}
	return words(enough)
}

// changing lists the scopes whose holders see what they change.
func changing() []Scope {
	return []Scope{ScopeNodes, ScopeTokens, ScopeUsers, ScopePeople, ScopePolicy, ScopeRoles}
}

func words(scopes []Scope) []string {
	out := make([]string, 0, len(scopes))
	for _, s := range scopes {
		out = append(out, string(s))
	}
	return out
}

// Open tells whether a procedure is for whoever comes, also without a token: those
// by which one gets one.
func Open(procedure string) bool { return routes()[procedure] == scopeNone }

// Permits tells whether somebody with the scopes held may call the procedure.
func Permits(held []string, procedure string) bool {
	if want := routes()[procedure]; want == scopeAny || want == scopeNone {
		return true
	}
	return slices.ContainsFunc(Sufficing(procedure), func(enough string) bool { return slices.Contains(held, enough) })
}

// ParseScopes reads a list such as "read,policy". An unknown scope is an error
// that names the allowed ones.
func ParseScopes(list []string) ([]Scope, error) {
	var out []Scope
	for _, name := range list {
		s := Scope(strings.TrimSpace(name))
		if !slices.Contains(Scopes(), s) {
			return nil, &UnknownScopeError{Name: name}
		}
		out = append(out, s)
	}
	return out, nil
}

// UnknownScopeError names a scope that does not exist.
type UnknownScopeError struct{ Name string }

func (e *UnknownScopeError) Error() string {
	return "unknown scope " + strings.TrimSpace(e.Name) + ": allowed are " + strings.Join(words(Scopes()), ", ")
}
