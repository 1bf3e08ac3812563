package scim_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// What Entra ID, Okta and others ask before they make a record, change or remove one: each
// finds whom it is about, and nobody else.
func TestFiltersOfDirectories(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	d := beginAt(t, func() time.Time { return at })
	ids := map[string]string{}
	for _, name := range []string{"ana", "ben", "cem"} {
		m := d.wants(201, "POST", "/Users", fmt.Sprintf(`{"schemas":[%s],"userName":"%s@clinic.example","externalId":"sub-%[2]s","displayName":"Dr. %[2]s","active":%t,
			"emails":[{"value":"%[2]s@mail.example","type":"work","primary":true}]}`, userURN, name, name != "cem"))
		ids[m["id"].(string)] = name
	}
	bens := ""
	for id, name := range ids {
		if name == "ben" {
			bens = id
		}
	}
	for filter, want := range map[string][]string{
		`emails[type eq "work"].value eq "BEN@mail.example"`:                            {"ben"}, // Entra ID, where it matches by address
		`EMAILS[type EQ "work"].value eq "ben@mail.example"`:                            {"ben"},
		`emails[type eq "work" and value eq "ben@mail.example"]`:                        {"ben"},
		`emails[value eq "ben@mail.example"]`:                                           {"ben"},
		`emails.value eq "ben@mail.example"`:                                            {"ben"},
		`emails eq "ben@mail.example"`:                                                  {"ben"},
		`displayName eq "dr. ben"`:                                                      {"ben"},
		`active eq true`:                                                                {"ana", "ben"},
		`active eq "False"`:                                                             {"cem"}, // as Entra ID spells it
		`userName eq "ben@clinic.example" and active eq false`:                          {},
		`userName eq "ana@clinic.example" or externalId eq "sub-cem"`:                   {"ana", "cem"},
		`active eq true and (externalId eq "sub-ben" or externalId eq "sub-cem")`:       {"ben"},
		`meta.lastModified gt "2026-01-01T00:00:00Z"`:                                   {"ana", "ben", "cem"}, // Okta, when it imports
		`meta.lastModified ge "2999-01-01T00:00:00.000Z"`:                               {},
		`meta.lastModified lt "2999-01-01T01:00:00+01:00"`:                              {"ana", "ben", "cem"},
		`meta.lastModified le "2026-01-01T00:00:00Z"`:                                   {},
		`id eq "` + bens + `" and meta.lastModified gt "2026-01-01T00:00:00Z"`:          {"ben"},
		`urn:ietf:params:scim:schemas:core:2.0:User:emails.value eq "ben@mail.example"`: {"ben"},
	} {
		got := []string{}
		for _, id := range d.found("/Users", filter) {
			got = append(got, ids[id])
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s finds %q, want %q", filter, got, want)
		}
	}
	d.wants(400, "GET", "/Users?filter="+url.QueryEscape(`userName eq "x"`)+"&filter="+url.QueryEscape(`userName eq "ana@clinic.example"`), "")
}

// Entra ID asks so whether somebody is in a group, before it puts them there or takes them out.
func TestMembersAreFound(t *testing.T) {
	d := begin(t)
	ana, ben := d.user("ana"), d.user("ben")
	m := d.wants(201, "POST", "/Groups", fmt.Sprintf(`{"schemas":[%s],"displayName":"Nurses","members":[{"value":"%s"}]}`, groupURN, ana))
	nurses := []string{m["id"].(string)}
	d.wants(201, "POST", "/Groups", `{"schemas":[`+groupURN+`],"displayName":"Cooks"}`)
	for filter, want := range map[string][]string{
		`id eq "` + nurses[0] + `" and members eq "` + ana + `"`: nurses,
		`id eq "` + nurses[0] + `" and members eq "` + ben + `"`: nil,
		`members[value eq "` + ana + `"]`:                        nurses,
		`members.value eq "` + ana + `"`:                         nurses,
		`meta.lastModified lt "2001-01-01T00:00:00Z"`:            nil,
	} {
		if got := d.found("/Groups", filter); !slices.Equal(got, want) {
			t.Errorf("%s finds %q", filter, got)
		}
	}
	for _, filter := range []string{`active eq true`, `userName eq "x"`, `members[display eq "x"]`, `members.display eq "x"`, `members pr`, `emails.value eq "x"`} {
		d.wants(400, "GET", "/Groups?filter="+url.QueryEscape(filter), "")
	}
}

// A way to say that somebody left, or is in a group, that is not understood is refused: a
// directory that is told "done" does not say it again.
func TestOddPathsAreNotTakenForDone_A18(t *testing.T) {
	d := begin(t)
	ana := d.user("ana")
	g := d.wants(201, "POST", "/Groups", `{"schemas":[`+groupURN+`],"displayName":"Nurses"}`)["id"].(string)
	for _, ops := range []string{
		`{"op":"replace","path":" active","value":false}`, `{"op":"replace","path":"/active","value":false}`, `{"op":"replace","path":"User.active","value":false}`,
		`{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User.active","value":false}`, `{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.1:User:active","value":false}`,
		`{"op":"replace","path":"attributes[name eq \"active\"].value","value":false}`, `{"op":"replace","path":"active.value","value":false}`, `{"op":"replace","path":"active ","value":false}`,
		`{"op":"replace","value":{"User":{"active":false}}}`, `{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:User":{"active":false}}}`, `{"op":"replace","value":{"a":{"b":{"Active":false}}}}`,
		`{"op":"replace","value":{"/active":false}}`, `{"op":"replace","value":{"active[x eq 1]":false}}`, `{"op":"replace","value":"active"}`, `{"op":"replace","value":[{"active":false}]}`,
		`{"op":"replace","path":"emails","value":"x@clinic.example"}`, `{"op":"replace","path":"emails[value eq \"x\"].value","value":"x@clinic.example"}`,
	} {
		if d.patch(400, "/Users/"+ana, ops); d.person("ana").ShutOut() {
			t.Fatalf("%s is refused, and done", ops)
		}
	}
	for _, ops := range []string{`{"op":"test","path":"title","value":"x"}`, `{"op":"move","path":"title","value":"x"}`, `{"path":"title","value":"x"}`, `{"op":"replace","Path":"/active","value":false}`,
		`{"op":"replace","PATH":"User.active","value":false}`, `{"op":"replace","Path":"title` + strings.Repeat("(", 1000) + `","value":"x"}`} {
		d.patch(400, "/Users/"+ana, ops)
	}
	for _, record := range []string{`"urn:ietf:params:scim:schemas:core:2.0:User:active":false`, `"urn:ietf:params:scim:schemas:core:2.0:User":{"active":false}`, `"user":{"active":"False"}`} {
		d.wants(400, "PUT", "/Users/"+ana, `{"schemas":[`+userURN+`],"userName":"ana@clinic.example","externalId":"sub-ana",`+record+`}`)
	}
	for _, ops := range []string{ // in another letter case it is understood
		`{"Op":"Replace","Path":"phoneNumbers[type eq \"work\"].value","Value":"1"}`, `{"Op":"Replace","Path":"ACTIVE","Value":"False"}`,
	} {
		d.patch(200, "/Users/"+ana, ops)
	}
	if !d.person("ana").ShutOut() {
		t.Error("a leaver is let in")
	}
	for _, ops := range []string{
		`{"op":"add","path":"/members","value":[{"value":"` + ana + `"}]}`, `{"op":"add","path":"Group.members","value":[{"value":"` + ana + `"}]}`,
		`{"op":"add","value":{"urn:ietf:params:scim:schemas:core:2.0:Group":{"members":[{"value":"` + ana + `"}]}}}`,
	} {
		d.patch(400, "/Groups/"+g, ops)
	}
	for _, ops := range []string{ // what decides nothing is done as soon as it came
		`{"op":"replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"ICU"}`,
		`{"op":"replace","value":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"ICU"}}}`, `{"op":"add","path":"interactive","value":"x"}`,
	} {
		d.patch(200, "/Users/"+ana, ops)
	}
}

// The address of work is the one that is kept: another one is nobody's login.
func TestAnotherAddressIsNotTakenForThatOfWork_A15(t *testing.T) {
	d := begin(t)
	m := d.wants(201, "POST", "/Users", `{"schemas":[`+userURN+`],"userName":"jdoe","externalId":"e1","emails":[{"value":"doe@clinic.example","type":"work"}]}`)
	path := "/Users/" + m["id"].(string)
	for _, filter := range []string{`type eq \"home\"`, `type eq \"other\"`, `primary eq false`} {
		d.patch(200, path, `{"op":"Replace","path":"emails[`+filter+`].value","value":"ben@clinic.example"}`)
		if u := d.person("doe"); u.Provision.Email != "doe@clinic.example" {
			t.Errorf("%s gives the login %s", filter, u.Login)
		}
	}
	d.patch(200, path, `{"op":"Add","path":"emails","value":[{"value":"ben@clinic.example","type":"home"}]}`)
	if u := d.person("doe"); u.Provision.Email != "doe@clinic.example" {
		t.Errorf("an address beside that of work gives the login %s", u.Login)
	}
	d.patch(200, path, `{"op":"Replace","path":"emails[primary eq true].value","value":"doe2@clinic.example"}`)
	d.person("doe2")
}
