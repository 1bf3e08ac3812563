package adminapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// Whoever looks for a person's sessions finds theirs alone, by the login however it is
// typed, and learns which login nobody has. What is ended is listed no more, nor ended
// once more.
func TestSessionsOfAPersonAreListedAndEnded(t *testing.T) {
	h, r := door(t)
	person(t, r, "hella@clinic.example", "help-desk")
	person(t, r, "olga@clinic.example", "auditor")
	list := func(request string) string {
		t.Helper()
		_, answer := call(h, admin.AdminServiceListSessionsProcedure, "hella@clinic.example", strings.NewReader(request))
		return dump(answer)
	}
	tells := func(request string, hella, olga bool) {
		t.Helper()
		if got := list(request); strings.Contains(got, `"id":"s-h"`) != hella || strings.Contains(got, `"id":"s-o"`) != olga {
			t.Errorf("for %s it lists %s", request, got)
		}
	}
	tells(`{}`, true, true)
	tells(`{"user": "Olga@Clinic.example"}`, false, true)
	if got := list(`{"user": "olag@clinic.example"}`); !strings.Contains(got, `user \"olag@clinic.example\": not found`) {
		t.Errorf("of a login that nobody has it is said %s", got)
	}
	end := func(id string) (int, map[string]any) {
		return call(h, admin.AdminServiceEndSessionProcedure, "hella@clinic.example", strings.NewReader(`{"id": "`+id+`"}`))
	}
	if code, answer := end("s-o"); code != http.StatusOK {
		t.Errorf("ended: %d %v", code, answer)
	}
	tells(`{"all": true}`, true, false)
	tells(`{"user": "olga@clinic.example"}`, false, false)
	if code, answer := end("s-o"); code != http.StatusNotFound || !strings.Contains(dump(answer), `session \"s-o\": not found`) {
		t.Errorf("ended twice: %d %v", code, answer)
	}
}
