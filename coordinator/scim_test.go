package coordinator_test

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func provisioned(c *coordinator.Config) {
	away(c)
	c.SCIM.On = true
}

// provision sends what a directory sends, with a credential as an admin got it.
func (r *running) provision(sni, credential, method, path, body string) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "https://"+r.address+"/scim/v2"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	req.Header.Set("Content-Type", "application/scim+json")
	resp, err := r.operator(sni).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// The directory has a door where one was made for it, and its token opens that alone.
func TestDirectorysDoor_A02(t *testing.T) {
	const ana = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ana@clinic.example","externalId":"x"}`
	r := begin(t, provisioned)
	made, err := r.root.CreateToken(t.Context(), connect.NewRequest(adminToken("scim")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := admin.ParseCredential(made.Msg.Text)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.provision("mesh.example", c.Secret, "GET", "/Users", ""); got != 200 {
		t.Errorf("the secret alone: %d", got)
	}
	if got := r.provision("mesh.example", made.Msg.Text, "POST", "/Users", ana); got != 201 {
		t.Errorf("the whole credential: %d", got)
	}
	if got := r.provision(admin.ServerName, c.Secret, "GET", "/Users", ""); got != 404 {
		t.Errorf("by the name for operators' tools: %d", got)
	}
	users, err := r.root.ListUsers(t.Context(), connect.NewRequest(new(admin.ListUsersRequest)))
	if err != nil || len(users.Msg.Users) != 1 || users.Msg.Users[0].ExternalId != "x" || users.Msg.Users[0].Record == "" {
		t.Errorf("%v, %v", users, err)
	}
	header := http.Header{"Authorization": {"Bearer " + c.Secret}}
	for _, p := range admin.Procedures() {
		if want, _ := admin.ScopeOf(p); want == "any" || want == "none" {
			continue // by these one becomes somebody, or nobody again
		}
		if got := post(t, r.operator(admin.ServerName), "https://"+r.address+p, header); got == served && p != admin.AdminServiceExportAuditProcedure && p != admin.AdminServiceBackupProcedure {
			t.Errorf("%s is served to a directory", p)
		}
	}
	r = begin(t, away)
	if got := r.provision("mesh.example", c.Secret, "GET", "/Users", ""); got != 404 {
		t.Errorf("where no directory provisions: %d", got)
	}
}

func TestBadDirectorySettingsAreNamed(t *testing.T) {
	r := begin(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for match, want := range map[string]string{"email": "scim-match", "claim:": "scim-match", "": "oidc-issuer"} {
		config := r.config
		config.SCIM = coordinator.SCIM{On: true, Match: match}
		wants(t, coordinator.Run(t.Context(), config), want)
	}
}
