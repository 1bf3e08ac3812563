package adminapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// A04: operators are told who granted what, which roles nobody stands by, and what to do
// about each; whoever disables an owner at once, everybody by the warnings.
func TestOperatorsLearnOfGrants_A04(t *testing.T) {
	h, r := door(t)
	const olga, ole = "olga@clinic.example", "xaver@clinic.example"
	person(t, r, olga, "owner")
	person(t, r, ole, "owner")
	person(t, r, "ana@clinic.example", "auditor")
	as := func(secret, procedure, body string) string {
		t.Helper()
		code, answer := call(h, procedure, secret, strings.NewReader(body))
		if code != http.StatusOK {
			t.Errorf("%s: %d %v", procedure, code, answer)
		}
		return dump(answer)
	}
	as(olga, admin.AdminServiceGrantRoleProcedure, `{"user": "ana@clinic.example", "role": "policy-admin"}`)
	if got := as(ole, admin.AdminServiceListRolesProcedure, "{}"); !strings.Contains(got, `"by":"admin:olga@clinic.example/of-o","role":"policy-admin","user":"ana@clinic.example"`) {
		t.Errorf("roles: %s", got)
	}
	if got := as(ole, admin.AdminServiceListWarningsProcedure, "{}"); strings.Contains(got, "role") {
		t.Errorf("before anybody left: %s", got)
	}
	if got := as(ole, admin.AdminServiceDisableUserProcedure, `{"user": "olga@clinic.example"}`); !strings.Contains(got, `"granted":[{`) || !strings.Contains(got, `"doubt":"is disabled"`) {
		t.Errorf("disabled: %s", got)
	}
	warned := as(ole, admin.AdminServiceListWarningsProcedure, "{}")
	for _, want := range []string{`"kind":"role"`, "who is disabled", "cordonctl role revoke ana@clinic.example policy-admin", "cordonctl role grant ana@clinic.example policy-admin"} {
		if !strings.Contains(warned, want) {
			t.Errorf("warned without %s: %s", want, warned)
		}
	}
	as(ole, admin.AdminServiceDisableUserProcedure, `{"user": "ana@clinic.example"}`)
	if got := as(ole, admin.AdminServiceListWarningsProcedure, "{}"); strings.Contains(got, "role") {
		t.Errorf("of whoever may not come: %s", got)
	}
	as(ole, admin.AdminServiceEnableUserProcedure, `{"user": "ana@clinic.example"}`)
	if got := as(ole, admin.AdminServiceDisableUserProcedure, `{"user": "olga@clinic.example", "withGrants": true}`); !strings.Contains(got, `"withdrawn":[{`) {
		t.Errorf("with what they granted: %s", got)
	}
	if got := as(ole, admin.AdminServiceListWarningsProcedure, "{}"); strings.Contains(got, "role") {
		t.Errorf("after that: %s", got)
	}
}
