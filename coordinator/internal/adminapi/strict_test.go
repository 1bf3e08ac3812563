package adminapi_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// posts sends bytes as a content type, and gives what is answered: in full, for some protocols
// tell a refusal in a header.
func posts(h http.Handler, procedure, secret, kind string, body []byte) (answer string) {
	if strings.Contains(kind, "grpc") { // framed
		body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	}
	req := httptest.NewRequest(http.MethodPost, procedure, bytes.NewReader(body))
	req.TLS = &tls.ConnectionState{HandshakeComplete: true}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Body.String() + w.Header().Get("Grpc-Message")
}

// A05: a part of an operator's request that is not understood, for it is misspelt, or the
// tool is newer than the coordinator, is not done without: a machine would be let in that was
// to wait, and a policy stay that was to go. It says what it is, in whatever form it comes.
func TestWhatIsNotUnderstoodIsNotDropped_A05(t *testing.T) {
	h, r := door(t, registry.CreateToken{ID: "all", Kind: registry.AdminToken, Scopes: []string{"tokens", "policy", "enrol", "users", "roles", "nodes"}})
	before := r.Snapshot().Revision
	for what, c := range map[string]struct{ procedure, text string }{
		"needsAproval": {admin.AdminServiceCreateTokenProcedure, `{"kind": "TOKEN_KIND_ENROL", "tags": ["tag:ehr"], "needsAproval": true}`},
		"confirmWithn": {admin.AdminServiceSetPolicyProcedure, `{"text": "{}", "confirmWithn": 600}`},
		"hold":         {admin.AdminServiceRevokeTokenProcedure, `{"id": "all", "hold": true}`},
	} {
		for _, kind := range []string{"application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "application/grpc-web+json"} {
			if got := posts(h, c.procedure, "all", kind, []byte(c.text)); !strings.Contains(got, "unknown field") || !strings.Contains(got, what) {
				t.Errorf("%s as %s: %s", what, kind, got)
			}
		}
	}
	later := func(m proto.Message) []byte { // of a version with a field more
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return protowire.AppendVarint(protowire.AppendTag(b, 900, protowire.VarintType), 1)
	}
	for _, kind := range []string{"application/proto", "application/grpc-web+proto", "application/grpc-web"} {
		if got := posts(h, admin.AdminServiceSetPolicyProcedure, "all", kind, later(&admin.SetPolicyRequest{Text: "{}"})); !strings.Contains(got, "is the tool newer") {
			t.Errorf("as %s: %s", kind, got)
		}
	}
	if after := r.Snapshot().Revision; after != before {
		t.Errorf("something of what was refused was done: revision %d, and before %d", after, before)
	}
	// What is understood is done, and answered in the form in which it came.
	right := &admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, Tags: []string{"tag:ehr"}, NeedsApproval: true}
	text, err := protojson.Marshal(right)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(right)
	if err != nil {
		t.Fatal(err)
	}
	var made admin.CreateTokenResponse
	for kind, read := range map[string]func(string) error{
		"application/json":                func(s string) error { return protojson.Unmarshal([]byte(s), &made) },
		"application/json; charset=utf-8": func(s string) error { return protojson.Unmarshal([]byte(s), &made) },
		"application/proto":               func(s string) error { return proto.Unmarshal([]byte(s), &made) },
	} {
		body := text
		if kind == "application/proto" {
			body = raw
		}
		if got := posts(h, admin.AdminServiceCreateTokenProcedure, "all", kind, body); read(got) != nil || !made.Token.NeedsApproval {
			t.Errorf("as %s: %q", kind, got)
		}
		made.Reset()
	}
}
