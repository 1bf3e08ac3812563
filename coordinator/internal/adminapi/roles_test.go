package adminapi_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// person makes somebody known, who signed in at a machine, with a role and an
// admin session whose secret is their login.
func person(t *testing.T, r *registry.Registry, login, role string) {
	t.Helper()
	who := registry.Identity{Issuer: "https://id.clinic.example", Subject: login, Login: login, At: time.Now()}
	node, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
	for _, c := range []registry.Command{
		registry.CreateToken{ID: "join-" + login[:1], Secret: registry.HashSecret("join-" + login), Kind: registry.EnrolToken, User: login},
		registry.Enrol{Secret: registry.HashSecret("join-" + login), Key: node.Public(), Name: "laptop", Statement: wire.SignStatement(&node, tunnel.Public(), path.Public(), 1)},
		registry.BeginSession{ID: "s-" + login[:1], Node: wire.NodeID(node.Public()), Who: who, Life: time.Hour},
		registry.GrantRole{User: login, Role: role},
		registry.BeginAdmin{ID: "of-" + login[:1], Secret: registry.HashSecret(login), Who: who, Life: time.Hour},
	} {
		if _, err := r.Do(t.Context(), registry.Operator("root"), c); err != nil {
			t.Fatalf("%T: %v", c, err)
		}
	}
}

// call sends a request as JSON in the name of whoever has a secret.
func call(h http.Handler, procedure, secret string, body io.Reader) (code int, answer map[string]any) {
	req := httptest.NewRequest(http.MethodPost, procedure, body)
	req.TLS = &tls.ConnectionState{HandshakeComplete: true}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer
}

func TestRolesThroughTheDoor(t *testing.T) {
	h, r := door(t)
	person(t, r, "olga@clinic.example", "owner")
	person(t, r, "hella@clinic.example", "help-desk")
	code, answer := call(h, admin.AdminServiceListRolesProcedure, "olga@clinic.example", strings.NewReader("{}"))
	if code != http.StatusOK || !strings.Contains(dump(answer), `"holders":["hella@clinic.example"],"name":"help-desk","scopes":["desk","sessions"]}`) {
		t.Errorf("roles: %d %s", code, dump(answer))
	}
	if code, _ := call(h, admin.AdminServiceEndSessionProcedure, "hella@clinic.example", strings.NewReader(`{"id": "s-o"}`)); code != http.StatusOK {
		t.Errorf("the help desk ends a session: %d", code)
	}
	if code, answer := call(h, admin.AdminServiceRevokeRoleProcedure, "olga@clinic.example", strings.NewReader(`{"user": "olga@clinic.example", "role": "owner", "lastOwner": true}`)); answer["code"] != "failed_precondition" {
		t.Errorf("the last owner goes: %d %v", code, answer)
	}
	code, answer = call(h, admin.AdminServiceGrantRoleProcedure, "olga@clinic.example", strings.NewReader(`{"user": "hella@clinic.example", "role": "auditor"}`))
	if code != http.StatusOK || !strings.Contains(dump(answer), `"roles":["auditor","help-desk"]`) {
		t.Errorf("granted: %d %s", code, dump(answer))
	}
	if code, _ := call(h, admin.AdminServiceListTokensProcedure, "hella@clinic.example", strings.NewReader("{}")); code != http.StatusOK {
		t.Errorf("a role that was given now does not count: %d", code)
	}
}

// The policy's language means by its own names those who have our roles.
func TestPolicyKnowsEveryRole(t *testing.T) {
	meant := map[admin.Role][]string{
		admin.RoleOwner: {"owner", "admin"}, admin.RolePolicyAdmin: {"network-admin"}, admin.RoleDeviceAdmin: {"it-admin"},
		admin.RoleAuditor: {"auditor"}, admin.RoleHelpDesk: nil,
	}
	for _, role := range admin.Roles() {
		_, r := door(t)
		person(t, r, "ana@clinic.example", string(role))
		u, _ := r.Snapshot().UserByLogin("ana@clinic.example")
		if got := distribute.Person(r.Snapshot(), u).Roles; !slices.Equal(got, meant[role]) {
			t.Errorf("%s is %v", role, got)
		}
	}
	if string(admin.RoleOwner) != registry.OwnerRole || !slices.Contains(admin.RoleScopes("owner"), string(admin.ScopeTokens)) {
		t.Error("the registry keeps the last of another role")
	}
}

func dump(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// slow is a body that begins to arrive, and ends when it is told to.
type slow struct {
	begun chan struct{}
	rest  chan string
}

func (s *slow) Read(p []byte) (int, error) {
	select {
	case <-s.begun:
	default:
		close(s.begun)
	}
	text, more := <-s.rest
	if !more {
		return 0, io.EOF
	}
	return copy(p, text), nil
}

// A04: the edge let a policy admin in, the role was taken, and only then the rest
// of their policy came.
func TestPolicyOnItsWayWhenTheRoleIsTaken_A04(t *testing.T) {
	h, r := door(t)
	person(t, r, "paul@clinic.example", "policy-admin")
	body := &slow{begun: make(chan struct{}), rest: make(chan string)}
	got := make(chan any, 1)
	go func() {
		_, answer := call(h, admin.AdminServiceSetPolicyProcedure, "paul@clinic.example", body)
		got <- answer["code"]
	}()
	<-body.begun
	if _, err := r.Do(context.Background(), registry.Operator("root"), registry.RevokeRole{User: "paul@clinic.example", Role: "policy-admin"}); err != nil {
		t.Fatal(err)
	}
	body.rest <- `{"text": "{\"grants\": []}"}`
	close(body.rest)
	if code := <-got; code != "permission_denied" || r.Snapshot().Policy() != nil {
		t.Errorf("answered %v, and the policy is %+v", code, r.Snapshot().Policy())
	}
}

// A05: a role comes by the routes for it alone, and a group by those for people of
// the coordinator's own: no other request has a field for one, and what has no field gives none.
func TestNoOtherRequestHasARole_A05(t *testing.T) {
	with := map[string][]string{"CreateToken": {"role", "scopes"}, "GrantRole": {"role"}, "RevokeRole": {"role"}, "AddUser": {"groups"}, "GroupUser": {"groups"}}
	methods := admin.File_coordinator_admin_admin_proto.Services().ByName("AdminService").Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		fields := m.Input().Fields()
		for k := range fields.Len() {
			if f := fields.Get(k); powerful(f) && !slices.Contains(with[string(m.Name())], string(f.Name())) {
				t.Errorf("%s takes %s from whoever asks", m.Name(), f.FullName())
			}
		}
	}
	h, r := door(t)
	person(t, r, "dan@clinic.example", "device-admin")
	call(h, admin.AdminServiceEnableUserProcedure, "dan@clinic.example", strings.NewReader(`{"user": "dan@clinic.example", "role": "owner", "roles": ["owner"], "disabled": false}`))
	if len(r.Snapshot().Holders("owner")) != 0 {
		t.Error("a field that is none gave a role")
	}
}

func powerful(f protoreflect.FieldDescriptor) bool {
	return slices.Contains([]string{"role", "roles", "scope", "scopes", "holder", "mfa", "amr", "acr", "groups", "issuer", "subject"}, string(f.Name()))
}

// A14, A18: the token that a leaver made is no token at the door while it rests, and is
// listed as one that rests.
func TestLeaversTokenAtTheDoor_A14_A18(t *testing.T) {
	h, r := door(t)
	person(t, r, "olga@clinic.example", "owner")
	do := func(actor registry.Actor, c registry.Command) {
		t.Helper()
		if _, err := r.Do(t.Context(), actor, c); err != nil {
			t.Fatal(err)
		}
	}
	do(registry.AdminActor("olga@clinic.example", "of-o"), registry.CreateToken{ID: "hers", Secret: registry.HashSecret("hers"), Kind: registry.AdminToken, Scopes: []string{"tokens"}, Lifetime: time.Minute})
	list := func(secret string) (int, string) {
		code, answer := call(h, admin.AdminServiceListTokensProcedure, secret, strings.NewReader("{}"))
		return code, dump(answer)
	}
	if code, all := list("hers"); code != http.StatusOK || strings.Contains(all, "rests") {
		t.Fatalf("before: %d %s", code, all)
	}
	do(registry.System, registry.SignOut{Issuer: "https://id.clinic.example", Subject: "olga@clinic.example"})
	for _, secret := range []string{"hers", "olga@clinic.example"} {
		if code, _ := list(secret); code != http.StatusUnauthorized {
			t.Errorf("with %s: %d", secret, code)
		}
	}
	do(registry.System, registry.CreateToken{ID: "roots", Secret: registry.HashSecret("roots"), Kind: registry.AdminToken, Scopes: []string{"tokens"}})
	if _, all := list("roots"); strings.Count(all, `"rests":true`) != 1 {
		t.Errorf("listed: %s", all)
	}
}
