package coordinator_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// The one table of who may do what. A route that is not in it fails the test
// that walks them all.

// operatorRoutes says which scope each route of the admin API asks for.
func operatorRoutes() map[string]string {
	return map[string]string{
		"Status": "desk", "ListWarnings": "read", "ListNodes": "desk", "GetNode": "desk", "ListRoutes": "read", "ListTokens": "read",
		"GetPolicy": "read", "CheckPolicy": "read", "TestPolicy": "read", "ExplainPolicy": "read", "ReachPolicy": "read", "DiffPolicy": "read", "LogPolicy": "read",
		"ApproveNode": "nodes", "RejectNode": "nodes", "HoldNode": "nodes", "ExpireNode": "nodes", "RenewNode": "nodes", "RemoveNode": "nodes", "TagNode": "nodes", "ApproveRoute": "nodes",
		"ListUsers": "desk", "ListSessions": "desk", "DisableUser": "users", "EnableUser": "users", "ForgetUser": "users", "EndSession": "sessions", "RequireSignIn": "policy",
		"AddUser": "people", "ResetUser": "people", "GroupUser": "people",
		"CreateToken": "tokens", "RevokeToken": "tokens", "SetPolicy": "policy", "ConfirmPolicy": "policy", "RollBackPolicy": "policy",
		"ListAudit": "audit", "VerifyAudit": "audit", "ExportAudit": "audit", "Backup": "backup",
		"ListRoles": "read", "GrantRole": "roles", "RevokeRole": "roles", "BeginLogin": nothing, "FinishLogin": nothing, "WhoAmI": something, "EndLogin": something,
	}
}

// nodeRoutes says for each route of the node API whether a key that is not of
// the mesh may reach it. No key that was revoked reaches any but Enrol, which refuses it.
func nodeRoutes() map[string]bool {
	return map[string]bool{"Enrol": true, "Renew": false, "Follow": false, "Acknowledge": false, "Report": false, "Surrender": false, "LookupRules": false,
		"BeginJoin": true, "AwaitJoin": true, "BeginLogin": false, "AwaitLogin": false, "Logout": false, "Active": false}
}

// What routes ask for that are for everybody, and for everybody with a good token.
const nothing, something = "nothing", "something"

// implies says which scopes may see, and end sessions, as well.
func implies(held, wanted string) bool {
	reads := slices.Contains([]string{"read", "nodes", "tokens", "users", "people", "policy", "roles"}, held)
	switch wanted {
	case nothing:
		return true
	case something:
		return held != ""
	case "desk":
		return reads || held == "desk" || held == "sessions"
	case "read":
		return reads
	case "sessions":
		return held == "sessions" || held == "users"
	}
	return held == wanted
}

// nowhere are routes that must not be on any listener of the TLS port or the socket.
func nowhere() []string {
	return []string{"/", "/metrics", "/debug/pprof/", "/debug/vars", "/healthz", "/shutdown", "/restore",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		"/cordon.admin.v1.AdminService/", "/cordon.admin.v1.AdminService/Nothing", "/cordon.wire.v1.NodeService/Nothing"}
}

// methods gives the routes of a service by the names of its methods, as its
// description has them.
func methods(t *testing.T, file protoreflect.FileDescriptor, table []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	service := file.Services().Get(0)
	for i := range service.Methods().Len() {
		name := string(service.Methods().Get(i).Name())
		if !slices.Contains(table, name) {
			t.Errorf("route %s has no row: say who may reach it", name)
		}
		out[name] = "/" + string(service.FullName()) + "/" + name
	}
	if len(out) != len(table) {
		t.Errorf("the table has %d rows for %d routes", len(table), len(out))
	}
	return out
}

// A02, A07: every route, asked for by everybody, through every door.
func TestEveryRouteForEveryRole(t *testing.T) {
	r := begin(t, nil)
	nodeAPI := methods(t, wire.File_coordinator_wire_wire_proto, slices.Collect(maps.Keys(nodeRoutes())))
	adminAPI := methods(t, admin.File_coordinator_admin_admin_proto, slices.Collect(maps.Keys(operatorRoutes())))
	_, secret := r.token(enrolToken())
	r.walkAsNodes(t, secret, nodeAPI, adminAPI)
	r.walkAsOperators(t, secret, nodeAPI, adminAPI)
}

func (r *running) walkAsNodes(t *testing.T, secret string, nodeAPI, adminAPI map[string]string) {
	member, stranger, former := r.enrol(secret), r.machine(), r.enrol(secret)
	if _, err := r.root.RemoveNode(t.Context(), connect.NewRequest(&admin.RemoveNodeRequest{Node: former.id})); err != nil {
		t.Fatal(err)
	}
	nobody := r.operator(wire.NodeServerName) // shows no certificate where one is asked for
	check := func(who, route string, got, want answer) {
		t.Helper()
		if got != want {
			t.Errorf("%s at %s: %s, want %s", who, route, got, want)
		}
	}
	base := "https://" + r.address
	for name, route := range nodeAPI {
		outsider := refused
		if nodeRoutes()[name] {
			outsider = served
		}
		check("a node", route, post(t, member.http, base+route, nil), served)
		check("an unknown key", route, post(t, stranger.http, base+route, nil), outsider)
		check("a revoked key", route, post(t, former.http, base+route, nil), outsider)
		check("nobody", route, post(t, nobody, base+route, nil), broken)
	}
	_, all := r.token(adminToken("read", "nodes", "tokens", "users", "policy", "audit", "backup"))
	for _, route := range slices.Concat(slices.Collect(maps.Values(adminAPI)), nowhere()) {
		check("a node", route, post(t, member.http, base+route, nil), absent)
		check("a node with an admin token", route, post(t, member.http, base+route, bearer(all)), absent)
		check("an unknown key", route, post(t, stranger.http, base+route, nil), refused)
		check("a revoked key", route, post(t, former.http, base+route, nil), refused)
	}
}

func bearer(secret string) http.Header {
	return http.Header{"Authorization": {"Bearer " + secret}}
}

func (r *running) walkAsOperators(t *testing.T, enrolSecret string, nodeAPI, adminAPI map[string]string) {
	revokedID, revoked := r.token(adminToken("read", "nodes", "tokens", "users", "policy", "audit", "backup"))
	if _, err := r.root.RevokeToken(t.Context(), connect.NewRequest(&admin.RevokeTokenRequest{Id: revokedID})); err != nil {
		t.Fatal(err)
	}
	roles := map[string]http.Header{"no token": nil, "a wrong token": bearer("x"), "an empty token": bearer(""), "an enrolment token": bearer(enrolSecret),
		"a revoked token": bearer(revoked), "a token in another scheme": {"Authorization": {"Basic " + revoked}}}
	held := map[string]string{}
	for _, scope := range admin.Scopes() {
		_, secret := r.token(adminToken(string(scope)))
		name := "a token for " + string(scope)
		roles[name], held[name] = bearer(secret), string(scope)
	}
	for _, door := range []string{admin.ServerName, "127.0.0.1", "portal.example"} {
		client := r.operator(door)
		for role, header := range roles {
			for method, route := range adminAPI {
				if method == "EndLogin" {
					continue // it ends the token, and comes last
				}
				want := refused
				if implies(held[role], operatorRoutes()[method]) {
					want = served
				}
				if got := post(t, client, "https://"+r.address+route, header); got != want {
					t.Errorf("%s at %s, by %s: %s, want %s", role, route, door, got, want)
				}
			}
			for _, route := range slices.Concat(slices.Collect(maps.Values(nodeAPI)), nowhere()) {
				if got := post(t, client, "https://"+r.address+route, header); got != absent {
					t.Errorf("%s at %s, by %s: %s, want absent", role, route, door, got)
				}
			}
		}
	}
	client, end := r.operator(admin.ServerName), "https://"+r.address+adminAPI["EndLogin"]
	for role, header := range roles {
		want := refused
		if held[role] != "" {
			want = served
		}
		if got := []answer{post(t, client, end, header), post(t, client, end, header)}; got[0] != want || got[1] != refused {
			t.Errorf("%s ends what it came with, and once more: %s", role, got)
		}
	}
}

// A token is good until its end, and not at it.
func TestExpiredTokenIsRefused(t *testing.T) {
	c := &clock{now: time.Now()}
	r := begin(t, func(config *coordinator.Config) { config.Now = c.Now })
	_, secret := r.token(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ADMIN, Scopes: []string{"read"}, Lifetime: 60})
	url := "https://" + r.address + admin.AdminServiceStatusProcedure
	if got := post(t, r.operator(admin.ServerName), url, bearer(secret)); got != served {
		t.Errorf("a fresh token is %s", got)
	}
	c.forward(time.Minute)
	if got := post(t, r.operator(admin.ServerName), url, bearer(secret)); got != refused {
		t.Errorf("an expired token is %s", got)
	}
}

// What a token's holder makes may do no more than its maker, and ends no later.
func TestTokenHandsOnNoMoreThanItHas(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(adminToken("tokens", "read"))
	client := admin.NewAdminServiceClient(r.operator(admin.ServerName), "https://"+r.address)
	for _, c := range []struct {
		scopes   []string
		lifetime int64
		want     connect.Code
	}{
		{[]string{"read"}, 60, 0}, {[]string{"tokens", "read"}, 60, 0}, {[]string{"policy"}, 60, connect.CodePermissionDenied},
		{[]string{"read", " backup"}, 60, connect.CodePermissionDenied}, {[]string{"read"}, 7200, connect.CodePermissionDenied},
		{[]string{"read"}, 1 << 40, connect.CodeInvalidArgument}, {[]string{"read"}, -1, connect.CodeInvalidArgument},
	} {
		req := connect.NewRequest(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ADMIN, Scopes: c.scopes, Lifetime: c.lifetime})
		req.Header().Set("Authorization", "Bearer "+secret)
		_, err := client.CreateToken(t.Context(), req)
		if got := connect.CodeOf(err); err == nil && c.want != 0 || err != nil && got != c.want {
			t.Errorf("%v for %d s: %v, want code %v", c.scopes, c.lifetime, err, c.want)
		}
	}
}

// A01: no message of a node names its sender, so none can lie about it.
func TestNoRequestNamesItsSender_A01(t *testing.T) {
	service := wire.File_coordinator_wire_wire_proto.Services().Get(0)
	for i := range service.Methods().Len() {
		fields := service.Methods().Get(i).Input().Fields()
		for j := range fields.Len() {
			if name := string(fields.Get(j).Name()); slices.Contains([]string{"node", "id", "node_key", "key", "sender", "self", "peer"}, name) {
				t.Errorf("%s has a field %s", service.Methods().Get(i).Input().Name(), name)
			}
		}
	}
}

// A05: no message of a node has a place for what only the coordinator may say of
// somebody, however deep in it; what a sender adds on its own is dropped. By its acr a
// sign-in asks for a level of proof, and claims none.
func TestNoRequestCarriesAProof_A05(t *testing.T) {
	var walk func(m protoreflect.MessageDescriptor, path string, seen map[protoreflect.FullName]bool) int
	walk = func(m protoreflect.MessageDescriptor, path string, seen map[protoreflect.FullName]bool) (fields int) {
		if seen[m.FullName()] {
			return 0
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			fields++
			if f.FullName() == "cordon.wire.v1.BeginLoginRequest.acr" {
				continue
			}
			for word := range strings.SplitSeq(string(f.Name()), "_") {
				if slices.Contains([]string{"role", "roles", "group", "groups", "tag", "tags", "issuer", "subject", "user", "owner", "mfa", "amr", "acr", "proved", "approved", "admin"}, word) {
					t.Errorf("%s.%s is the coordinator's to say", path, f.Name())
				}
			}
			if f.Message() != nil {
				fields += walk(f.Message(), path+"."+string(f.Name()), seen)
			}
		}
		return fields
	}
	service, fields := wire.File_coordinator_wire_wire_proto.Services().Get(0), 0
	for i := range service.Methods().Len() {
		in := service.Methods().Get(i).Input()
		fields += walk(in, string(in.Name()), map[protoreflect.FullName]bool{})
	}
	if fields < 20 {
		t.Errorf("only %d fields were looked at", fields)
	}
}

const helperSocket = "CORDON_TEST_ADMIN_SOCKET"

// The socket serves its own user and root, and nobody else, even if the file's
// mode would let them in.
func TestSocketServesItsOwnerAlone_A41(t *testing.T) {
	r := begin(t, nil)
	for _, route := range admin.Procedures() {
		if got := post(t, socketClient(r.config.Socket), "http://cordon"+route, nil); got != served {
			t.Errorf("the owner at %s: %s", route, got)
		}
	}
	if got := post(t, socketClient(r.config.Socket), "http://cordon"+admin.AdminServiceStatusProcedure, http.Header{"Origin": {"https://evil.example"}}); got != refused {
		t.Errorf("a page in a browser: %s", got)
	}
	if info, err := os.Stat(r.config.Socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if os.Geteuid() != 0 {
		return // only root can be somebody else
	}
	if err := os.Chmod(filepath.Dir(r.config.Socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.config.Socket, 0o666); err != nil {
		t.Fatal(err)
	}
	other := exec.Command("/proc/self/exe")
	other.Env = []string{helperSocket + "=" + r.config.Socket}
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := other.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != len(admin.Procedures()) || slices.ContainsFunc(lines, func(s string) bool { return s != "401" }) {
		t.Errorf("another user is answered %v", lines)
	}
}

// TestMain plays the other user when it is told to.
func TestMain(m *testing.M) {
	socket := os.Getenv(helperSocket)
	if socket == "" {
		os.Exit(m.Run())
	}
	for _, route := range admin.Procedures() {
		resp, err := socketClient(socket).Post("http://cordon"+route, "application/json", strings.NewReader("{}"))
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(resp.StatusCode)
		resp.Body.Close()
	}
}

func socketClient(path string) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}
