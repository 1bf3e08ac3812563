package scim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// What Entra ID and Okta send to disable a person, and to let them in again.
func TestSpellingsOfActive(t *testing.T) {
	d := begin(t)
	id := d.user("ana")
	for _, c := range []struct {
		ops string
		out bool
	}{
		{`{"op":"Replace","path":"active","value":"False"}`, true}, // Entra ID
		{`{"op":"Replace","path":"active","value":"True"}`, false},
		{`{"op":"replace","value":{"active":false}}`, true}, // Okta
		{`{"op":"replace","value":{"active":true}}`, false},
		{`{"op":"replace","path":"active","value":false},{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"ICU"}`, true},
		{`{"op":"add","value":{"active":true,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager":{"value":"x"},"nickName":"a"}}`, false},
		{`{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:active","value":false}`, true},
		{`{"op":"replace","path":"phoneNumbers[type eq \"work\"].value","value":"1"}`, true},
		{`{"op":"replace","path":"active","value":true},{"op":"replace","path":"active","value":false}`, true},
	} {
		m := d.patch(200, "/Users/"+id, c.ops)
		if d.person("ana").ShutOut() != c.out || m["active"] == c.out {
			t.Errorf("%s: shut out %t, answer %v", c.ops, d.person("ana").ShutOut(), m)
		}
	}
	put := func(active string) {
		d.wants(200, "PUT", "/Users/"+id, fmt.Sprintf(`{"schemas":[%s],"userName":"ana@clinic.example","externalId":"sub-ana"%s}`, userURN, active))
	}
	if put(""); !d.person("ana").ShutOut() {
		t.Error("a record that does not speak of active lets its person in")
	}
	if put(`,"active":"true"`); d.person("ana").ShutOut() {
		t.Error("a whole record does not let its person in")
	}
	if put(`,"active":false`); !d.person("ana").ShutOut() {
		t.Error("a whole record does not shut its person out")
	}
	for _, ops := range []string{`{"op":"remove","path":"active"}`, `{"op":"replace","path":"active","value":"no"}`, `{"op":"replace","path":"active","value":1}`,
		`{"op":"replace","path":"active"}`, `{"op":"burn","path":"active","value":true}`} {
		if d.patch(400, "/Users/"+id, ops); !d.person("ana").ShutOut() {
			t.Errorf("%s: lets the person in", ops)
		}
	}
}

func TestRecordOfAPerson(t *testing.T) {
	d := begin(t)
	m := d.wants(201, "POST", "/Users", `{"schemas":[`+userURN+`,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"userName":"jdoe","externalId":"e1",
		"name":{"givenName":"J","familyName":"Doe"},"emails":[{"value":"old@clinic.example","type":"home"},{"value":"J.Doe@clinic.example","primary":true}],"title":"x"}`)
	id, _ := m["id"].(string)
	if meta, _ := m["meta"].(map[string]any); m["userName"] != "jdoe" || m["externalId"] != "e1" || m["active"] != true ||
		m["displayName"] != "J Doe" || meta["location"] != "https://mesh.example:8443/scim/v2/Users/"+id {
		t.Errorf("%v", m)
	}
	if u := d.person("j.doe"); u.Provision.ID != id || u.Provision.External != "e1" {
		t.Errorf("%+v", u)
	}
	d.patch(200, "/Users/"+id, `{"op":"Replace","path":"emails[type eq \"work\"].value","value":"doe@clinic.example"},{"op":"replace","path":"displayName","value":"Dr. Doe"}`)
	if u := d.person("doe"); u.Provision.ID != id || u.Name != "Dr. Doe" {
		t.Errorf("%+v", u)
	}
	d.patch(200, "/Users/"+id, `{"op":"replace","value":{"userName":"Doe2@clinic.example"}}`)
	d.person("doe2")
	d.wants(409, "POST", "/Users", `{"schemas":[`+userURN+`],"userName":"DOE2@clinic.example","externalId":"e2"}`)
	d.wants(409, "POST", "/Users", `{"schemas":[`+userURN+`],"userName":"x@clinic.example","externalId":"e1"}`)
	d.wants(400, "POST", "/Users", `{"schemas":[`+userURN+`],"userName":"nologin"}`)

	d.wants(204, "DELETE", "/Users/"+id, "")
	if !d.person("doe2").ShutOut() {
		t.Error("whose record was deleted is let in")
	}
	for _, method := range []string{"GET", "DELETE"} {
		d.wants(404, method, "/Users/"+id, "")
	}
	d.patch(404, "/Users/"+id, `{"op":"replace","path":"active","value":true}`)
	if again := d.wants(201, "POST", "/Users", `{"schemas":[`+userURN+`],"userName":"doe2@clinic.example","externalId":"e1"}`); again["id"] != id || d.person("doe2").ShutOut() {
		t.Errorf("came back as %v", again)
	}
}

func TestOneIsFoundAmongMany(t *testing.T) {
	d := begin(t)
	var all []string
	for i := range 7 {
		all = append(all, d.user(fmt.Sprint("u", i)))
	}
	for _, filter := range []string{`userName eq "U3@clinic.example"`, `externalId eq "sub-u3"`, `id eq "` + all[3] + `"`, `urn:ietf:params:scim:schemas:core:2.0:User:userName eq "u3@clinic.example"`,
		`userName eq "u3@clinic.example" and externalId eq "sub-u3"`, `(externalId eq "sub-u3") AND id eq "` + all[3] + `" and (userName eq "U3@clinic.example")`} {
		if got := d.found("/Users", filter); !slices.Equal(got, all[3:4]) {
			t.Errorf("%s finds %v", filter, got)
		}
	}
	for _, filter := range []string{`userName eq "nobody@clinic.example"`, `userName eq "u3@clinic.example" and externalId eq "sub-u4"`, `externalId eq "sub-u4" and userName eq "u3@clinic.example"`,
		`id eq "` + all[3] + `" and id eq "` + all[4] + `"`} {
		if got := d.found("/Users", filter); len(got) != 0 {
			t.Errorf("%s finds %v", filter, got)
		}
	}
	var paged []string
	for at := 1; at < 9; at += 3 {
		m := d.wants(200, "GET", fmt.Sprintf("/Users?startIndex=%d&count=3", at), "")
		if m["totalResults"] != 7.0 {
			t.Errorf("%v", m["totalResults"])
		}
		for _, one := range m["Resources"].([]any) {
			paged = append(paged, one.(map[string]any)["id"].(string))
		}
	}
	if slices.Sort(all); !slices.Equal(paged, all) {
		t.Errorf("pages give %v of %v", paged, all)
	}
	for _, q := range []string{"startIndex=999999999&count=999999999", "startIndex=-5&count=-5"} {
		d.wants(200, "GET", "/Users?"+q, "")
	}
	d.wants(400, "GET", "/Users?count=x", "")
}

// Every change is in the audit, in the name of the token that it came with; a token
// that was revoked, and any of another scope, changes nothing.
func TestDirectorysTokenAlone_A02_A53(t *testing.T) {
	d := begin(t)
	id := d.user("ana")
	for _, secret := range []string{"", "users", "wrong", strings.Repeat("x", 9000)} {
		d.secret = secret
		for _, r := range [][2]string{{"GET", "/Users"}, {"GET", "/ServiceProviderConfig"}, {"DELETE", "/Users/" + id}, {"POST", "/Groups"}} {
			d.wants(401, r[0], r[1], "{}")
		}
	}
	d.secret = "scim"
	if r, err := d.registry.Do(t.Context(), registry.TokenActor("scim"), registry.CreateToken{ID: "more", Secret: registry.HashSecret("more"),
		Kind: registry.AdminToken, Scopes: []string{"users"}, Lifetime: time.Minute}); err == nil {
		t.Errorf("the token of a directory made %+v", r.Token)
	}
	d.do(registry.RevokeToken{ID: "scim"})
	d.wants(401, "DELETE", "/Users/"+id, "")
	if d.person("ana").ShutOut() {
		t.Error("a revoked token shut somebody out")
	}
}
