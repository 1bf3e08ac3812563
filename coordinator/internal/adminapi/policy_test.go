package adminapi_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Tests are not judged for a caller who is gone, and a policy of theirs is not set.
func TestNobodyIsJudgedForWhoIsGone(t *testing.T) {
	h, r := door(t, registry.CreateToken{ID: "root", Kind: registry.AdminToken, Scopes: []string{"policy", "read"}, Lifetime: time.Hour})
	before := r.Snapshot().Revision
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, procedure := range []string{admin.AdminServiceTestPolicyProcedure, admin.AdminServiceSetPolicyProcedure} {
		body := strings.NewReader(`{"text": "{\"tests\": [{\"src\": \"100.64.0.1\", \"deny\": [\"100.64.0.2:22\"]}]}"}`)
		req := httptest.NewRequestWithContext(gone, http.MethodPost, procedure, body)
		req.TLS = &tls.ConnectionState{HandshakeComplete: true}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer root")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if !strings.Contains(w.Body.String(), `"canceled"`) {
			t.Errorf("%s: %d %s", procedure, w.Code, w.Body)
		}
	}
	if after := r.Snapshot().Revision; after != before {
		t.Errorf("from revision %d to %d", before, after)
	}
}
