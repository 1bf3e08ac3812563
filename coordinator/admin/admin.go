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
// whoever may change a thing may also read it.
const (
	ScopeRead   Scope = "read"   // nodes, routes, tokens without secrets, policy, explain, reach
	ScopeNodes  Scope = "nodes"  // approve, remove, tag, routes
	ScopeTokens Scope = "tokens" // create and revoke tokens
	ScopeUsers  Scope = "users"  // disable and enable people, end their sessions
	ScopePeople Scope = "people" // add people of the coordinator's own, and give links to set up: whoever may can become each of them
	ScopePolicy Scope = "policy" // replace the policy
	ScopeAudit  Scope = "audit"  // read, verify and export the audit
	ScopeBackup Scope = "backup" // take a sealed copy of everything
)

// Scopes lists every scope, in the order of the constants.
func Scopes() []Scope {
	return []Scope{ScopeRead, ScopeNodes, ScopeTokens, ScopeUsers, ScopePeople, ScopePolicy, ScopeAudit, ScopeBackup}
}

// routes says which scope each procedure asks for.
func routes() map[string]Scope {
	return map[string]Scope{
		AdminServiceStatusProcedure:         ScopeRead,
		AdminServiceCreateTokenProcedure:    ScopeTokens,
		AdminServiceListTokensProcedure:     ScopeRead,
		AdminServiceRevokeTokenProcedure:    ScopeTokens,
		AdminServiceListNodesProcedure:      ScopeRead,
		AdminServiceGetNodeProcedure:        ScopeRead,
		AdminServiceApproveNodeProcedure:    ScopeNodes,
		AdminServiceRemoveNodeProcedure:     ScopeNodes,
		AdminServiceTagNodeProcedure:        ScopeNodes,
		AdminServiceListRoutesProcedure:     ScopeRead,
		AdminServiceApproveRouteProcedure:   ScopeNodes,
		AdminServiceListUsersProcedure:      ScopeRead,
		AdminServiceDisableUserProcedure:    ScopeUsers,
		AdminServiceEnableUserProcedure:     ScopeUsers,
		AdminServiceForgetUserProcedure:     ScopeUsers,
		AdminServiceAddUserProcedure:        ScopePeople,
		AdminServiceResetUserProcedure:      ScopePeople,
		AdminServiceGroupUserProcedure:      ScopePeople,
		AdminServiceListSessionsProcedure:   ScopeRead,
		AdminServiceEndSessionProcedure:     ScopeUsers,
		AdminServiceRequireSignInProcedure:  ScopePolicy,
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

// Permits tells whether somebody with the scopes held may call the procedure.
func Permits(held []string, procedure string) bool {
	want, ok := ScopeOf(procedure)
	if !ok {
		return false
	}
	if slices.Contains(held, string(want)) {
		return true
	}
	return want == ScopeRead && (slices.Contains(held, string(ScopeNodes)) ||
		slices.Contains(held, string(ScopeTokens)) || slices.Contains(held, string(ScopeUsers)) || slices.Contains(held, string(ScopePeople)) || slices.Contains(held, string(ScopePolicy)))
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
	names := make([]string, 0, len(Scopes()))
	for _, s := range Scopes() {
		names = append(names, string(s))
	}
	return "unknown scope " + strings.TrimSpace(e.Name) + ": allowed are " + strings.Join(names, ", ")
}
