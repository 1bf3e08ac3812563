package scim_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What no directory sends is refused, quickly, and changes nothing.
func TestHostileBodies_A43(t *testing.T) {
	d := begin(t)
	id := d.user("ana")
	before := d.registry.Snapshot().Revision
	op := func(s string) string { return fmt.Sprintf(`{"schemas":[%s],"Operations":[%s]}`, patchURN, s) }
	for what, c := range map[string]struct {
		status       int
		method, path string
		body         string
	}{
		"huge":             {413, "POST", "/Users", `{"userName":"` + strings.Repeat("a", 1<<20) + `"}`},
		"deep":             {400, "POST", "/Users", `{"schemas":[` + userURN + `],"userName":"b@clinic.example","x":` + strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 51)},
		"deeper":           {400, "POST", "/Users", strings.Repeat(`[`, 500_000)},
		"wide":             {400, "POST", "/Groups", `{"schemas":[` + groupURN + `],"displayName":"x","members":[` + strings.Repeat(`{"value":"x"},`, 30000) + `{"value":"x"}]}`},
		"name twice":       {400, "PATCH", "/Users/" + id, op(`{"op":"replace","path":"active","value":true,"VALUE":false}`)},
		"two values":       {400, "POST", "/Users", `{} {}`},
		"no object":        {400, "POST", "/Users", `[1]`},
		"nothing":          {400, "POST", "/Users", ``},
		"null":             {400, "POST", "/Users", `null`},
		"unknown schema":   {400, "POST", "/Users", `{"schemas":["urn:x"],"userName":"b@clinic.example"}`},
		"no schema":        {400, "POST", "/Users", `{"userName":"b@clinic.example"}`},
		"patch of none":    {400, "PATCH", "/Users/" + id, op(``)},
		"operation 1":      {400, "PATCH", "/Users/" + id, op(`1`)},
		"path in brackets": {400, "PATCH", "/Users/" + id, op(`{"op":"replace","path":"emails[(((type eq \"work\")))].value","value":"x@y.example"}`)},
		"path of brackets": {400, "PATCH", "/Users/" + id, op(`{"op":"replace","path":"emails[` + strings.Repeat("(", 200) + `","value":1}`)},
		"long path":        {400, "PATCH", "/Users/" + id, op(`{"op":"replace","path":"emails[type eq \"` + strings.Repeat("x", 900) + `\"]","value":1}`)},
		"another's id":     {404, "PATCH", "/Users/r-another", op(`{"op":"replace","path":"active","value":false}`)},
		"group's id":       {404, "PATCH", "/Groups/" + id, op(`{"op":"replace","path":"displayName","value":"x"}`)},
		"path out":         {404, "DELETE", "/Users/..%2f..%2fx", ``},
		"control":          {400, "POST", "/Users", `{"schemas":[` + userURN + `],"userName":"b@clinic.example","displayName":"a\u202eb"}`},
		"line":             {400, "POST", "/Users", `{"schemas":[` + userURN + `],"userName":"b\nc@clinic.example"}`},
		"looks alike":      {400, "POST", "/Users", `{"schemas":[` + userURN + `],"userName":"\u212aim@clinic.example"}`},
		"method":           {404, "PUT", "/Users", `{}`},
		"search":           {501, "POST", "/Users/.search", `{}`},
		"bulk":             {404, "POST", "/Bulk", `{}`},
		"me":               {501, "GET", "/Me", ``},
	} {
		began := time.Now()
		if status, m := d.send(c.method, c.path, c.body); status != c.status {
			t.Errorf("%s: %d %.200v, want %d", what, status, fmt.Sprint(m), c.status)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s takes %v", what, took)
		}
	}
	d.kind = "text/plain"
	d.wants(415, "POST", "/Users", `{}`)
	if d.registry.Snapshot().Revision != before {
		t.Error("something of that changed the mesh")
	}
}

// What is wrong of a request is told by a word that directories know.
func TestRefusalsNameTheirKind(t *testing.T) {
	d := begin(t)
	id := d.user("ana")
	d.user("ben")
	patch := func(op string) string { return fmt.Sprintf(`{"schemas":[%s],"Operations":[%s]}`, patchURN, op) }
	for _, c := range []struct {
		kind, method, path, body string
	}{
		{"invalidSyntax", "POST", "/Users", `{`},
		{"invalidSyntax", "POST", "/Users", `{"schemas":[` + userURN + `],"userName":"x@clinic.example","activ":false}`},
		{"invalidSyntax", "PATCH", "/Users/" + id, patch(`{"op":"move","path":"active","value":true}`)},
		{"invalidSyntax", "PATCH", "/Users/" + id, patch(`{"op":"replace","value":{"activ":false}}`)},
		{"invalidPath", "PATCH", "/Users/" + id, patch(`{"op":"replace","path":"activ","value":false}`)},
		{"invalidPath", "PATCH", "/Users/" + id, patch(`{"op":"replace","path":"emails[(((type eq \"work\")))].value","value":"x"}`)},
		{"invalidPath", "PATCH", "/Users/" + id, patch(`{"op":"replace","path":"emails[type eq \"` + strings.Repeat("x", 900) + `\"]","value":1}`)},
		{"invalidValue", "PATCH", "/Users/" + id, patch(`{"op":"replace","path":"active","value":"perhaps"}`)},
		{"invalidValue", "POST", "/Users", `{"schemas":[` + userURN + `],"userName":"a\u202eb@clinic.example"}`},
		{"mutability", "PATCH", "/Users/" + id, patch(`{"op":"remove","path":"active"}`)},
		{"uniqueness", "POST", "/Users", `{"schemas":[` + userURN + `],"userName":"ben@clinic.example"}`},
		{"invalidFilter", "GET", "/Users?filter=userName+sw+%22a%22", ""},
		{"invalidFilter", "GET", "/Users?filter=id+pr&filter=id+pr", ""},
		{"invalidValue", "GET", "/Users?count=many", ""},
		{"invalidValue", "GET", "/Users?startIndex=1x", ""},
		{"invalidValue", "GET", "/Users?attributes=" + strings.Repeat("x", 900), ""},
	} {
		want := 400
		if c.kind == "uniqueness" {
			want = 409
		}
		if status, m := d.send(c.method, c.path, c.body); status != want || m["scimType"] != c.kind || m["detail"] == nil {
			t.Errorf("%s %.60s %.90s: %d %v, want %s", c.method, c.path, c.body, status, m, c.kind)
		}
	}
	d.wants(200, "GET", "/Users?count=&startIndex=2", "")
}

// A filter that is not understood is refused, and finds neither all nor nobody, whatever
// stands in it.
func TestHostileFilters(t *testing.T) {
	d := begin(t)
	d.user("ana")
	for _, f := range []string{
		`userName sw "a"`, `userName pr`, `userName eq "x" or userName pr`, `not (userName eq "x")`, `userName eq "x" and (userName pr or id eq "x")`, `userName pr and userName eq "x"`, `password eq "x"`,
		`(((userName eq "ana@clinic.example")))`, `userName eq "x`, `userName ne "x"`, `userName eq true`, `userName gt "a"`, `active eq "perhaps"`, `active eq null`, `active ne true`, `name.familyName eq "x"`, `title eq "x"`, `members eq "x"`,
		`emails[type eq "home"].value eq "x"`, `emails[type eq "home" and value eq "x"]`, `emails[type eq "work" or value eq "x"]`, `emails.type eq "work"`, `emails[type eq "work"]`, `emails[value sw "x"]`, `emails[primary eq true].value eq "x"`,
		`meta.lastModified gt "yesterday"`, `meta.lastModified pr`, `meta.lastModified ne "2026-01-01T00:00:00Z"`, `meta.location eq "x"`, `id eq "x" and manager eq "y"`, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "x"`, `userName eq`, strings.Repeat("(", 5000), `userName eq "` + strings.Repeat("x", 5000) + `"`,
		strings.Repeat(`id eq "x" and `, 38) + "id pr",
		strings.Repeat("userName pr or ", 38) + "userName pr", strings.Repeat("not ", 140) + "(userName pr)", "\x00", `urn:x:userName eq "ana@clinic.example"`,
	} {
		began := time.Now()
		if status, m := d.send("GET", "/Users?filter="+url.QueryEscape(f), ""); status != 400 || m["scimType"] != "invalidFilter" {
			t.Errorf("%.40q: %d %v", f, status, m)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.40q takes %v", f, took)
		}
	}
	d.wants(201, "POST", "/Users", `{"schemas":[`+userURN+`],"userName":"ben@clinic.example"}`) // has neither address nor externalId
	for _, f := range []string{`userName eq "\" or userName pr or userName eq \""`, `userName eq "*"`, `userName eq ""`, `externalId eq ""`, `emails.value eq ""`, `emails.value eq "emails[type eq \"work\"].value"`, `externalId eq "' or 1=1 --"`} {
		if got := d.found("/Users", f); len(got) != 0 {
			t.Errorf("%q finds %v", f, got)
		}
	}
}

// A directory that asks without end is told to wait.
func TestRequestsArePaced(t *testing.T) {
	d := begin(t)
	for range 2000 {
		if status, _ := d.send("GET", "/Users", ""); status == 429 {
			return
		}
	}
	t.Error("2000 requests at once are served")
}

// A05: a name that a slip of the hand, or another system's words, make of one that decides is
// refused, and all of the request with it: a directory that is told "done" does not say again
// that somebody left. What decides nothing hinders nothing, whatever it is called.
func TestMisspeltNamesAreNotTakenForDone_A05_A18(t *testing.T) {
	d := begin(t)
	id := d.user("ana")
	group := d.wants(201, "POST", "/Groups", `{"schemas":[`+groupURN+`],"displayName":"Nurses"}`)["id"].(string)
	before := d.registry.Snapshot().Revision
	for _, name := range []string{"activ", "actve", "acitve", "aktive", "Actives", "is_active", "isActive", "inactive", "enabled", "accountEnabled", "disabled", "suspended",
		"urn:ietf:params:scim:schemas:core:2.0:User:activ", "activ.value", "usrName", "user_name", "externalld", "external-id"} {
		d.patch(400, "/Users/"+id, `{"op":"replace","path":"`+name+`","value":false}`)
		d.patch(400, "/Users/"+id, `{"op":"replace","value":{"displayName":"x","`+name+`":false}}`)
		d.patch(400, "/Users/"+id, `{"op":"replace","path":"displayName","value":"x"},{"op":"replace","path":"`+name+`","value":false}`)
	}
	for _, name := range []string{"activ", "isActive", "disabled", "usrName"} {
		d.wants(400, "PUT", "/Users/"+id, `{"schemas":[`+userURN+`],"userName":"ana@clinic.example","externalId":"sub-ana","`+name+`":false}`)
		d.wants(400, "POST", "/Users", `{"schemas":[`+userURN+`],"userName":"new@clinic.example","`+name+`":false}`)
	}
	for _, name := range []string{"member", "memebers", "Member.value", "disPlayNames", "externallId"} {
		d.patch(400, "/Groups/"+group, `{"op":"add","path":"`+name+`","value":[{"value":"`+id+`"}]}`)
		d.patch(400, "/Groups/"+group, `{"op":"add","value":{"`+name+`":[{"value":"`+id+`"}]}}`)
		d.wants(400, "PUT", "/Groups/"+group, `{"schemas":[`+groupURN+`],"displayName":"Nurses","`+name+`":[{"value":"`+id+`"}]}`)
	}
	if after := d.registry.Snapshot().Revision; after != before {
		t.Errorf("something of what was refused was done: revision %d, and before %d", after, before)
	}
	for _, name := range []string{"nickName", "title", "locale", "interactive", "native", "activity", "groups", "roles[primary eq \\\"True\\\"].value", "x509Certificates", "mfaEnabled",
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber", "urn:ietf:params:scim:schemas:extension:clinic:2.0:User:enabled", "urn:okta:clinic:1.0:user:custom:activ"} {
		d.patch(200, "/Users/"+id, `{"op":"replace","path":"`+name+`","value":"x"}`)
	}
	d.patch(200, "/Users/"+id, `{"op":"replace","value":{"active":false,"mfaEnabled":true,"urn:okta:clinic:1.0:user:custom":{"enabled":true,"status":"x"}}}`)
	if !d.person("ana").ShutOut() {
		t.Error("a leaver stays, for the sake of a name beside")
	}
}
