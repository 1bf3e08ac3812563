package scim_test

import (
	"fmt"
	"slices"
	"testing"
)

// What Entra ID and Okta send to put people into groups and take them out.
func TestSpellingsOfMembers(t *testing.T) {
	d := begin(t)
	ana, ben := d.user("ana"), d.user("ben")
	m := d.wants(201, "POST", "/Groups", `{"schemas":[`+groupURN+`],"displayName":"Nurses","externalId":"g1"}`)
	g := "/Groups/" + m["id"].(string)
	for _, c := range []struct {
		ops      string
		ana, ben bool
	}{
		{`{"op":"Add","path":"members","value":[{"value":"` + ana + `"}]}`, true, false}, // Entra ID
		{`{"op":"Remove","path":"members","value":[{"value":"` + ana + `"}]}`, false, false},
		{`{"op":"add","path":"members","value":[{"value":"` + ana + `","display":"a"},{"value":"` + ben + `","display":"b"}]}`, true, true}, // Okta
		{`{"op":"remove","path":"members[value eq \"` + ana + `\"]"}`, false, true},
		{`{"op":"replace","path":"members","value":[{"value":"` + ana + `"}]}`, true, false},
		{`{"op":"remove","path":"members","value":[]}`, true, false},
		{`{"op":"replace","value":{"members":[{"value":"` + ben + `"}]}}`, false, true},
		{`{"op":"add","path":"members","value":{"value":"` + ana + `"}}`, true, true},
		{`{"op":"remove","path":"members[value eq \"` + ana + `\"]"},{"op":"add","path":"members","value":[{"value":"` + ana + `"}]}`, true, true},
		{`{"op":"add","path":"members","value":[{"value":"` + ana + `"}]},{"op":"remove","path":"members[value eq \"` + ana + `\"]"}`, false, true},
		{`{"op":"replace","path":"members","value":[{"value":"` + ana + `"},{"value":"` + ben + `"}]},{"op":"remove","path":"members","value":[{"value":"` + ben + `"}]}`, true, false},
		{`{"op":"add","path":"members","value":[{"value":"r-unknown"}]}`, true, false},
		{`{"op":"remove","path":"members"}`, false, false},
		{`{"op":"replace","value":{"id":"` + g + `","displayName":"Nurses"}}`, false, false}, // Okta sends the id too
	} {
		d.patch(200, g, c.ops)
		for name, want := range map[string]bool{"ana": c.ana, "ben": c.ben} {
			if got := slices.Contains(d.person(name).Groups, "idp:Nurses"); got != want {
				t.Errorf("%s: %s is a nurse: %t", c.ops, name, got)
			}
		}
	}
	for _, ops := range []string{`{"op":"remove","path":"members[display eq \"x\"]"}`, `{"op":"remove","path":"members[value eq \"x\" or value pr]"}`,
		`{"op":"remove","path":"displayName"}`, `{"op":"remove","path":"members[value ne \"x\"]"}`, `{"op":"add","path":"members","value":"x"}`} {
		d.patch(400, g, ops)
	}
}

func TestGroupOfTheDirectory(t *testing.T) {
	d := begin(t)
	ana := d.user("ana")
	m := d.wants(201, "POST", "/Groups", fmt.Sprintf(`{"schemas":[%s],"displayName":"Nurses","externalId":"g1","members":[{"value":"%s"}]}`, groupURN, ana))
	id := m["id"].(string)
	if list, _ := m["members"].([]any); len(list) != 1 || list[0].(map[string]any)["value"] != ana {
		t.Errorf("%v", m)
	}
	for _, filter := range []string{`displayName eq "nurses"`, `externalId eq "g1"`, `displayName eq "NURSES" and externalId eq "g1"`} {
		if got := d.found("/Groups", filter); !slices.Equal(got, []string{id}) {
			t.Errorf("%s finds %v", filter, got)
		}
	}
	if m := d.wants(200, "GET", "/Groups/"+id+"?excludedAttributes=members", ""); m["members"] != nil {
		t.Errorf("%v", m)
	}
	d.wants(409, "POST", "/Groups", `{"schemas":[`+groupURN+`],"displayName":"NURSES"}`)
	d.patch(200, "/Groups/"+id, `{"op":"Replace","path":"displayName","value":"Ward nurses"}`)
	if got := d.person("ana").Groups; !slices.Equal(got, []string{"idp:Ward nurses"}) {
		t.Errorf("%v", got)
	}
	d.wants(200, "PUT", "/Groups/"+id, `{"schemas":[`+groupURN+`],"displayName":"Nurses"}`)
	if got := d.person("ana").Groups; len(got) != 0 {
		t.Errorf("a group without members has %v", got)
	}
	d.patch(200, "/Groups/"+id, `{"op":"add","path":"members","value":[{"value":"`+ana+`"}]}`)
	d.wants(204, "DELETE", "/Groups/"+id, "")
	if got := d.person("ana").Groups; len(got) != 0 {
		t.Errorf("a deleted group gives %v", got)
	}
	d.wants(404, "GET", "/Groups/"+id, "")
}
